"""``enumerate``: ``(number, item)``, counted from 0 in the order of the stream (an item's place in its *source* is its origin)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..origins import Origins
from .contract import Context, Emission, Stage, StreamTransform

__all__ = ["Enumerate"]


@dataclass(frozen=True, eq=False)
class Enumerate(Stage):
    """``(number, item)``."""

    opaque: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    passes_watermarks: ClassVar[bool] = True

    def make(self, context: Context) -> StreamTransform:
        return _Counting()


class _Counting(StreamTransform):
    def __init__(self) -> None:
        self._numbers = itertools.count()

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        yield 0, [(next(self._numbers), item) for item in items], origins
