"""``reduce``: fold the stream, ``accumulator = reducer(item, accumulator)``, one item at the end (the accumulator itself for an empty one).

Each run folds into a copy of the accumulator that the user gave. A reducer that returns ``DROP`` drops its item: the accumulator stays as
it was. The result's origin is the hull of all the items': one span per source.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import check_plain, name_of
from ..drop import DROP
from ..origins import Hull, Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform

__all__ = ["Fold", "Reduce"]


@dataclass(frozen=True, eq=False)
class Reduce(Stage):
    """One item at the end: ``reducer(item, accumulator)`` over all items."""

    accumulator: Any
    reducer: Callable[[Any, Any], Any]

    stateful: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_plain(self.kind, self.reducer)

    @property
    def function_name(self) -> str:
        return name_of(self.reducer)

    def make(self, context: Context) -> StreamTransform:
        return _Reduction(self.accumulator, self.reducer, context)


class Fold(StreamTransform):
    """A running value over the stream, and the origin of all that went into it."""

    def __init__(self, initial: Any, reducer: Callable[[Any, Any], Any], context: Context) -> None:
        self._initial = initial
        self._reducer = reducer
        self._context = context
        self._hull = Hull()

    def setup(self) -> None:
        self._value = copy.deepcopy(self._initial)

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        for position, item in enumerate(items):
            value = self._reducer(item, self._value)
            if value is DROP:
                self._context.count(Fate.FILTERED, origins[position : position + 1])
            else:
                self._value = value
        self._hull.add(origins)
        return ()


class _Reduction(Fold):
    def flush(self) -> Iterable[Emission]:
        yield 0, [self._value], self._hull.origins(1)
