"""``throttle``: at most ``per_second`` items a second, evenly spaced, no bursts.

Holds what it was given and asks for no more until it is through (``ready``); gives one item when it is due (``deadline``). Time in which
it had nothing to give is not saved up. A tick that comes a little late is made good, up to ``GRAIN``, else a fast rate would lag by the
engine's latency at every item.

Considered and refused: a token bucket (it saves up bursts); sleeping (the worker has other stages' ticks to serve).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_number
from ..origins import Origins
from .contract import Context, Emission, Stage, StreamTransform
from .holding import Delaying

__all__ = ["Throttle"]

GRAIN = 0.002  # seconds of lateness made good: more keeps the rate on a busy machine, less keeps the spacing


@dataclass(frozen=True, eq=False)
class Throttle(Stage):
    """At most ``per_second`` items a second, evenly spaced."""

    per_second: float

    opaque: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    tells_settled: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_number(self, "per_second", above=0.0)

    def make(self, context: Context) -> StreamTransform:
        return _Spaced(self.per_second, context)


class _Spaced(Delaying):
    def __init__(self, per_second: float, context: Context) -> None:
        super().__init__()
        self._interval = 1.0 / per_second
        self._context = context
        self._next = float("-inf")  # when the next item may go

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        now = self._context.clock()
        if not self._waiting:
            self._next = max(self._next, now)
        self._waiting.put(items, origins)
        return self._due(now)

    def tick(self) -> Iterable[Emission]:
        now = self._context.clock()
        self._next = max(self._next, now - GRAIN)
        return self._due(now)

    def _due(self, now: float) -> Iterable[Emission]:
        while self._waiting and self._next <= now:
            self._next += self._interval
            yield (0, *self._waiting.take(1))

    @property
    def ready(self) -> Sequence[int]:
        return () if self._waiting else (0,)

    @property
    def deadline(self) -> float | None:
        return self._next if self._waiting else None
