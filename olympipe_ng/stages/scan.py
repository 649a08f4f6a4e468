"""``scan``: the running value after each item, ``accumulator = reducer(item, accumulator)``.

A reducer may change its accumulator in place and return it: then all running values are one object. So each is emitted by itself, and
the engine takes its snapshot before the next item is folded in.

Considered and refused: copying each value here (the engine's snapshot is that copy already).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..origins import Origins
from .contract import Context, Emission, Stage, StreamTransform
from .functions import check_plain, name_of

__all__ = ["Scan"]


@dataclass(frozen=True, eq=False)
class Scan(Stage):
    """The value of ``reducer(item, accumulator)`` after each item."""

    accumulator: Any
    reducer: Callable[[Any, Any], Any]

    stateful: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    passes_marks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_plain(self.kind, self.reducer)

    @property
    def function_name(self) -> str:
        return name_of(self.reducer)

    def make(self, context: Context) -> StreamTransform:
        return _Running(self)


class _Running(StreamTransform):
    def __init__(self, stage: Scan) -> None:
        self._stage = stage

    def setup(self) -> None:
        self._value = copy.deepcopy(self._stage.accumulator)

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        for position, item in enumerate(items):
            self._value = self._stage.reducer(item, self._value)
            yield 0, [self._value], origins[position : position + 1]
