"""``skip``: all but the first n items, which count as filtered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_int
from ..origins import Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform

__all__ = ["Skip"]


@dataclass(frozen=True, eq=False)
class Skip(Stage):
    """All but the first ``n`` items."""

    n: int

    opaque: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    passes_watermarks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "n", minimum=0)

    def make(self, context: Context) -> StreamTransform:
        return _Skipping(self.n, context)


class _Skipping(StreamTransform):
    def __init__(self, n: int, context: Context) -> None:
        self._left = n
        self._context = context

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        passed_over = min(self._left, len(items))
        self._left -= passed_over
        if passed_over:
            self._context.count(Fate.FILTERED, origins[:passed_over])
        if passed_over < len(items):
            yield 0, items[passed_over:], origins[passed_over:]
