"""``latest``: keep the newest n waiting items, drop the others, never slow what is upstream (for cameras and displays).

    process   keeps, emits nothing: it can always be called, whatever room there is behind it
    tick      gives the oldest of the kept, one at a time: it is due as soon as something waits, and called when there is room

So an item is given up as late as can be: until downstream really takes it, a newer one may take its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_int
from ..origins import Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform
from .holding import Delaying

__all__ = ["Latest"]


@dataclass(frozen=True, eq=False)
class Latest(Stage):
    """The newest ``n`` of the items that wait; the others count as dropped."""

    n: int = 1

    opaque: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    tells_settled: ClassVar[bool] = True
    drops_silently: ClassVar[bool] = True
    keeps_fresh: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "n", minimum=1)

    def make(self, context: Context) -> StreamTransform:
        return _Newest(self.n, context)


class _Newest(Delaying):
    def __init__(self, n: int, context: Context) -> None:
        super().__init__()
        self._n = n
        self._context = context
        self._since = 0.0  # when the newest came: past, so a tick is due

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        self._since = self._context.clock()
        self._waiting.put(items, origins)
        surplus = len(self._waiting) - self._n
        if surplus > 0:
            self._context.count(Fate.DROPPED, self._waiting.take(surplus)[1])
        return ()

    @property
    def deadline(self) -> float | None:
        return self._since if self._waiting else None

    def tick(self) -> Iterable[Emission]:
        if self._waiting:
            yield (0, *self._waiting.take(1))
