"""Items that give at most one output an outlet: the loop that most of a user's time is spent in, and none of it should be ours.

    slice of 1 item ──quick?──► 2 ──► 4 ... ──► 128 items, between two looks at the clock

Cheap items run in slices; an item that turns dear ends its slice and makes the next one item again. Plain numbers, and what is encoded
together, are not timed one by one: there up to ``LOOK`` items stand between a surprise and the word about it.
The first item of a slice is timed by itself: its share tells the user's function from moving items.
Within a slice, plain numbers take the shortest way: they cannot change later, so they need no snapshot each. Where results are encoded
together (``together``), they wait until there are enough, something fails, or the ticket is told of.
What the lane is at is said for each slice, or for each item where that costs nothing that counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..callables import check_awaited
from ..failures import Kind, goes_on, is_recorded
from ..scalars import NUMBERS
from ..scheduler.messages import Done
from ..stages.contract import Arity, ItemTransform
from .hands import DEAR
from .seeding import seed_item
from .ticket import Answers, TicketRun
from .together import Together, encodes_one

if TYPE_CHECKING:
    from .core import StageWorker

__all__ = ["emitter", "explain", "refused", "run_items", "ship", "unloadable"]

SLICE = 128  # items that are told of together; more saves 20 ns each, less tells sooner who kills
LOOK = 32  # items between two looks at the clock where they are not timed; more saves 4 ns each, less notices sooner that they turned dear
SLICE_SECONDS = 0.001
SMALL = 4  # items of a slice; in one so small each is told of: short tickets always know their culprit, others pay 0.6 us for each


def run_items(worker: StageWorker, ticket: TicketRun, transform: ItemTransform) -> Answers:
    """Run a ticket slice by slice."""
    dispatch, clock = ticket.dispatch, time.perf_counter
    items, run, at, size = worker.open(dispatch), _Slices(worker, ticket, transform), dispatch.lo, 1
    most = 1 if worker.spec.seeded else SLICE
    while at < dispatch.hi:
        began, first = clock(), at
        at, ended = run.slice(items, at, min(dispatch.hi, at + size))
        now = clock()
        due = at < dispatch.hi and ticket.is_due(now)
        if ended is None and (due or at >= dispatch.hi or run.full):
            ended = run.settle()
        if ended is not None:
            yield ended
            return
        size = min(2 * size, most) if now - began < SLICE_SECONDS else 1
        run.dear = now - began > (at - first) * DEAR
        if due:
            told = ship(worker, ticket, at, now)
            yield told
            if told.finished:
                return
    yield ticket.done(dispatch.hi, finished=True)


class _Slices:
    """What the loop needs at hand."""

    __slots__ = ("apply", "arity", "base", "catch", "dear", "emit", "position", "ticket", "together", "worker")

    def __init__(self, worker: StageWorker, ticket: TicketRun, transform: ItemTransform) -> None:
        self.worker = worker
        self.ticket = ticket
        self.catch = worker.catch
        self.position = ticket.position
        self.base = ticket.dispatch.lo
        self.arity = worker.spec.stage.arity
        self.apply = _truth_of(transform.apply) if self.arity is Arity.KEEP else transform.apply
        self.emit = emitter(worker, ticket)
        self.dear = False
        self.together = Together(ticket, self.emit, self._emit) if worker.codec.together and encodes_one(worker, ticket) else None

    @property
    def full(self) -> bool:
        """Whether enough results wait to be encoded together."""
        return self.together is not None and self.together.full

    def settle(self) -> Done | None:
        """Encode what waits; return what ends the ticket."""
        return None if self.together is None else self.together.settle(self.catch)

    def slice(self, items: Any, lo: int, hi: int) -> tuple[int, Done | None]:
        """Run the items ``[lo, hi)``; return how far it came, and what ends the ticket."""
        each = self.dear or hi - lo <= SMALL
        self.ticket.hold(lo, 1 if each else hi - lo)
        at, ended = lo + 1, self._first(items, lo)
        if ended is not None or at >= hi:
            return at, ended
        clock = time.perf_counter
        began = clock()
        late = began + SLICE_SECONDS
        if not each:
            at, ended = self._cheap(items, at, hi, late)
        while at < hi and ended is None and clock() < late:
            if each:
                self.ticket.hold(at)
            ended = self._one(items, at)
            at += 1
        self.ticket.share(clock() - began)
        return at, ended

    def _first(self, items: Any, at: int) -> Done | None:
        """Run one item by itself, timing the user's function apart."""
        seed_item(self.worker.spec, self.position, at)
        began = time.perf_counter()
        ended = self._one(items, at, timed=True)
        self.ticket.one_took(time.perf_counter() - began)
        return ended

    def _one(self, items: Any, at: int, timed: bool = False) -> Done | None:
        self.position.where = at
        try:
            item = items[at - self.base]
        except self.catch() as error:  # the item's own unpickling
            return self.settle() or unloadable(self.worker, self.ticket, at, error)
        began = time.perf_counter() if timed else 0.0
        try:
            try:
                result = self.apply(item)
            finally:  # before what failed is told, with the time that it took
                if timed:
                    self.ticket.function_took(time.perf_counter() - began)
        except self.catch() as error:  # the user's function
            return self.settle() or self.ticket.failed(at, item, error)
        if self.together is not None:
            self.together.wait(at, (item,), (result,))
            return None
        return self._emit(at, item, result)

    def _emit(self, at: int, item: Any, result: Any) -> Done | None:
        try:
            self.emit(at, item, result)
        except self.catch() as error:  # the result's own pickling
            return refused(self.worker, self.ticket, at, item, result, error)
        return None

    def _cheap(self, items: Any, lo: int, hi: int, late: float) -> tuple[int, Done | None]:
        """Run cheap items the shortest way there is for them; return the first that was not run, and what ends the ticket."""
        if self.together is not None:
            return self._run_together(self.together, items, lo, hi, late)
        at, ended = lo, None
        if self.worker.numbers and self.arity is Arity.ONE and self.ticket.outputs.read[0] and type(items) is list:
            at, ended = self._numbers(items, lo, hi, late)
            if self.worker.numbers:
                return at, ended
        return (at, ended) if at >= hi or ended is not None else self._loaded(items, at, hi, late)

    def _load(self, items: Any, lo: int, hi: int) -> list[Any]:
        first, upto = lo - self.base, hi - self.base
        return items[first:upto] if type(items) is list else items.part(first, upto)

    def _loaded(self, items: Any, lo: int, hi: int, late: float) -> tuple[int, Done | None]:
        """Run cheap items, which are loaded together, while there is time; return the first that was not run."""
        apply, emit, catch, position, clock = self.apply, self.emit, self.catch, self.position, time.perf_counter
        try:
            inputs = self._load(items, lo, hi)
        except catch():  # an item's own unpickling: each is then loaded by itself, to find whose
            return lo, None
        for at, item in enumerate(inputs, lo):
            position.where = at
            ended: Done | None = None
            try:
                result = apply(item)
            except catch() as error:  # the user's function
                ended = self.ticket.failed(at, item, error)
            else:
                try:
                    emit(at, item, result)
                except catch() as error:  # the result's own pickling
                    ended = refused(self.worker, self.ticket, at, item, result, error)
            if ended is not None or clock() > late:
                return at + 1, ended
        return hi, None

    def _run_together(self, together: Together, items: Any, lo: int, hi: int, late: float) -> tuple[int, Done | None]:
        """Run items whose results are encoded together, while there is time; return the first that was not run."""
        apply, position, clock = self.apply, self.position, time.perf_counter
        results: list[Any] = []
        append = results.append
        failure: BaseException | None = None
        try:
            inputs = self._load(items, lo, hi)
        except self.catch():  # an item's own unpickling: each is then loaded by itself, to find whose
            return lo, None
        position.where, position.done = lo, results  # an item's position is told by how many are done
        try:
            for start in range(0, hi - lo, LOOK):
                for item in inputs[start : start + LOOK]:
                    append(apply(item))
                if clock() > late:
                    break
        except self.catch() as error:  # the user's function
            failure = error
        at = lo + len(results)
        position.where, position.done = at, ()
        together.wait(lo, inputs, results)
        if failure is None:
            return at, None
        return at + 1, self.settle() or self.ticket.failed(at, inputs[at - lo], failure)

    def _numbers(self, items: list[Any], lo: int, hi: int, late: float) -> tuple[int, Done | None]:
        """Run items while there is time and their results are plain numbers; return the first that was not run."""
        apply, position, clock = self.apply, self.position, time.perf_counter
        results: list[Any] = []
        append = results.append
        position.where, position.done = lo, results  # an item's position is told by how many are done
        item: Any = None
        odd: Any = None  # never is: ``None`` is one of the plain
        failure: BaseException | None = None
        first, upto = lo - self.base, hi - self.base
        try:
            for start in range(first, upto, LOOK):
                for item in items[start : min(start + LOOK, upto)]:
                    result = apply(item)
                    if type(result) not in NUMBERS:
                        odd = result
                        break
                    append(result)
                if odd is not None or clock() > late:
                    break
        except self.catch() as error:  # the user's function
            failure = error
        at = lo + len(results)
        position.where, position.done = at, ()
        self.ticket.outputs.encoders[0].extend(results)
        if failure is not None:
            return at + 1, self.ticket.failed(at, item, failure)
        if odd is None:
            return at, None
        self.worker.numbers = False
        return at + 1, self._emit(at, item, odd)


def emitter(worker: StageWorker, ticket: TicketRun) -> Callable[[int, Any, Any], None]:
    arity = worker.spec.stage.arity
    if arity is Arity.ROUTED:
        return ticket.emit_routed
    if not ticket.outputs.read[0]:
        return ticket.emit_unread
    return ticket.emit_kept if arity is Arity.KEEP else ticket.emit_one


def _truth_of(apply: Callable[[Any], Any]) -> Callable[[Any], bool]:
    """Ask for the truth of a result where the user's function is called: that it has none is the function's failure."""

    def truth(item: Any) -> bool:
        keep = apply(item)
        return keep if keep is True or keep is False else bool(check_awaited(keep))

    return truth


def refused(worker: StageWorker, ticket: TicketRun, at: int, item: Any, result: Any, error: BaseException) -> Done | None:
    """Fail an item whose result cannot be handed on, saying what in it is to blame."""
    return ticket.failed(at, item, error, Kind.SERIALIZATION, explain(worker, result))


def explain(worker: StageWorker, result: Any) -> str:
    """Say what in a result is to blame, and what to do; ``""`` where that does not come to light."""
    try:
        return worker.codec.explain(result, "result")
    except worker.catch():  # the user's __reduce__, once more
        return ""


def unloadable(worker: StageWorker, ticket: TicketRun, at: int, error: BaseException) -> Done | None:
    """Blame the stage that made an item which cannot be loaded."""
    producer = worker.spec.producers[ticket.dispatch.port]
    note = ticket.note(at, None, error, Kind.SERIALIZATION)._replace(
        stage=producer.stage, declared_at=producer.declared_at, item_repr=None, node=producer.node
    )
    ticket.lose(at)
    ticket.unloaded += 1
    if not goes_on(producer.on_error):
        return ticket.done(at, finished=True, note=note)
    if is_recorded(producer.on_error):
        ticket.failures.append(note.in_words())
    return None


def ship(worker: StageWorker, ticket: TicketRun, upto: int, now: float) -> Done:
    """Tell the finished part; give back the rest when it takes long and others could take it, when this worker has had its day, or when
    nobody wants it."""
    return ticket.done(upto, finished=ticket.is_late(now) or worker.worn() or worker.cancelled(ticket.dispatch.ticket))
