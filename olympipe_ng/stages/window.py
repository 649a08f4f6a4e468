"""``window``: sliding windows, tuples of ``size`` items, each beginning ``step`` items after the one before.

    a b c d e    size=3, step=1 ──► (a b c) (b c d) (c d e)
    a b c d e    size=2, step=3 ──► (a b) (d e)               c is in no window: it counts as filtered

Only whole windows are given; what is in none of them at the end counts as filtered too.

Considered and refused: filling the last window (with what? ``None`` is data).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from ..checks import set_int
from ..origins import Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform
from .holding import Outbox, batches_per_piece
from .trail import Trail

__all__ = ["Window"]


@dataclass(frozen=True, eq=False)
class Window(Stage):
    """Tuples of ``size`` neighbouring items."""

    size: int
    step: int = 1

    opaque: ClassVar[bool] = True
    tells_apart: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "size", minimum=1)
        set_int(self, "step", minimum=1)

    def make(self, context: Context) -> StreamTransform:
        return _Sliding(self, context)


class _Sliding(StreamTransform):
    def __init__(self, stage: Window, context: Context) -> None:
        self._stage = stage
        self._context = context
        self._waiting: deque[Any] = deque()
        self._trail = Trail()  # of what waits
        self._gap = 0  # items to come that belong to no window
        self._seen = 0  # of the waiting items, how many the last window had
        self._out = Outbox(batches_per_piece(stage.size))

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        self._waiting.extend(items)
        self._trail.put(origins)
        self._leave_out()
        while len(self._waiting) >= self._stage.size:
            self._slide()
            yield from self._out.full()
        yield from self._out.rest()

    def _slide(self) -> None:
        size, step = self._stage.size, self._stage.step
        self._out.put(tuple(islice(self._waiting, size)), self._trail.joined(size))
        self._drop(min(size, step))
        self._seen, self._gap = max(0, size - step), max(0, step - size)
        self._leave_out()

    def _leave_out(self) -> None:
        if self._gap and self._waiting:
            left_out = min(self._gap, len(self._waiting))
            self._gap -= left_out
            self._filter(left_out)

    def flush(self) -> Iterable[Emission]:
        self._drop(self._seen)
        if self._waiting:
            self._filter(len(self._waiting))
        return ()

    def _filter(self, count: int) -> None:
        self._context.count(Fate.FILTERED, self._trail.first(count))
        self._drop(count)

    def _drop(self, count: int) -> None:
        self._trail.drop(count)
        for _ in range(count):
            self._waiting.popleft()
