"""``checkpoint``: fold the stream with ``reducer(item, state)``, at the end emit each item of ``emitter(state)``.

A fold, not a save point (for that there is ``resume=``). The emitter may be a generator: each item is emitted by itself, so the engine
takes its snapshot before the generator goes on and changes it, and a slow emitter holds back nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import check_plain, name_of
from ..drop import DROP
from .contract import Context, Emission, Stage, StreamTransform
from .reduce import Fold

__all__ = ["Checkpoint"]


@dataclass(frozen=True, eq=False)
class Checkpoint(Stage):
    """Each item of ``emitter(state)``, after ``state = reducer(item, state)`` over all items."""

    initial: Any
    reducer: Callable[[Any, Any], Any]
    emitter: Callable[[Any], Iterable[Any]]

    stateful: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_plain(self.kind, self.reducer)
        check_plain(self.kind, self.emitter)

    @property
    def function_name(self) -> str:
        return name_of(self.reducer)

    def make(self, context: Context) -> StreamTransform:
        return _Checkpoint(self, context)


class _Checkpoint(Fold):
    def __init__(self, stage: Checkpoint, context: Context) -> None:
        super().__init__(stage.initial, stage.reducer, context)
        self._emitter = stage.emitter

    def flush(self) -> Iterable[Emission]:
        origins = self._hull.origins(1)
        for item in self._emitter(self._value):
            if item is not DROP:
                yield 0, [item], origins
