"""``uncache``: changes nothing. ``cached_task`` gives plain values; olympipe's gave envelopes that had to be opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..origins import Origins
from .contract import Context, Emission, Stage, StreamTransform

__all__ = ["Uncache"]


@dataclass(frozen=True, eq=False)
class Uncache(Stage):
    """The items as they are."""

    opaque: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    passes_watermarks: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def make(self, context: Context) -> StreamTransform:
        return _Passing()


class _Passing(StreamTransform):
    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        yield 0, items, origins
