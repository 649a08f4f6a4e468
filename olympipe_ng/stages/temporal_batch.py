"""``temporal_batch``: a list of the items of each time window, for live streams.

    |a b   c|        |d      |      windows of ``time_interval`` follow one another from the first item on
       ──► [a b c]      ──► [d]     a window without items gives nothing

An item belongs to the window in which it *reaches this stage*. The last window ends with the stream.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_number
from ..origins import Origins
from .contract import Context, Emission, Stage, StreamTransform
from .holding import Waiting

__all__ = ["TemporalBatch"]


@dataclass(frozen=True, eq=False)
class TemporalBatch(Stage):
    """A list per window of ``time_interval`` seconds."""

    time_interval: float

    opaque: ClassVar[bool] = True
    tells_apart: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_number(self, "time_interval", above=0.0)

    def make(self, context: Context) -> StreamTransform:
        return _Windows(self.time_interval, context)


class _Windows(StreamTransform):
    def __init__(self, interval: float, context: Context) -> None:
        self._interval = interval
        self._context = context
        self._waiting = Waiting()
        self._until: float | None = None  # where the window of the newest item ends
        self._ended = False

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        now = self._context.clock()
        if self._until is None:
            self._until = now + self._interval
        elif self._until <= now:
            yield from self.flush()
            self._until = self._next_end(self._until, now)
        self._waiting.put(items, origins)

    def _next_end(self, until: float, now: float) -> float:
        until += (math.floor((now - until) / self._interval) + 1) * self._interval
        return until if until > now else now + self._interval  # rounding, for windows too short for the clock's digits

    @property
    def deadline(self) -> float | None:
        return self._until if self._waiting and not self._ended else None

    def tick(self) -> Iterable[Emission]:
        return self.flush()

    def end(self, port: int) -> Iterable[Emission]:
        self._ended = True
        return ()

    def flush(self) -> Iterable[Emission]:
        if self._waiting:
            items, origins = self._waiting.take_all()
            yield 0, [items], Origins.of([origins.joined()])
