"""Items of an ``async def``: one coroutine a ticket, many of them at once on a worker's event loop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, cast

from ..errors import StageTimeout
from ..failures import Kind
from ..lazy import lazy
from ..scheduler.messages import JUDGEMENTS, Dispatch, Done
from ..stages.contract import Arity, ItemTransform
from .items import emitter, refused, ship, unloadable
from .many import spread
from .seeding import seed_item
from .ticket import TicketRun

if TYPE_CHECKING:
    import asyncio

    from .core import StageWorker
else:
    asyncio = lazy("asyncio")

__all__ = ["run_async"]

CANCEL_SECONDS = 0.5  # for a cancelled coroutine to clean up; one that refuses to end is left behind

Tell = Callable[[Done], Any]
Room = Callable[[int], Awaitable[int]]


class _Late(BaseException):
    """The user's coroutine has taken too long; no exception of the user's can be mistaken for it."""


async def run_async(worker: StageWorker, dispatch: Dispatch, tell: Tell, room: Room) -> None:
    """Run a ticket; ``tell`` takes each ``Done``, ``await room(ticket)`` gives the next allowance."""
    ticket = worker.begin(dispatch)
    try:
        await _run(worker, ticket, tell, room)
    finally:
        worker.hands.put_down(ticket.slot)


async def _run(worker: StageWorker, ticket: TicketRun, tell: Tell, room: Room) -> None:
    dispatch = ticket.dispatch
    if dispatch.verb in JUDGEMENTS:
        for told in worker.judge(ticket):
            tell(told)
        return
    items = worker.open(dispatch)
    for at in range(dispatch.lo, dispatch.hi):
        ended = await _one(worker, ticket, items, at, tell, room)
        if ended is not None:
            tell(ended)
            return
        ticket.emitted = 0
        now = time.perf_counter()
        if at + 1 < dispatch.hi and (ticket.is_due(now) or worker.worn() or worker.cancelled(dispatch.ticket)):
            told = ship(worker, ticket, at + 1, now)
            tell(told)
            if told.finished:
                return
    tell(ticket.done(dispatch.hi, finished=True))


async def _one(worker: StageWorker, ticket: TicketRun, items: Any, at: int, tell: Tell, room: Room) -> Done | None:
    """Await one item and emit its outputs."""
    ticket.position.where = at
    ticket.hold(at)
    try:
        item = items[at - ticket.dispatch.lo]
    except worker.catch() as error:  # the item's own unpickling
        return unloadable(worker, ticket, at, error)
    arity = worker.spec.stage.arity
    seed_item(worker.spec, ticket.position, at)
    started = time.perf_counter()
    try:
        try:
            result = await _in_time(cast(ItemTransform, worker.transform).apply(item), worker.spec.plan.timeout)
            if arity is Arity.KEEP:
                result = bool(result)
        finally:  # before what failed is told, with the time that it took
            ticket.function_took(time.perf_counter() - started)
    except _Late as late:
        return _failed(worker, ticket, at, item, StageTimeout(str(late)), Kind.TIMEOUT)
    except worker.catch() as error:  # the user's coroutine
        return _failed(worker, ticket, at, item, error)
    if arity is Arity.MANY:
        return await _emit_all(ticket, at, spread(worker, ticket, at, item, lambda: result), tell, room)
    try:
        emitter(worker, ticket)(at, item, result)
    except worker.catch() as error:  # the result's own pickling
        return refused(worker, ticket, at, item, result, error)
    return None


def _failed(
    worker: StageWorker, ticket: TicketRun, at: int, item: Any, error: BaseException, kind: str = Kind.RAISED
) -> Done | None:
    """Apply the stage's policy to an item that failed, unless nobody wants it any more: then it was cancelled in the middle."""
    if worker.cancelled(ticket.dispatch.ticket):
        return ticket.done(at, finished=True)
    return ticket.failed(at, item, error, kind)


async def _in_time(outcome: Awaitable[Any], limit: float | None) -> Any:
    """Await what the user's function gave, cancelling it when it takes longer than the stage's ``timeout``."""
    if limit is None:
        return await outcome
    task = asyncio.ensure_future(_outcome(outcome))
    try:
        await asyncio.wait([task], timeout=limit)
    except asyncio.CancelledError:  # nobody wants it any more: how long it may clean up is its worker's affair
        task.cancel()
        await asyncio.wait([task])
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_SECONDS)
        raise _Late(f"took longer than timeout={limit:g} s")
    result, error = task.result()
    if error is not None:
        raise error
    return result


async def _outcome(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """Give what an awaitable raised as a value where raising it would end the loop with it, or lose its words (before 3.11 a task that is
    cancelled from within gives a ``CancelledError`` of its own)."""
    try:
        return await awaitable, None
    except BaseException as error:  # the user's, or ours, which nobody looks at, nor at one behind a time-out
        return None, error


async def _emit_all(ticket: TicketRun, at: int, telling: Generator[Done, int, Done | None], tell: Tell, room: Room) -> Done | None:
    """Emit the many outputs of one item, waiting for room where it runs out. Others have their turn whenever something is told."""
    allowance: Any = None  # what a generator must be sent first
    while True:
        try:
            told = telling.send(allowance)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]
        tell(told)
        try:
            allowance = await (room(ticket.dispatch.ticket) if told.waiting else asyncio.sleep(0, 0))
        except BaseException:  # the loop ends: no failure of the item in hand
            ticket.closed = True
            raise
        if allowance < 0:
            telling.close()
            return ticket.done(at, finished=True)
