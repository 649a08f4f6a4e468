"""Items that give any number of outputs: they stream, under an allowance, and are never collected.

    apply(item) ── output, output ... ──► frame ── a burst is full, or time is up ──► Done ──► output ...
                                                                                       (waiting for a Grant, if none is left)

What an item gave and nobody was told of yet is taken back when it fails, so that it can be run again whole. So that no engine and no delay
changes what comes of a failing item, it is told of its first outputs only when they are more than a burst (the same in every engine), or
when it is slow: an item that yields now and then streams. The allowance is asked for before an item's first output and behind each burst.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..drop import DROP
from ..scheduler.messages import Done
from ..stages.contract import ItemTransform
from .items import refused, ship, unloadable
from .seeding import seed_item
from .ticket import Answers, TicketRun

if TYPE_CHECKING:
    from .core import StageWorker

__all__ = ["SLOW_SECONDS", "await_room", "run_many", "spread"]

SLOW_SECONDS = 0.05  # outputs of an item in hand wait no longer: more keeps more failing items whole, less gives a slow stream sooner
BURST_BYTES = 256 << 10


def run_many(worker: StageWorker, ticket: TicketRun, transform: ItemTransform) -> Answers:
    """Run a ticket item by item."""
    dispatch, items = ticket.dispatch, worker.open(ticket.dispatch)
    for at in range(dispatch.lo, dispatch.hi):
        ticket.position.where = at
        ticket.hold(at)
        try:
            item = items[at - dispatch.lo]
        except worker.catch() as error:  # the item's own unpickling
            ended = unloadable(worker, ticket, at, error)
        else:
            seed_item(worker.spec, ticket.position, at)
            ended = yield from spread(worker, ticket, at, item, partial(transform.apply, item))
        if ended is not None:
            yield ended
            return
        ticket.emitted = 0
        now = time.perf_counter()
        if at + 1 < dispatch.hi and (ticket.is_due(now) or worker.worn()):
            told = ship(worker, ticket, at + 1, now)
            yield told
            if told.finished:
                return
    yield ticket.done(dispatch.hi, finished=True)


def spread(worker: StageWorker, ticket: TicketRun, at: int, item: Any, give: Callable[[], Any]) -> Generator[Done, int, Done | None]:
    """Emit the many outputs of one item, the elements of what ``give`` returns; return what ends the ticket."""
    ticket.fresh, ticket.unread = 0, False
    before = ticket.outputs.encoders[0].nbytes
    started = time.perf_counter()
    try:
        for result in _elements(give()):
            if result is DROP:
                continue
            if _is_due(ticket) or ticket.outputs.encoders[0].nbytes - before > BURST_BYTES:
                yield from _tell_between(ticket, at, started)
                before, started = 0, time.perf_counter()
            failed = _add(worker, ticket, at, item, result)
            if failed is not None:
                return failed.ended
            if time.perf_counter() - ticket.shipped > SLOW_SECONDS:
                yield from _tell_between(ticket, at, started)
                before, started = 0, time.perf_counter()
                if worker.cancelled(ticket.dispatch.ticket):
                    return ticket.done(at, finished=True)
    except worker.catch() as error:  # the user's function or iterable
        if ticket.closed:
            raise
        ticket.function_took(time.perf_counter() - started)
        started = time.perf_counter()
        ticket.take_back_fresh()
        return ticket.failed(at, item, error)
    finally:
        ticket.function_took(time.perf_counter() - started)
    if not ticket.fresh and not ticket.emitted:
        ticket.count("unread" if ticket.unread else "filtered")
    return None


def _elements(result: Any) -> Iterable[Any]:
    """Return what an item's result is iterated for; ``DROP`` stands for nothing, here and among the elements."""
    return () if result is DROP else result


class Failed(NamedTuple):
    """An item failed; ``ended``: and so did its ticket."""

    ended: Done | None


def _add(worker: StageWorker, ticket: TicketRun, at: int, item: Any, result: Any) -> Failed | None:
    """Take one of the outputs of an item; if it cannot be encoded the item fails."""
    if not ticket.outputs.read[0]:
        ticket.unread = True
        return None
    try:
        ticket.outputs.add(0, result, ticket.origin(at))
    except worker.catch() as error:  # the output's own pickling
        ticket.take_back_fresh()
        return Failed(refused(worker, ticket, at, item, result, error))
    ticket.fresh += 1
    ticket.used += 1
    return None


def _is_due(ticket: TicketRun) -> bool:
    """Say whether what there is must be told before another output of the item in hand is taken."""
    return ticket.fresh >= ticket.spec.burst or (not ticket.fresh and ticket.used >= ticket.allowance)


def _tell_between(ticket: TicketRun, at: int, started: float) -> Generator[Done, int, None]:
    """Tell what there is; wait until the edge has room again where the allowance is used up."""
    ticket.function_took(time.perf_counter() - started, goes_on=True)
    ticket.emitted += ticket.fresh
    ticket.fresh = 0
    if ticket.used < ticket.allowance:
        yield ticket.done(at, finished=False)
    else:
        yield from await_room(ticket, at)


def await_room(ticket: TicketRun, at: int) -> Generator[Done, int, None]:
    """Tell what there is, and wait until the edge has room again."""
    told = ticket.done(at, finished=False, waiting=True)
    since = time.perf_counter()
    try:
        ticket.allowance = yield told
    except GeneratorExit:
        ticket.closed = True  # nobody wants the rest: no failure of the item in hand
        raise
    ticket.paused(since)
    ticket.used = 0
