"""A model worker: it does with a dispatch what a real one does, in no time and to itself, and says so in ``Done``.

    Dispatch ──► Hand ──► work(n items) ──► Done (prefix) ──► work ... ──► Done (finished, given back, failed, or waiting for a Grant)

Time is the world's business: it decides after how long a piece of work is through, how long a piece is, and who dies. The pieces are then
computed item by item, so that every item is begun and every output made at some instant, which ``checks`` looks at.
"""

from __future__ import annotations

from typing import Any

from olympipe_ng.origins import Origin, Origins
from olympipe_ng.plan import NodePlan
from olympipe_ng.scheduler.messages import JUDGEMENTS, Counts, Dispatch, Done, Parcel, Verb

from .checks import Box, Violation, Watch
from .oracle import Facts, failing, instead
from .spec import Item, Spec, nbytes
from .transforms import Outputs, Stream, make_stream

__all__ = ["Death", "Hand", "Model"]


class Death(Exception):
    """The item in hand kills its worker."""


class Out:
    """Outputs for one outlet that were not sent yet."""

    __slots__ = ("items", "nbytes", "origins")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.origins: list[Origin] = []
        self.nbytes = 0


class Hand:
    """A ticket in a worker's hand."""

    __slots__ = (
        "after",
        "allowance",
        "attempt",
        "begun",
        "box",
        "busy",
        "cancelled",
        "counts",
        "failure",
        "failures",
        "fate",
        "given",
        "heard",
        "hi",
        "note",
        "order",
        "origin",
        "outs",
        "pause",
        "pos",
        "retry",
        "running",
        "sequence",
        "shipped",
        "then",
        "told",
        "waiting",
    )

    def __init__(self, order: Dispatch, many: bool) -> None:
        self.order = order
        self.box: Box | None = order.frame.payload if order.frame is not None else None
        self.pos = order.lo  # items below are settled
        self.hi = order.hi
        self.heard = order.lo  # items below are known by the scheduler to be settled
        self.attempt = order.attempt
        self.begun = -1  # the item whose function was called last
        self.allowance = order.allowance if many else 1 << 60
        self.running = False  # in a lane's hand
        self.cancelled = False
        self.outs: dict[int, Out] = {}
        self.counts: dict[str, int] = {}
        self.failures: list[Any] = []
        self.retry: Any = None
        self.note: Any = None
        self.busy = 0.0
        self.sequence: list[tuple[int, Item, Origin]] | None = None  # what the item in hand gives
        self.given = 0  # how much of it has been given
        self.pause = 0  # after how much of it its worker says so, because it is slow
        self.shipped = 0  # how much of it was sent
        self.told = (order.lo, 0)  # where it was when it said something last, and how much of the item there was sent by then
        self.origin: Origin = ()  # of the item in hand
        self.after = order.lo  # where a stream stands when all is given
        self.fate = ""  # what becomes of the item in hand
        self.then = ""  # "retry" or "raise", once all it gives is given; "" goes on
        self.failure: Any = None
        self.waiting = False  # for a grant

    @property
    def over(self) -> bool:
        return self.retry is not None or self.note is not None

    def count(self, fate: str, count: int = 1) -> None:
        self.counts[fate] = self.counts.get(fate, 0) + count


class Model:
    """What a worker of one stage does; ``work`` is its only verb."""

    def __init__(self, plan: NodePlan, spec: Spec, watch: Watch, facts: Facts, killed: dict[Item, int]) -> None:
        self.plan = plan
        self.spec = spec
        self.watch = watch
        self.facts = facts
        self.killed = killed  # how often an item has killed, whichever worker of the stage
        self.stream: Stream | None = make_stream(spec, len(plan.inputs)) if plan.stream else None

    # ---------------------------------------------------------------------------------------------------------- items

    def begin(self, hand: Hand) -> None:
        """Call the function with the item at ``pos``; it may be for the second time, in another hand."""
        assert hand.box is not None
        if hand.begun == hand.pos:
            return
        hand.begun = hand.pos
        edge = self.plan.inputs[hand.order.port]
        self.watch.begin(hand.box, edge, hand.pos)
        first = hand.box.call(edge, hand.pos)
        if not first and not self.plan.redeliver and not hand.attempt:
            raise Violation(f"{self.plan.label}: {hand.box.items[hand.pos]} is run again under redeliver=False")

    def work(self, hand: Hand, count: int) -> bool:
        """Run up to ``count`` items of a ticket; say whether it stopped within one: to wait for a grant, if its allowance is used up.

        ``retry`` and ``note`` tell of a failure.
        """
        if self.stream is not None:
            return self.run_stream(hand, self.stream, count)
        while count and hand.pos < hand.hi and not hand.over:
            if hand.sequence is None:
                self.call(hand)
            if not self.give(hand):
                return True
            if hand.fate == "breaks":
                self.break_off(hand)
            else:
                self.complete(hand)
                count -= 1
        return False

    def complete(self, hand: Hand) -> None:
        """Settle the item in hand: all it gives is given."""
        self.settle(hand)
        self.advance(hand, hand.pos + 1)

    def advance(self, hand: Hand, pos: int) -> None:
        """Go on to the next item, or end with this one."""
        hand.sequence = None
        hand.given = hand.shipped = 0
        if hand.then == "retry":
            hand.retry = hand.failure
        elif hand.then == "raise":
            hand.note = hand.failure
        else:
            hand.pos = pos
            hand.attempt = 0

    def settle(self, hand: Hand) -> None:
        hand.count(hand.fate)
        if hand.fate == "failed" and self.plan.on_error == "collect":
            hand.failures.append(hand.failure)

    def call(self, hand: Hand) -> None:
        """Compute what an item gives, at least until it fails."""
        box, frame = hand.box, hand.order.frame
        assert box is not None
        assert frame is not None
        item, hand.origin = box.items[hand.pos], frame.origins.at(hand.pos)
        if hand.order.verb in JUDGEMENTS:
            self.fail(hand, hand.order.note)
            return
        self.begin(hand)
        self.kill(item)
        outputs = self.spec.apply(item)
        if hand.attempt >= failing(self.plan, self.spec, item):
            self.plan_to_give(hand, outputs)
            hand.fate, hand.then = "passed" if outputs else "filtered", ""
        else:
            self.plan_to_give(hand, outputs[: self.spec.emitted_before_failing(item)])
            hand.fate = "breaks"

    def plan_to_give(self, hand: Hand, outputs: list[tuple[int, Item]]) -> None:
        hand.sequence = [(outlet, output, hand.origin) for outlet, output in outputs]
        hand.given = 0

    def kill(self, item: Item) -> None:
        times = self.killed.get(item, 0)
        if self.spec.killing(item) > times:
            self.killed[item] = times + 1
            raise Death

    def break_off(self, hand: Hand) -> None:
        """Fail: what the item gave and nobody was told of is taken back; if that is all, it may be tried again."""
        assert hand.box is not None
        item = hand.box.items[hand.pos]
        fresh = hand.given - hand.shipped
        if fresh:
            self.take_back(hand, fresh)
        note = ("raised", self.plan.number, item)
        if hand.shipped:
            self.facts.broken.add((self.plan.number, item))
        if not hand.shipped and hand.attempt < self.plan.retries:
            self.plan_to_give(hand, [])
            hand.fate, hand.then, hand.failure = "retried", "retry", note
        else:
            self.fail(hand, note)

    def take_back(self, hand: Hand, fresh: int) -> None:
        out = hand.outs[0]
        self.watch.lose(self.plan.outlets[0], fresh)
        out.nbytes -= sum(nbytes(item, self.spec.heavy) for item in out.items[-fresh:])
        del out.items[-fresh:]
        del out.origins[-fresh:]
        hand.allowance += fresh

    def fail(self, hand: Hand, note: Any) -> None:
        """Fail for good."""
        assert hand.box is not None
        on_error = self.plan.on_error
        self.plan_to_give(hand, [] if on_error == "raise" else instead(self.spec, hand.box.items[hand.pos]))
        hand.fate, hand.then, hand.failure = "failed", "raise" if on_error == "raise" else "", note

    def give(self, hand: Hand) -> bool:
        """Give the outputs of the item in hand, as far as the allowance reaches; say whether all are given."""
        sequence = hand.sequence
        assert sequence is not None
        while hand.given < len(sequence):
            if hand.allowance <= 0:
                return False
            if hand.given == hand.pause and hand.given:
                hand.pause = 0
                return False
            self.put(hand, *sequence[hand.given])
            hand.given += 1
            hand.allowance -= 1
        return True

    def put(self, hand: Hand, outlet: int, item: Item, origin: Origin) -> None:
        out = hand.outs.get(outlet)
        if out is None:
            out = hand.outs[outlet] = Out()
        out.items.append(item)
        out.origins.append(origin)
        out.nbytes += nbytes(item, self.spec.heavy)
        self.watch.produce(self.plan.outlets[outlet])

    # --------------------------------------------------------------------------------------------------------- streams

    def run_stream(self, hand: Hand, stream: Stream, count: int) -> bool:
        """Make the calls that a ticket stands for: the hub's with all its items at once, a worker's item by item."""
        while True:
            if hand.sequence is None:
                self.feed(hand, stream)
            if not self.give(hand):
                return True
            items = hand.after - hand.pos
            if hand.fate:
                hand.count(hand.fate, items)
            self.advance(hand, hand.after)
            count -= items
            if count <= 0 or hand.over or hand.pos >= hand.hi:
                return False

    def feed(self, hand: Hand, stream: Stream) -> None:
        """Call the stream transform, as far as what it gives."""
        order, hand.fate, hand.then, hand.after = hand.order, "", "", hand.pos
        if order.verb is Verb.ITEMS:
            outputs = self.feed_items(hand, stream) if self.plan.hub else self.feed_one(hand, stream)
        elif order.verb is Verb.WATERMARK:
            outputs = stream.watermark(order.port, order.watermark)
        elif order.verb is Verb.END:
            outputs = stream.end(order.port)
        else:
            outputs = {Verb.BEGIN: stream.begin, Verb.TICK: stream.tick, Verb.FLUSH: stream.flush}[order.verb]()
        hand.sequence, hand.given = [(0, item, origin) for item, origin in outputs], 0
        self.take_fates(hand, stream)

    def feed_items(self, hand: Hand, stream: Stream) -> Outputs:
        box, order = hand.box, hand.order
        assert box is not None
        assert order.frame is not None
        if order.port not in stream.ready and not stream.done:
            raise Violation(f"{self.plan.label} was given items of port {order.port}, ready is {stream.ready}")
        for place in range(hand.pos, hand.hi):
            self.watch.begin(box, self.plan.inputs[order.port], place)
        hand.fate, hand.after = "passed", hand.hi
        return stream.process(order.port, box.items[hand.pos : hand.hi], list(order.frame.origins[hand.pos : hand.hi]))

    def feed_one(self, hand: Hand, stream: Stream) -> Outputs:
        """Feed one item, or fail on it."""
        box, frame = hand.box, hand.order.frame
        assert box is not None
        assert frame is not None
        item = box.items[hand.pos]
        note = ("raised", self.plan.number, item)
        self.begin(hand)
        hand.after = hand.pos + 1
        if hand.attempt >= self.spec.failing(item):
            hand.fate = "passed"
            return stream.process(hand.order.port, [item], [frame.origins.at(hand.pos)])
        if hand.attempt < self.plan.retries:
            hand.fate, hand.then, hand.failure = "retried", "retry", note
        else:
            self.fail(hand, note)
            if self.plan.on_error == "collect":
                hand.failures.append(note)
        return []

    def take_fates(self, hand: Hand, stream: Stream) -> None:
        for fate, count in stream.fates.items():
            hand.count(fate, count)
            hand.count("passed", -count)
        stream.fates = {}

    # --------------------------------------------------------------------------------------------------------- answers

    def answer(self, worker: int, hand: Hand, *, finished: bool, waiting: bool = False, parts: int = 1) -> Done:
        """Say what was settled since the last answer."""
        outputs = tuple((outlet, parcel) for outlet, out in hand.outs.items() if out.items for parcel in self.parcels(outlet, out, parts))
        state = self.stream.state if self.stream is not None and not waiting else None
        if self.stream is None:
            hand.shipped = max(hand.shipped, hand.given) if hand.fate == "failed" else hand.given
        emitted, hand.told = hand.shipped, (hand.pos, hand.shipped)
        if emitted and hand.fate != "failed" and hand.box is not None:
            self.facts.emitted[self.plan.number, hand.box.items[hand.pos]] = emitted
        done = Done(
            worker,
            hand.order.ticket,
            hand.pos,
            outputs,
            finished,
            waiting,
            emitted,
            hand.retry,
            hand.note,
            tuple(hand.failures),
            Counts(**hand.counts),
            hand.busy,
            0.0,
            hand.busy,
            state,
        )
        hand.outs, hand.failures, hand.counts, hand.busy = {}, [], {}, 0.0
        return done

    def parcels(self, outlet: int, out: Out, parts: int) -> list[Parcel]:
        """Pack what was given for an outlet into one parcel, or two."""
        edges = self.plan.outlets[outlet]
        cut = len(out.items) // parts
        ranges = [(0, cut), (cut, len(out.items))] if 0 < cut < len(out.items) else [(0, len(out.items))]
        parcels = []
        for lo, hi in ranges:
            weight = out.nbytes if len(ranges) == 1 else out.nbytes * hi // len(out.items) - out.nbytes * lo // len(out.items)
            box = Box(self.plan.number, edges, out.items[lo:hi], weight)
            parcels.append(Parcel(hi - lo, weight, Origins.of(out.origins[lo:hi]), box))
        return parcels

    def lose(self, hand: Hand) -> None:
        """Forget what was not sent: the worker is dead."""
        for outlet, out in hand.outs.items():
            self.watch.lose(self.plan.outlets[outlet], len(out.items))
        hand.outs = {}
