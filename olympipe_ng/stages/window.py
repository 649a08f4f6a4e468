"""``window``: sliding windows, tuples of ``size`` items, each beginning ``step`` items after the one before.

    a b c d e    size=3, step=1 ──► (a b c) (b c d) (c d e)
    a b c d e    size=2, step=3 ──► (a b) (d e)               c is in no window: it counts as filtered

Only whole windows are given; what is in none of them at the end counts as filtered too.

Considered and refused: filling the last window (with what? ``None`` is data).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_int
from ..origins import Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform
from .holding import Outbox, Waiting, batches_per_piece

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
        self._waiting = Waiting()
        self._gap = 0  # items to come that belong to no window
        self._seen = 0  # of the waiting items, how many the last window had
        self._out = Outbox(batches_per_piece(stage.size))

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        self._waiting.put(items, origins)
        self._leave_out()
        while len(self._waiting) >= self._stage.size:
            self._slide()
            yield from self._out.full()
        yield from self._out.rest()

    def _slide(self) -> None:
        size, step = self._stage.size, self._stage.step
        items, origins = self._waiting.peek(size)
        self._out.put(tuple(items), origins.joined())
        self._waiting.drop(min(size, step))
        self._seen, self._gap = max(0, size - step), max(0, step - size)
        self._leave_out()

    def _leave_out(self) -> None:
        if self._gap and self._waiting:
            origins = self._waiting.take(self._gap)[1]
            self._gap -= len(origins)
            self._context.count(Fate.FILTERED, origins)

    def flush(self) -> Iterable[Emission]:
        self._waiting.drop(self._seen)
        if self._waiting:
            self._context.count(Fate.FILTERED, self._waiting.take_all()[1])
        return ()
