"""``scan``: the running value after each item, ``accumulator = reducer(item, accumulator)``.

A reducer may change its accumulator in place and return it: then all running values are one object. So each is emitted by itself, and
the engine takes its snapshot before the next item is folded in. A reducer that returns ``DROP`` drops its item: it gives no value, and the
running value stays as it was.

Considered and refused: copying each value here (the engine's snapshot is that copy already).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import check_plain, name_of
from ..drop import DROP
from ..origins import Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform

__all__ = ["Scan"]


@dataclass(frozen=True, eq=False)
class Scan(Stage):
    """The value of ``reducer(item, accumulator)`` after each item."""

    accumulator: Any
    reducer: Callable[[Any, Any], Any]

    stateful: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    passes_watermarks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_plain(self.kind, self.reducer)

    @property
    def function_name(self) -> str:
        return name_of(self.reducer)

    def make(self, context: Context) -> StreamTransform:
        return _Running(self, context)


class _Running(StreamTransform):
    def __init__(self, stage: Scan, context: Context) -> None:
        self._stage = stage
        self._context = context

    def setup(self) -> None:
        self._value = copy.deepcopy(self._stage.accumulator)

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        for position, item in enumerate(items):
            value, origin = self._stage.reducer(item, self._value), origins[position : position + 1]
            if value is DROP:
                self._context.count(Fate.FILTERED, origin)
            else:
                self._value = value
                yield 0, [value], origin
