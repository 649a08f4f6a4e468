"""``shuffle``: another order; of the whole stream, or with a reservoir of ``buffer_size`` items.

    buffer_size=3    a b c | d ──► a random one of a b c leaves, d takes its place;  at the end the rest, shuffled

With a seed (the stage's, else the pipeline's) the order is the same in each run, however the stream was cut: one random number per item.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_int
from ..origins import Origin, Origins
from .contract import Context, Emission, Stage, StreamTransform
from .holding import Outbox

__all__ = ["Shuffle"]


@dataclass(frozen=True, eq=False)
class Shuffle(Stage):
    """The items in random order."""

    buffer_size: int | None = None
    seed: int | None = None

    opaque: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "buffer_size", minimum=1, none=True)
        set_int(self, "seed", minimum=None, none=True)

    def make(self, context: Context) -> StreamTransform:
        return _Reservoir(self.buffer_size, context.seed if self.seed is None else self.seed)


class _Reservoir(StreamTransform):
    def __init__(self, size: int | None, seed: int | None) -> None:
        self._size = size
        self._random = random.Random(None if seed is None else int(seed))
        self._kept: list[tuple[Any, Origin]] = []
        self._out = Outbox()

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        for pair in zip(items, origins, strict=True):
            if self._size is None or len(self._kept) < self._size:
                self._kept.append(pair)
                continue
            place = self._random.randrange(self._size)
            self._out.put(*self._kept[place])
            self._kept[place] = pair
            yield from self._out.full()
        yield from self._out.rest()

    def flush(self) -> Iterable[Emission]:
        self._random.shuffle(self._kept)
        while self._kept:
            self._out.put(*self._kept.pop())
            yield from self._out.full()
        yield from self._out.rest()
