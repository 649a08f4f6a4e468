"""One ticket being run: outputs, fates, failures and times, gathered until they are told.

    for each item:   emit_...(...) or failed(...)           both say what became of it
    now and then:    done(upto) ──► Done                    a prefix: its elders need not wait for the rest

Failures of items in hand end in one of the stage's policies here: tried again (by the scheduler, who knows the time), raised, skipped,
collected, replaced by a function, or handed to the failure branch. Of an item that cannot be loaded, or that a source cannot hand on,
nothing can be tried or replaced: whoever finds that asks ``failures.goes_on``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from ..current import Position
from ..drop import DROP
from ..failures import Failure, Kind, Note, describe_item
from ..origins import Origin, Origins
from ..scheduler.messages import Counts, Dispatch, Done, Parcel, StreamState
from ..stages.contract import Arity
from .hands import Hands, word
from .notes import failure_without_exception, failure_without_objects, make_note
from .spec import Codec, Encoding, StageSpec

__all__ = ["Answers", "Catch", "Outputs", "TicketRun", "everything"]

SHIP_SECONDS = 0.005  # after so long the finished part of a ticket is told: more delays its elders' readers, less costs messages
CALM_SECONDS = 0.019  # the same where no worker is idle: less than a frame's work, so that most frames are told of once
OUT_OF_PLACE = "outputs and items do not match: did a signal handler raise when the user's function had ended (an alarm that was left on)?"
LANE_PACE = 5  # times that, where lanes share an interpreter: their tickets are longer, and each message costs all of them


class Outputs:
    """The encoders of a worker's outlets, and the origins of what is in them."""

    def __init__(self, spec: StageSpec, codec: Codec) -> None:
        self.read = [bool(edges) for edges in spec.plan.outlets]
        self.encoders: list[Encoding] = [codec.encoder() for _ in self.read]
        self.origins: list[list[Origins]] = [[] for _ in self.read]

    def add(self, outlet: int, item: Any, origins: Origins) -> None:
        self.encoders[outlet].add(item)
        self.origins[outlet].append(origins)

    def take(self) -> tuple[tuple[int, Parcel], ...]:
        """Return what is there, one parcel an outlet."""
        parcels = []
        for outlet, encoder in enumerate(self.encoders):
            if encoder.count:
                count, nbytes = encoder.count, encoder.nbytes
                origins = Origins.concat(self.origins[outlet])
                self.origins[outlet] = []
                if len(origins) != count:  # better dead than wrong: the items are dealt again
                    raise RuntimeError(OUT_OF_PLACE)
                parcels.append((outlet, Parcel(count, nbytes, origins, encoder.take())))
        return tuple(parcels)


class TicketRun:
    """The state of one ticket in a lane."""

    __slots__ = (
        "allowance",
        "began",
        "busy",
        "catch",
        "closed",
        "codec",
        "dispatch",
        "dropped",
        "emitted",
        "failures",
        "first_function",
        "first_whole",
        "flushed",
        "fresh",
        "lined",
        "outputs",
        "position",
        "ship_seconds",
        "shipped",
        "slot",
        "slots",
        "slowest",
        "so_far",
        "spec",
        "tally",
        "told",
        "unloaded",
        "unread",
        "used",
        "waited",
        "word_base",
    )

    def __init__(
        self, spec: StageSpec, codec: Codec, outputs: Outputs, dispatch: Dispatch, position: Position, hands: Hands, catch: Catch
    ) -> None:
        self.spec = spec
        self.codec = codec
        self.catch = catch
        self.outputs = outputs
        self.dispatch = dispatch
        self.position = position
        self.told = dispatch.lo  # items below were told of
        self.flushed = dispatch.lo  # items below have their origins lined up
        self.dropped: list[int] = []  # items since then that gave nothing
        self.lined = spec.stage.arity in (Arity.ONE, Arity.KEEP)  # outputs follow the items: origins need not be taken one by one
        self.tally: dict[str, int] = {}  # items that were not passed on, by fate
        self.failures: list[Note] = []
        self.unloaded = 0  # items that could not be loaded
        self.emitted = 0  # outputs of the item in hand that were told already
        self.fresh = 0  # outputs of the item in hand that were not told yet
        self.unread = False  # the item in hand gave something, and nobody reads it (only the failure branch is read)
        self.used = 0  # outputs under the present allowance
        self.allowance = dispatch.allowance
        self.closed = False  # its host threw it away while it waited for room
        self.busy = 0.0  # seconds in the user's function
        self.slowest = 0.0
        self.so_far = 0.0  # seconds in the user's function of the item in hand, which gives many
        self.waited = 0.0  # seconds waiting for room
        self.first_function = self.first_whole = 0.0
        seconds = SHIP_SECONDS * (LANE_PACE if spec.plan.lanes > 1 else 1)
        self.ship_seconds = seconds if dispatch.hurry else max(seconds, CALM_SECONDS)
        self.began = self.shipped = time.perf_counter()
        self.slots = hands.slots
        self.slot, self.word_base = hands.take_up(dispatch.ticket)
        self.hold(dispatch.lo)

    def hold(self, position: int, count: int = 1) -> None:
        """Say what this lane is at from now on, for whoever must know when it cannot be asked: one of ``count`` items."""
        self.slots[self.slot] = word(self.word_base, position, count)

    # ------------------------------------------------------------------------------------------------------------ success

    def origin(self, position: int) -> Origins:
        """Return the origin of one item, as a run of one."""
        at = position - self.dispatch.lo
        return self.dispatch.origins[at : at + 1]

    def item_origin(self, position: int) -> Origin:
        return self.dispatch.origins.at(position - self.dispatch.lo)

    def emit_one(self, position: int, item: Any, result: Any) -> None:
        """Take the result of an item of a one-to-one stage; raises what encoding it raised."""
        if result is DROP:
            self._leave_out(position, "filtered")
        else:
            self.outputs.encoders[0].add(result)

    def emit_unread(self, position: int, item: Any, result: Any) -> None:
        """Take note of a result that nobody reads (only the failure branch is read)."""
        dropped = result is DROP or (self.spec.stage.arity is Arity.KEEP and not result)
        self._leave_out(position, "filtered" if dropped else "unread")

    def emit_kept(self, position: int, item: Any, keep: Any) -> None:
        """Take an item of a filter, if it is to be kept."""
        if not keep:
            self._leave_out(position, "filtered")
        else:
            self.outputs.encoders[0].add(item)

    def _leave_out(self, position: int, fate: str) -> None:
        self.dropped.append(position)
        self.count(fate)

    def count(self, fate: str) -> None:
        """Count an item that was not passed on."""
        self.tally[fate] = self.tally.get(fate, 0) + 1

    def emit_routed(self, position: int, item: Any, values: Any) -> None:
        """Give each outlet its value; the item is dropped if there is none, unread if nobody reads where they go."""
        there = [outlet for outlet, value in enumerate(values) if value is not None and value is not DROP]
        read = [outlet for outlet in there if self.outputs.read[outlet]]
        if not read:
            self.count("unread" if there else "dropped")
            return
        origin = self.origin(position)
        for done, outlet in enumerate(read):
            try:
                self.outputs.add(outlet, values[outlet], origin)
            except BaseException:  # the item's __reduce__ raised: nothing of this item goes out
                for earlier in read[:done]:
                    self.outputs.encoders[earlier].forget(1)
                    self.outputs.origins[earlier].pop()
                raise

    # ------------------------------------------------------------------------------------------------------------ failure

    def failed(self, position: int, item: Any, error: BaseException, kind: str = Kind.RAISED, hint: str = "") -> Done | None:
        """Apply the stage's policy to a failed item; a ``Done`` ends the ticket here, ``None`` goes on with the next item."""
        if self.spec.plan.on_error == "skip" and not self.spec.plan.retries:  # nobody would read what is written down of it
            self.lose(position)
            return None
        note = self.note(position, item, error, kind)._replace(hint=hint)
        if note.attempts <= self.spec.plan.retries and not self.emitted:
            try:
                again = kind == Kind.TIMEOUT or self._worth_retrying(error)
            except self.catch() as second:  # the user's retry_on failed: that is what is wrong now
                return self.judge(position, item, second, self.note(position, item, second, Kind.RAISED))
            if again:
                return self.done(position, finished=True, retry=note, retried=1)
        return self.judge(position, item, error, note)

    def judge(self, position: int, item: Any, error: BaseException, note: Note) -> Done | None:
        """Apply the policy for failures that are final."""
        if self.spec.plan.on_error != "call" or self.spec.on_error is None:
            return self.record(position, item, error, note)
        try:
            self._replace(position, item, self.spec.on_error(item, error))  # type: ignore[arg-type]
        except self.catch() as second:  # the user's on_error failed: that is what is wrong now
            return self.record(position, item, second, self.note(position, item, second, Kind.RAISED))
        return None

    def record(self, position: int, item: Any, error: BaseException, note: Note) -> Done | None:
        """Apply what the policy says of a failure that no function of the user's has replaced."""
        policy = self.spec.plan.on_error
        if policy == "branch" and self._branch(position, item, error, note):
            return None
        self.lose(position)
        if policy in ("raise", "call"):
            return self.done(position, finished=True, note=note)
        if policy != "skip":
            self.failures.append(note.in_words())
        return None

    def _replace(self, position: int, item: Any, replacement: Any) -> None:
        """Let a replacement stand for the stage's output; where no output is that of one item, the item is left out."""
        merged = self.spec.stage.arity is None and not self.spec.stage.keeps_origin
        if replacement is None or replacement is DROP or merged:
            self.lose(position)
        elif self.spec.stage.arity is Arity.ROUTED:
            self.emit_routed(position, item, self.spec.stage.checked(replacement))
        elif self.lined:
            self.outputs.encoders[0].add(replacement)
        else:
            self.outputs.add(0, replacement, self.origin(position))
            self.used += 1

    def lose(self, position: int) -> None:
        """Count a failed item."""
        self._leave_out(position, "failed")

    def _branch(self, position: int, item: Any, error: BaseException, note: Note) -> bool:
        """Hand the item to the failure branch; unread, it is collected instead."""
        outlet = self.spec.stage.outlets
        if not self.outputs.read[outlet]:
            return False
        failure = Failure(item, note.index, note.stage, error, note.traceback, note.attempts, note.emitted)
        origin = self.origin(position)
        try:
            self.outputs.add(outlet, failure_without_exception(failure, note), origin)
        except self.catch():  # the item cannot be pickled: its text can
            self.outputs.add(outlet, failure_without_objects(failure, note), origin)
        self.lose(position)
        self.used += 1
        return True

    def _worth_retrying(self, error: BaseException) -> bool:
        retry_on = self.spec.stage.config.retry_on
        if isinstance(retry_on, (type, tuple)):
            return isinstance(error, retry_on)
        return bool(retry_on(error))

    def note(self, position: int, item: Any, error: BaseException, kind: str) -> Note:
        origin = self.item_origin(position)
        attempts = (self.dispatch.attempt if position == self.dispatch.lo else 0) + 1
        index = origin[0][1] if origin else None
        return make_note(self.spec, self.codec, error, kind, index, describe_item(item))._replace(attempts=attempts, emitted=self.emitted)

    # ----------------------------------------------------------------------------------------------------------- telling

    def _line_up(self, upto: int) -> None:
        """Give the outputs so far the origins of their items."""
        if not self.lined:
            return
        lo = self.dispatch.lo
        origins = self.dispatch.origins[self.flushed - lo : upto - lo]
        if self.dropped:
            gone = set(self.dropped)
            origins = self.dispatch.origins.take([at - lo for at in range(self.flushed, upto) if at not in gone])
            self.dropped = []
        self.flushed = upto
        if origins:
            self.outputs.origins[0].append(origins)

    def done(
        self,
        upto: int,
        *,
        finished: bool,
        waiting: bool = False,
        retry: Note | None = None,
        note: Note | None = None,
        retried: int = 0,
        state: StreamState | None = None,
    ) -> Done:
        """Tell what was settled since the last time."""
        self._line_up(upto)
        outputs = self.outputs.take()
        now = time.perf_counter()
        items = upto - self.told + (note is not None and upto < self.dispatch.hi)  # with the one that failed, if it was an item
        told = Done(
            -1,
            self.dispatch.ticket,
            upto,
            outputs,
            finished=finished,
            waiting=waiting,
            emitted=self.emitted,
            retry=retry,
            note=note,
            failures=tuple(self.failures),
            counts=self._take_counts(items, retried),
            busy=self.busy,
            moving=max(0.0, now - self.shipped - self.waited - self.busy),
            slowest=self.slowest,
            state=state,
            unloaded=self.unloaded,
        )
        self.told, self.failures, self.shipped, self.unloaded = upto, [], now, 0
        self.busy = self.waited = self.slowest = 0.0
        return told

    def _take_counts(self, items: int, retried: int) -> Counts:
        if not self.tally:
            return Counts(items, retried=retried) if retried else Counts(items)
        tally = dict(self.tally)
        self.tally.clear()
        return Counts(items - sum(tally.values()), **tally, retried=retried)

    def function_took(self, seconds: float, *, goes_on: bool = False) -> None:
        """Count time in the user's function, for one item; ``goes_on``: it will take more for this one."""
        self.busy += seconds
        self.first_function = seconds
        self.so_far += seconds
        self.slowest = max(self.slowest, self.so_far)
        if not goes_on:
            self.so_far = 0.0

    def one_took(self, seconds: float) -> None:
        """Learn what the item just timed cost with all that moves it."""
        self.first_whole = seconds

    def share(self, seconds: float) -> None:
        """Count the time of several items, split as that of the one which was timed."""
        if self.first_whole > 0:
            self.busy += seconds * min(1.0, self.first_function / self.first_whole)

    def take_back_fresh(self) -> None:
        """Drop what the item in hand gave and nobody was told of: it failed, and is run again whole or not at all."""
        if self.fresh:
            self.outputs.encoders[0].forget(self.fresh)
            del self.outputs.origins[0][len(self.outputs.origins[0]) - self.fresh :]
            self.used -= self.fresh
            self.fresh = 0

    def is_due(self, now: float) -> bool:
        """Say whether the finished part is to be told of."""
        return now - self.shipped > self.ship_seconds

    def is_late(self, now: float) -> bool:
        """Say whether others should have the rest, if there are any who could take it."""
        return 0.0 < self.dispatch.patience <= now - self.began

    def paused(self, since: float) -> None:
        """Leave out of the stage's time what was spent waiting for room."""
        self.waited += time.perf_counter() - since


Answers = Generator[Done, int, None]
Catch = Callable[[], type[BaseException] | tuple[type[BaseException], ...]]
"""Says what of the user's code is a failure; asked when something was raised, for classes of exceptions may come to be in between."""


def everything() -> type[BaseException]:
    """Say that whatever the user's code raises is a failure."""
    return BaseException
