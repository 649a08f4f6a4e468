"""``checkpoint``: fold the stream with ``reducer(item, state)``, at the end emit each item of ``emitter(state)``.

A fold, not a save point (for that there is ``resume=``). The emitter may be a generator: what it yields leaves as it comes, in pieces
that are closed after ``PATIENCE`` seconds, so a slow emitter does not hold back what it has given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import check_plain, name_of
from ..drop import DROP
from .contract import Context, Emission, Stage, StreamTransform
from .holding import PIECE
from .reduce import Fold

__all__ = ["Checkpoint"]

PATIENCE = 0.005  # seconds; longer makes fuller pieces, shorter lets a slow emitter's items leave sooner


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
        piece: list[Any] = []
        begun = self._context.clock()
        for item in self._emitter(self._value):
            if item is not DROP:
                piece.append(item)
            if piece and (len(piece) == PIECE or self._context.clock() - begun >= PATIENCE):
                yield 0, piece, self._hull.origins(len(piece))
                piece, begun = [], self._context.clock()
        if piece:
            yield 0, piece, self._hull.origins(len(piece))
