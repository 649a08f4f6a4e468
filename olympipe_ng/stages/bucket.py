"""``bucket``: batches of items with equal ``key(item)``.

    a1 b1 a2 c1 a3   size 2 ──► [a1 a2]    flush ──► [b1] [c1] [a3]

A bucket that is full leaves at once and is forgotten, so memory follows the keys that wait, not the keys there ever were. What is left at
the end comes in the order in which the waiting buckets were begun. With ``within``, a bucket leaves when its oldest item is that old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from ..callables import check_plain, name_of
from ..checks import set_int, set_number
from ..origins import Origin, Origins
from .contract import Context, Emission, Stage, StreamTransform
from .holding import Outbox, batches_per_piece
from .keys import same_key

__all__ = ["Bucket"]


@dataclass(frozen=True, eq=False)
class Bucket(Stage):
    """Lists of ``batch_size`` items with equal ``key(item)``."""

    key: Callable[[Any], Any]
    batch_size: int
    within: float | None = None

    stateful: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_plain(self.kind, self.key)
        set_int(self, "batch_size", minimum=1)
        set_number(self, "within", above=0.0, none=True)

    @property
    def function_name(self) -> str:
        return name_of(self.key)

    def make(self, context: Context) -> StreamTransform:
        return _Buckets(self, context)


class _Filling(NamedTuple):
    since: float
    items: list[Any]
    origins: list[Origin]


class _Buckets(StreamTransform):
    def __init__(self, stage: Bucket, context: Context) -> None:
        self._stage = stage
        self._context = context
        self._filling: dict[Any, _Filling] = {}  # the one that was begun first stands first
        self._out = Outbox(batches_per_piece(stage.batch_size))
        self._ended = False

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        now = self._context.clock()
        yield from self._overdue(now)
        for item, origin in zip(items, origins, strict=True):
            self._put(item, origin, now)
            yield from self._out.full()
        yield from self._out.rest()

    def _put(self, item: Any, origin: Origin, now: float) -> None:
        key = self._stage.key(item)
        same = same_key(key)
        try:
            bucket = self._filling.get(same)
        except TypeError as error:
            raise TypeError(f"bucket needs hashable keys, got {type(key).__name__}") from error
        if bucket is None:
            bucket = self._filling[same] = _Filling(now, [], [])
        bucket.items.append(item)
        bucket.origins.append(origin)
        if len(bucket.items) == self._stage.batch_size:
            self._give(same)

    def _give(self, key: Any) -> None:
        bucket = self._filling.pop(key)
        self._out.put(bucket.items, Origins.of(bucket.origins).joined())

    def _overdue(self, now: float) -> Iterable[Emission]:
        while self.deadline is not None and self.deadline <= now:
            self._give(next(iter(self._filling)))
            yield from self._out.full()
        yield from self._out.rest()

    @property
    def deadline(self) -> float | None:
        if self._stage.within is None or self._ended or not self._filling:
            return None
        return next(iter(self._filling.values())).since + self._stage.within

    def tick(self) -> Iterable[Emission]:
        return self._overdue(self._context.clock())

    def end(self, port: int) -> Iterable[Emission]:
        self._ended = True
        return ()

    def flush(self) -> Iterable[Emission]:
        for key in list(self._filling):
            self._give(key)
            yield from self._out.full()
        yield from self._out.rest()
