"""Results that wait to be encoded together, ``frame_pickling="list"``.

    wait(at, item, result) ──► pending ── settle ──► encoder.extend ──► all of them at once
                                                         └── fails ──► one by one, as ever: the guilty one fails, in its place

Nothing is told of while something waits, so an item that turns out to be unpicklable fails as if its result had been encoded at once;
only, the functions of those behind it have been called by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from ..drop import DROP
from ..scheduler.messages import Done
from ..stages.contract import Arity
from ..transport.packing import MOST
from .ticket import Catch, TicketRun

if TYPE_CHECKING:
    from .core import StageWorker

__all__ = ["Together", "encodes_one"]


def encodes_one(worker: StageWorker, ticket: TicketRun) -> bool:
    """Tell whether each item gives at most one output, to one outlet that is read."""
    return worker.spec.stage.arity in (Arity.ONE, Arity.KEEP) and ticket.outputs.read[0]


class Together:
    """The results of a ticket that were not encoded yet. ``emit`` takes one and may raise, ``emit_alone`` makes a failure of that."""

    __slots__ = ("_ats", "_emit", "_emit_alone", "_items", "_keeps", "_results", "_ticket")

    def __init__(
        self, ticket: TicketRun, emit: Callable[[int, Any, Any], None], emit_alone: Callable[[int, Any, Any], Done | None]
    ) -> None:
        self._ticket = ticket
        self._emit = emit
        self._emit_alone = emit_alone
        self._keeps = ticket.spec.stage.arity is Arity.KEEP
        self._clear()

    def _clear(self) -> None:
        self._ats: list[int] = []
        self._items: list[Any] = []
        self._results: list[Any] = []

    @property
    def full(self) -> bool:
        return len(self._ats) >= MOST

    def wait(self, at: int, items: Sequence[Any], results: Sequence[Any]) -> None:
        """Take what the user's function gave for the items from position ``at`` on."""
        self._ats += range(at, at + len(results))
        self._items += items[: len(results)]
        self._results += results

    def settle(self, catch: Catch) -> Done | None:
        """Encode what waits; return what ends the ticket, if something failed."""
        ats, items, results = self._ats, self._items, self._results
        if not ats:
            return None
        self._clear()
        encoder, keeps = self._ticket.outputs.encoders[0], self._keeps
        before = encoder.count
        try:
            passed = [result is not DROP and (not keeps or bool(result)) for result in results]
            outputs = items if keeps else results
            encoder.extend(outputs if all(passed) else list(compress(outputs, passed)))
        except catch():  # a result's own pickling
            encoder.forget(encoder.count - before)
            return self._emit_each(ats, items, results)
        for k in (k for k, is_output in enumerate(passed) if not is_output):
            self._emit(ats[k], items[k], DROP)
        return None

    def _emit_each(self, ats: list[int], items: list[Any], results: list[Any]) -> Done | None:
        for at, item, result in zip(ats, items, results, strict=True):
            self._ticket.position.where = at
            ended = self._emit_alone(at, item, result)
            if ended is not None:
                return ended
        return None
