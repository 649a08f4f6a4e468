"""``batch``: lists of ``batch_size`` items; with ``within``, also what is there when the oldest item is that old.

    a b c d e ──► [a b] [c d]   flush ──► [e]      (``keep_incomplete_batch=False``: e counts as filtered)

Considered and refused: letting an overdue batch grow while it waits for room (its size would depend on how the frames were cut).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_int, set_number
from ..errors import GraphError
from ..origins import Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform
from .holding import Outbox, Waiting, batches_per_piece

__all__ = ["Batch"]


@dataclass(frozen=True, eq=False)
class Batch(Stage):
    """Lists of ``batch_size`` items."""

    batch_size: int = 2
    keep_incomplete_batch: bool = True
    within: float | None = None

    opaque: ClassVar[bool] = True
    tells_apart: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "batch_size", minimum=1)
        set_number(self, "within", above=0.0, none=True)
        if not isinstance(self.keep_incomplete_batch, bool):
            raise GraphError(f"keep_incomplete_batch must be True or False, got {self.keep_incomplete_batch!r}")

    def make(self, context: Context) -> StreamTransform:
        return _Batching(self, context)


class _Batching(StreamTransform):
    def __init__(self, stage: Batch, context: Context) -> None:
        self._stage = stage
        self._context = context
        self._waiting = Waiting()
        self._out = Outbox(batches_per_piece(stage.batch_size))
        self._since = 0.0  # when the oldest waiting item came
        self._ended = False

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        now = self._context.clock()
        if self.deadline is not None and self.deadline <= now:
            yield from self._partial()
        if not self._waiting:
            self._since = now
        self._waiting.put(items, origins)
        while len(self._waiting) >= self._stage.batch_size:
            self._cut()
            self._since = now
            yield from self._out.full()
        yield from self._out.rest()

    def _cut(self) -> None:
        items, origins = self._waiting.take(self._stage.batch_size)
        self._out.put(items, origins.joined())

    def _partial(self) -> Iterable[Emission]:
        if self._waiting:
            self._cut()
        return self._out.rest()

    @property
    def deadline(self) -> float | None:
        if self._stage.within is None or self._ended or not self._waiting:
            return None
        return self._since + self._stage.within

    def tick(self) -> Iterable[Emission]:
        return self._partial()

    def end(self, port: int) -> Iterable[Emission]:
        self._ended = True
        return ()

    def flush(self) -> Iterable[Emission]:
        if self._stage.keep_incomplete_batch:
            return self._partial()
        if self._waiting:
            self._context.count(Fate.FILTERED, self._waiting.take_all()[1])
        return ()
