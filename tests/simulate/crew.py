"""The workers in time: they start, take tickets, work on them piece by piece, are told to stop, and die.

    StartWorker ─► starting ─► ready ─► (piece, Done)* ─► told to stop ─► gone
                      └─► failed set-up    └────► dead                      answers travel in order, some of them late

What a worker was sent is known here from both ends: ``hands`` is what it holds, ``out`` is what the scheduler must believe it holds, since
answers are on their way for a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from olympipe_ng.scheduler.messages import (
    JUDGEMENTS,
    Cancel,
    Dispatch,
    Done,
    Grant,
    KillWorker,
    SetupFailed,
    StartWorker,
    StopWorker,
    Verb,
    WorkerDied,
    WorkerGone,
    WorkerReady,
    WorkerWorn,
)

from .checks import Box, Violation
from .rules import Rules
from .spec import Item
from .suspects import Member, Suspects
from .workers import Death, Hand, Model

if TYPE_CHECKING:
    from .world import World

__all__ = ["Crew"]

NOT_YET = 0.1  # chance that a lane dies before it says what it is at
GRACE = 0.2  # seconds within which a worker that was told to stop is gone


class Crew:
    """All workers of a run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng
        self.habits = world.scenario.habits
        self.members: dict[int, Member] = {}
        self.killed: dict[int, dict[Item, int]] = {}
        self.suspects = Suspects(world.facts)
        self.rules = Rules(world.watch)

    # --------------------------------------------------------------------------------------------------------- starting

    def start(self, command: StartWorker) -> None:
        world, node = self.world, self.world.plan.nodes[command.node]
        if command.place < 0 or any(m.node is node and m.place == command.place for m in self.members.values()):
            raise Violation(f"two workers in place {command.place} of {node.label}")
        spec = world.scenario.specs[node.number]
        model = Model(node, spec, world.watch, world.facts, self.killed.setdefault(node.number, {}))
        member = Member(command.worker, command.place, model)
        self.members[command.worker] = member
        if node.hub:
            self.get_ready(member)
        elif node.setup_timeout is None or self.rng.random() >= self.habits.setup_hangs:
            world.after(self.rng.random() * 0.1, self.set_up, member)

    def set_up(self, member: Member) -> None:
        habits, rng = self.habits, self.rng
        if member.dead:
            return
        if not member.node.hub and habits.setup_fails and rng.random() < habits.setup_fails:
            note = ("setup", member.node.number, member.number)
            self.world.facts.fatal.append(note)
            self.say(member, SetupFailed(member.number, note))
        elif habits.start_death and rng.random() < habits.start_death:
            self.world.facts.fatal.append(self.die(member))
        elif habits.start_kill and not member.node.hub and rng.random() < habits.start_kill:
            self.die(member, killed=True)  # somebody else's doing: no reason to fail
        else:
            self.get_ready(member)

    def get_ready(self, member: Member) -> None:
        stream = member.model.stream
        member.ready = True
        self.say(member, WorkerReady(member.number, 1000 + member.number, stream.state if stream is not None else None))
        if self.habits.idle_death and not member.node.hub and self.rng.random() < self.habits.idle_death:
            self.world.after(self.rng.random() * 0.2, self.die_idle, member)
        if self.habits.wears and not member.node.stream and self.rng.random() < self.habits.wears:
            self.world.after(self.rng.random() * 0.1, self.wear_out, member)

    def wear_out(self, member: Member) -> None:
        if not member.dead and not member.stopping:
            member.worn = True
            self.say(member, WorkerWorn(member.number))

    # ---------------------------------------------------------------------------------------------------------- tickets

    def dispatch(self, order: Dispatch) -> None:
        member = self.members.get(order.worker)
        self.check(order, member)
        assert member is not None
        hand = member.out[order.ticket] = Hand(order, member.node.many)
        if hand.box is not None:
            hand.box.hands += 1
        if member.dead:
            self.pretend(hand)  # the scheduler does not know yet
            self.suspects.doubt(member, hand)
            return
        member.hands[order.ticket] = hand
        if member.node.hub:
            self.run_hub(member, hand)
        elif member.running < member.lanes:
            self.take_up(member, hand)

    def check(self, order: Dispatch, member: Member | None) -> None:
        if member is None or not member.ready or member.stopping:
            raise Violation(f"a dispatch to a worker that cannot take it: {order}")
        if len(member.out) >= member.lanes + max(1, member.lanes // 2):
            raise Violation(f"worker {order.worker} has {len(member.out) + 1} tickets in hand, it has {member.lanes} lanes")
        if order.frame is not None:
            box: Box = order.frame.payload
            self.world.watch.use(box, order.lo, order.hi)
            if list(order.origins) != list(order.frame.origins[order.lo : order.hi]):
                raise Violation(f"the origins of {order} are not those of its items")
            self.suspects.check(order, member, box)
        self.rules.check(order, member, self.world.now)
        oldest = not any(other.node is member.node and other.out for other in self.members.values())
        if order.verb is Verb.ITEMS and not member.node.stream:
            self.world.watch.check_bytes(tuple(edge for outlet in member.node.outlets for edge in outlet), oldest)

    def run_hub(self, member: Member, hand: Hand) -> None:
        """Do at once what the hub does."""
        assert member.model.stream is not None
        member.model.stream.now = self.world.now
        waiting = member.model.work(hand, hand.hi - hand.pos)
        hand.waiting = waiting
        self.answer(member, hand, finished=not waiting, waiting=waiting)

    def take_up(self, member: Member, hand: Hand) -> None:
        """Let a free lane begin a ticket."""
        member.running += 1
        hand.running = True
        self.plan_piece(member, hand)

    def plan_piece(self, member: Member, hand: Hand) -> None:
        """Decide how far a ticket is run before its worker says something, and how long that takes."""
        rng, spec, left = self.rng, member.model.spec, hand.hi - hand.pos
        count = left
        if hand.order.verb is Verb.ITEMS and left:
            member.model.begin(hand)
        if left > 1 and rng.random() < self.habits.prefix:
            count = rng.randint(1, left)
        if spec.hangs and not member.node.cancels and hand.order.verb is Verb.ITEMS:
            assert hand.box is not None
            items = hand.box.items
            healthy = next((k for k in range(count) if spec.hanging(items[hand.pos + k])), count)
            if not healthy:
                return  # for ever, or until it is killed
            count = healthy
        if member.node.many and not member.node.stream and rng.random() < self.habits.prefix / 4:
            hand.pause = rng.randint(1, 3)
        seconds = spec.pace * (0.1 + 4 * rng.random() ** 3) * max(1, count)
        if self.habits.dear and hand.order.verb not in JUDGEMENTS and rng.random() < self.habits.dear:
            seconds *= 30
        hand.busy += seconds
        self.world.after(seconds, self.piece, member, hand, count)

    def piece(self, member: Member, hand: Hand, count: int) -> None:
        """Do a piece of work, and say what came of it."""
        if member.dead or hand.order.ticket not in member.hands:
            return
        model, habits, rng = member.model, self.habits, self.rng
        if model.stream is not None:
            model.stream.now = self.world.now
        if hand.cancelled:
            count = min(count, 1)
        dies = habits.death and hand.order.verb not in JUDGEMENTS and rng.random() < habits.death
        try:
            within = model.work(hand, rng.randint(0, max(0, count - 1)) if dies else count)
            if dies:
                raise Death
        except Death:
            self.die(member, hand)
            return
        waiting = hand.waiting = within and hand.allowance <= 0
        finished = not waiting and ((not within and (hand.pos >= hand.hi or hand.over)) or hand.cancelled)
        given_back = not within and not finished and (hand.order.patience or member.worn) and rng.random() < habits.give_back
        self.answer(member, hand, finished=finished or given_back, waiting=waiting)
        if not waiting and not finished and not given_back:
            self.plan_piece(member, hand)

    def answer(self, member: Member, hand: Hand, *, finished: bool, waiting: bool = False) -> None:
        parts = 2 if self.rng.random() < 0.1 else 1
        done = member.model.answer(member.number, hand, finished=finished, waiting=waiting, parts=parts)
        if finished:
            self.put_down(member, hand)
        self.say(member, done)

    def put_down(self, member: Member, hand: Hand) -> None:
        """Free the lane of a ticket that is through, for the next one in hand."""
        del member.hands[hand.order.ticket]
        if hand.running:
            member.running -= 1
            following = next((other for other in member.hands.values() if not other.running), None)
            if following is not None:
                self.take_up(member, following)

    # ----------------------------------------------------------------------------------------------------------- orders

    def order(self, command: Grant | Cancel | StopWorker | KillWorker) -> None:
        """Have an order carried out, perhaps a little later."""
        member = self.members.get(command.worker)
        if member is None:
            raise Violation(f"an order to a worker that is not there: {command}")
        if type(command) is StopWorker:
            if member.stopping:
                raise Violation(f"told to stop twice: {command}")
            member.stopping = True
        world = self.world
        late = self.habits.latency and not member.node.hub and self.rng.random() < self.habits.latency
        if late or member.heard > world.now:
            member.heard = max(member.heard, world.now) + self.rng.random() * 0.02
            world.at(member.heard, _ORDERS[type(command)], self, member, command)
        else:
            _ORDERS[type(command)](self, member, command)

    def grant(self, member: Member, command: Grant) -> None:
        hand = member.hands.get(command.ticket)
        if member.dead or hand is None:
            return
        if not hand.waiting:
            raise Violation(f"a grant for a ticket that does not wait: {command}")
        hand.waiting = False
        hand.allowance += command.allowance
        if member.node.hub:
            self.run_hub(member, hand)
        else:
            self.world.after(self.rng.random() * member.model.spec.pace, self.piece, member, hand, hand.hi - hand.pos)

    def cancel(self, member: Member, command: Cancel) -> None:
        hand = member.hands.get(command.ticket)
        if hand is None or member.dead:
            return
        hand.cancelled = True
        if hand.waiting or not hand.running:
            self.answer(member, hand, finished=True)

    def stop(self, member: Member, command: StopWorker) -> None:
        if member.hands and not command.abandon:
            raise Violation(f"worker {member.number} is told to close with {len(member.hands)} tickets in hand")
        delay = self.rng.random() * (0.0 if member.node.hub else GRACE)
        self.world.after(delay, self.leave, member, command.abandon)

    def leave(self, member: Member, abandon: bool) -> None:
        if not member.dead:
            note = None
            if not abandon and not member.node.hub and self.habits.close_fails and self.rng.random() < self.habits.close_fails:
                note = ("close", member.node.number, member.number)
                self.world.facts.fatal.append(note)
            self.bury(member)
            self.say(member, WorkerGone(member.number, note))

    def kill(self, member: Member, command: KillWorker) -> None:
        if member.dead:
            return
        late = self.world.scheduler.state.workers[member.number].killed  # the ticket that takes too long, if it is not the set-up
        if late is None:
            self.world.facts.fatal.append(command.note)
        note = command.note if late is None else ("timeout", member.node.number, self.first_item(member, member.hands.get(late.number)))
        self.die(member, timeout=late.number if late is not None else 0, ordered=note)

    # ----------------------------------------------------------------------------------------------------------- deaths

    def die_idle(self, member: Member) -> None:
        if not member.dead:
            self.die(member)

    def die(self, member: Member, culprit: Hand | None = None, *, timeout: int = 0, ordered: Any = None, killed: bool = False) -> Any:
        """End a worker that was not told to; what its lanes were at may be known. ``timeout``: the ticket it is killed for, on order."""
        in_hand: dict[int, range] | None = {} if self.rng.random() < self.habits.knows_hand else None
        note: Any = ordered or ("died", member.node.number, self.first_item(member, culprit))
        for ticket, hand in member.hands.items():
            if hand.running and hand.box is not None and hand.pos < hand.hi:
                self.implicate(member, ticket, in_hand, timeout)
        judging = any(hand.order.verb in JUDGEMENTS for hand in member.hands.values())  # even that kills: the run fails
        if member.node.stateful or member.node.stream or judging:
            self.world.facts.fatal.append(note)
        self.bury(member)
        self.say(member, WorkerGone(member.number) if member.stopping else WorkerDied(member.number, note, in_hand, killed))
        return note

    def implicate(self, member: Member, ticket: int, in_hand: dict[int, range] | None, timeout: int) -> None:
        """Say what a lane was at, as exactly as that is known, and suspect what the scheduler must."""
        hand, node = member.hands[ticket], member.node
        at = range(hand.told[0], hand.hi)
        if in_hand is not None:
            if node.redeliver and not hand.told[1] and ticket != timeout and self.rng.random() < NOT_YET:
                self.suspects.doubt(member, hand)
                return
            at = in_hand[ticket] = self.slice_of(hand)
        if hand.order.verb is Verb.ITEMS:
            self.suspects.suspect(member, hand, 1 if not timeout or not node.redeliver else 2 * (ticket == timeout), at)

    def slice_of(self, hand: Hand) -> range:
        """Return what a control page says of a hand: the item it is at, or a few around it."""
        rng = self.rng
        return range(rng.randint(max(hand.order.lo, hand.pos - 2), hand.pos), rng.randint(hand.pos, min(hand.pos + 2, hand.hi - 1)) + 1)

    def in_hand(self) -> dict[int, range]:
        """Return what all lanes are at."""
        hands = [(ticket, hand) for member in self.members.values() for ticket, hand in member.hands.items()]
        return {ticket: range(hand.pos, hand.pos + 1) for ticket, hand in hands if hand.running}

    def first_item(self, member: Member, culprit: Hand | None) -> Item:
        for hand in [culprit] if culprit else member.hands.values():
            if hand.box is not None:
                return hand.box.items[min(hand.pos, hand.hi - 1)]
        return (0, 0, member.number)

    def bury(self, member: Member) -> None:
        member.dead = True
        for hand in member.hands.values():
            self.pretend(hand)
            member.model.lose(hand)
        member.hands.clear()

    def pretend(self, hand: Hand) -> None:
        """Count the first item of a dead worker's ticket as begun: that its lane never came to it is not known until its death is."""
        if hand.order.verb is Verb.ITEMS and hand.box is not None and hand.pos < hand.hi:
            self.world.watch.begin(hand.box, self.edge(hand), hand.pos)

    def edge(self, hand: Hand) -> int:
        return self.members[hand.order.worker].node.inputs[hand.order.port]

    # ---------------------------------------------------------------------------------------------------------- answers

    def say(self, member: Member, event: Any) -> None:
        """Send an answer: in order, perhaps late."""
        world = self.world
        late = self.habits.latency and not member.node.hub and self.rng.random() < self.habits.latency
        if late or member.said > world.now:
            member.said = max(member.said, world.now) + self.rng.random() * 0.01
            world.at(member.said, self.arrive, member, event)
        else:
            world.tell(event)

    def arrive(self, member: Member, event: Any) -> None:
        self.world.tell(event)

    def heard(self, event: Any) -> None:
        """Take note that the scheduler is about to hear of something."""
        kind = type(event)
        self.rules.hear(event)
        if kind is Done:
            member = self.members[event.worker]
            self.rules.settle(member, event, self.world.now)
            for _, parcel in event.outputs:
                self.world.watch.report(parcel)
            if event.retry is not None:
                self.suspects.clear(member.node.number, event.retry[2])
            if event.note is not None:
                self.give_up(member.out[event.ticket], event.upto)
            if event.finished:
                self.end_ticket(member, event.ticket)
        elif kind in (WorkerDied, WorkerGone):
            member = self.members.pop(event.worker)
            for ticket in list(member.out):
                self.end_ticket(member, ticket)

    def give_up(self, hand: Hand, upto: int) -> None:
        """Count the items behind a final failure as begun: nobody will ask for them."""
        assert hand.box is not None
        for place in range(upto, hand.order.hi):
            self.world.watch.begin(hand.box, self.edge(hand), place)

    def end_ticket(self, member: Member, ticket: int) -> None:
        hand = member.out.pop(ticket)
        member.alone = False
        if hand.box is not None:
            hand.box.hands -= 1

    def at_work(self, node: int) -> bool:
        """Say whether a worker of a node has something to do other than to wait for a grant."""
        members = [member for member in self.members.values() if member.node.number == node]
        hands = [(ticket in member.hands, hand) for member in members for ticket, hand in member.out.items()]
        return any(not held or (hand.running and not hand.waiting) for held, hand in hands)


_ORDERS: dict[type, Any] = {Grant: Crew.grant, Cancel: Crew.cancel, StopWorker: Crew.stop, KillWorker: Crew.kill}
