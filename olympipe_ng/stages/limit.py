"""``limit``: the first n items. It is done on its n-th item, without waiting for another; what it is given beyond counts as cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_int
from ..origins import Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform

__all__ = ["Limit"]


@dataclass(frozen=True, eq=False)
class Limit(Stage):
    """The first ``n`` items."""

    n: int

    opaque: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    passes_watermarks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "n", minimum=0)

    def make(self, context: Context) -> StreamTransform:
        return _Limited(self.n, context)


class _Limited(StreamTransform):
    def __init__(self, n: int, context: Context) -> None:
        self._left = n
        self._context = context

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        room = min(self._left, len(items))
        self._left -= room
        if room < len(items):
            self._context.count(Fate.CANCELLED, origins[room:])
        if room:
            yield 0, items[:room], origins[:room]

    @property
    def done(self) -> bool:
        return self._left == 0
