"""``rejoin``: bring the branches of one source together again *item by item*, in source order.

    arm 0   items 0 1 2 3     watermark 4    item 1 was filtered out of arm 1:
    arm 1   items 0   2       watermark 3    ──►  (0 0) (2 2)   or with ``missing=None``  (0 0) (1 None) (2 2);  3 waits for arm 1

Items are matched by origin. A **watermark** says up to which index an arm is settled: what has not come by then never will. So an item
leaves when it is below the watermarks of all arms, complete or not; it is never waited for in vain.

An arm that is ahead is not asked for more while it has items waiting here: the arm with the lowest watermark always is, so there is always
one that can go on.

What stands before the fork may join source items (``batch``, ``window``, ``zip``), as long as no two items get the same ones and they stay
in order: the spans of a batch are an origin like any other, and it is settled with the last of them.

Considered and refused: several items of one origin, as behind ``explode``, paired by counting them (an arm that drops one of them shifts
those that follow, and how many one source item gives is only known when it is through: an endless one would be held whole); numbering
items anew at the fork (the origin is what errors and ``current_item`` speak of, and a number for each would cost a run for each);
an order that is not the source's before the fork (``shuffle``, ``gather``, ``bucket``'s left-overs: what is below a watermark could still
come, so nothing could be given before the end); matching by position (that is ``zip``: one filtered item shifts all that follow); giving a
complete item before it is settled (its elders may still come, and source order would be lost).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_int
from ..drop import DROP
from ..errors import InternalError
from ..origins import Origin, Origins
from ..scalars import SCALARS
from .contract import Context, Emission, Fate, Stage, StreamTransform
from .holding import Outbox

__all__ = ["Rejoin"]

_ABSENT = object()
_ENDED = float("inf")


@dataclass(frozen=True, eq=False)
class Rejoin(Stage):
    """Tuples of what became of one source item in each of ``arms`` streams; what an arm lacks is ``missing``, or drops the item."""

    arms: int
    missing: Any = DROP

    wants_watermarks: ClassVar[bool] = True
    tells_settled: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "arms", minimum=1)

    @property
    def opaque(self) -> bool:
        """Say whether ``missing`` can stand among encoded items: an object of the user's cannot."""
        return self.missing is DROP or type(self.missing) in SCALARS

    @property
    def drops_silently(self) -> bool:
        return self.missing is DROP

    def make(self, context: Context) -> StreamTransform:
        return _Rejoining(self, context)


class _Rejoining(StreamTransform):
    def __init__(self, stage: Rejoin, context: Context) -> None:
        self.inputs = stage.arms
        self._missing = stage.missing
        self._context = context
        self._settled = [0.0] * stage.arms
        self._held = [0] * stage.arms  # items that wait, per arm
        self._rows: dict[Origin, list[Any]] = {}
        self._order: list[tuple[int, Origin]] = []  # a heap: the oldest row first
        self._out = Outbox()

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        for item, origin in zip(items, origins, strict=True):
            row = self._rows.get(origin) or self._new_row(origin)
            if row[port] is not _ABSENT:
                raise InternalError(f"rejoin was given two items of one origin by arm {port}: {origin}")
            row[port] = item
        self._held[port] += len(items)
        return ()

    def _new_row(self, origin: Origin) -> list[Any]:
        row = self._rows[origin] = [_ABSENT] * self.inputs
        heapq.heappush(self._order, (max(stop for _, _, stop in origin), origin))
        return row

    def watermark(self, port: int, upto: int) -> Iterable[Emission]:
        self._settled[port] = max(self._settled[port], upto)
        return self._release()

    def end(self, port: int) -> Iterable[Emission]:
        self._settled[port] = _ENDED
        return self._release()

    def flush(self) -> Iterable[Emission]:
        self._settled = [_ENDED] * self.inputs
        return self._release()

    def _release(self) -> Iterable[Emission]:
        upto = min(self._settled)
        dropped: list[Origin] = []
        while self._order and self._order[0][0] <= upto:
            origin = heapq.heappop(self._order)[1]
            dropped += self._leave(origin, self._rows.pop(origin))
            yield from self._out.full()
        if dropped:
            self._context.count(Fate.DROPPED, Origins.of(dropped))
        yield from self._out.rest()

    def _leave(self, origin: Origin, row: list[Any]) -> list[Origin]:
        """Give one tuple, or say which input items go down with it."""
        here = [port for port, item in enumerate(row) if item is not _ABSENT]
        for port in here:
            self._held[port] -= 1
        if len(here) < self.inputs and self._missing is DROP:
            return [origin] * len(here)
        self._out.put(tuple(self._missing if item is _ABSENT else item for item in row), origin)
        return []

    @property
    def settled(self) -> int:
        lowest = min(self._settled)
        return 0 if lowest == _ENDED else int(lowest)

    @property
    def ready(self) -> Sequence[int]:
        lowest = min(self._settled)
        return [port for port in range(self.inputs) if self._settled[port] <= lowest or not self._held[port]]
