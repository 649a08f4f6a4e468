"""Stream transforms in a worker: fed with a ticket's call, drained as far as there is room.

Those with user code are fed one item at a time, so that a failure has its item; cutting never changes their result. What was emitted is
told of at the next emission when that is long ago: a slow ``checkpoint`` streams.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..failures import Kind
from ..origins import NO_ORIGINS, Origins
from ..scheduler.messages import Done, Verb
from ..stages.contract import Emission, StreamTransform
from .items import explain, unloadable
from .many import SLOW_SECONDS, await_room
from .notes import make_note
from .seeding import seed_item
from .ticket import Answers, TicketRun

if TYPE_CHECKING:
    from .core import StageWorker

__all__ = ["run_stream"]

Call = Callable[[], Iterable[Emission]]


class _Unloaded(BaseException):
    """The item cannot be loaded; no exception of the user's can be mistaken for it."""


class _Refused(BaseException):
    """A result cannot be handed on."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


def run_stream(worker: StageWorker, ticket: TicketRun, transform: StreamTransform) -> Answers:
    """Make the calls that a ticket stands for."""
    ticket.tally = worker.tally = {}
    for at, call in _calls(worker, ticket, transform):
        ended = yield from _call(worker, ticket, call, at)
        if ended is not None:
            yield ended
            return
    yield ticket.done(ticket.dispatch.hi, finished=True, state=worker.state)


def _calls(worker: StageWorker, ticket: TicketRun, transform: StreamTransform) -> Iterable[tuple[int, Call]]:
    dispatch, verb = ticket.dispatch, ticket.dispatch.verb
    if verb is Verb.ITEMS:
        return _item_calls(worker, ticket, transform)
    calls: dict[Verb, Call] = {
        Verb.WATERMARK: lambda: transform.watermark(dispatch.port, dispatch.watermark),
        Verb.END: lambda: transform.end(dispatch.port),
        Verb.BEGIN: transform.begin,
        Verb.TICK: transform.tick,
        Verb.FLUSH: transform.flush,
    }
    return [(dispatch.hi, calls[verb])]


def _item_calls(worker: StageWorker, ticket: TicketRun, transform: StreamTransform) -> Iterator[tuple[int, Call]]:
    dispatch, items = ticket.dispatch, worker.open(ticket.dispatch)
    if worker.spec.stage.opaque:
        everything = [items[k] for k in range(dispatch.hi - dispatch.lo)]
        yield dispatch.lo, lambda: transform.process(dispatch.port, everything, dispatch.origins)
        return
    for at in range(dispatch.lo, dispatch.hi):
        ticket.position.where = at
        ticket.hold(at)
        seed_item(worker.spec, ticket.position, at)
        yield at, partial(_process_one, worker, ticket, transform, items, at)


def _process_one(worker: StageWorker, ticket: TicketRun, transform: StreamTransform, items: Any, at: int) -> Iterable[Emission]:
    try:
        item = items[at - ticket.dispatch.lo]
    except worker.catch() as error:  # the item's own unpickling
        raise _Unloaded from error
    return transform.process(ticket.dispatch.port, [item], ticket.origin(at))


def _call(worker: StageWorker, ticket: TicketRun, call: Call, at: int) -> Generator[Done, int, Done | None]:
    """Make one call, and emit what it yields as far as there is room. Only the call is the function's time: emitting may have to wait."""
    started = time.perf_counter()
    try:
        for outlet, items, origins in call():
            ticket.function_took(time.perf_counter() - started)
            yield from _emit_all(worker, ticket, at, outlet, items, origins)
            if time.perf_counter() - ticket.shipped > SLOW_SECONDS:
                yield ticket.done(at, finished=False)
                if worker.cancelled(ticket.dispatch.ticket):
                    return ticket.done(at, finished=True)
            started = time.perf_counter()
    except _Unloaded as unloaded:
        return unloadable(worker, ticket, at, cast(BaseException, unloaded.__cause__))
    except _Refused as refused:
        return _failed(worker, ticket, at, cast(BaseException, refused.__cause__), Kind.SERIALIZATION, explain(worker, refused.result))
    except worker.catch() as error:  # the user's function in the transform
        if ticket.closed:
            raise
        ticket.function_took(time.perf_counter() - started)
        return _failed(worker, ticket, at, error)
    ticket.function_took(time.perf_counter() - started)
    return None


def _emit_all(
    worker: StageWorker, ticket: TicketRun, at: int, outlet: int, items: Sequence[Any], origins: Origins
) -> Generator[Done, int, None]:
    done = 0
    while done < len(items):
        if ticket.used >= ticket.allowance:
            yield from await_room(ticket, at)
        upto = min(len(items), done + ticket.allowance - ticket.used)
        begun = done
        try:
            for done in range(begun, upto):
                ticket.outputs.add(outlet, items[done], NO_ORIGINS)
            done = upto
        except worker.catch() as error:  # the result's own pickling; those before it go out
            raise _Refused(items[done]) from error
        finally:
            ticket.outputs.origins[outlet].append(origins[begun:done])
            ticket.used += done - begun


def _failed(
    worker: StageWorker, ticket: TicketRun, at: int, error: BaseException, kind: str = Kind.RAISED, hint: str = ""
) -> Done | None:
    dispatch = ticket.dispatch
    if dispatch.verb is Verb.ITEMS and at < dispatch.hi and not worker.spec.stage.opaque:
        item = worker.look_again(ticket, at)
        return ticket.judge(at, item, error, ticket.note(at, item, error, kind)._replace(hint=hint))
    note = make_note(worker.spec, worker.codec, error, kind)._replace(hint=hint)
    return ticket.done(at, finished=True, note=note, state=worker.state)
