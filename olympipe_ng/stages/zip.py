"""``zip``: tuples by position; ends with the shortest arm, and what the others have beyond counts as unpaired.

    arm 0   a b c        ──► (a 1) (b 2)      c is unpaired once arm 1 has ended
    arm 1   1 2 |

An arm that is ahead is not asked for more until the others have caught up, so at most one frame per arm waits here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_int
from ..origins import Origin, Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform
from .holding import PIECE, Waiting

__all__ = ["Zip"]


@dataclass(frozen=True, eq=False)
class Zip(Stage):
    """Tuples of one item of each of ``arms`` streams."""

    arms: int

    opaque: ClassVar[bool] = True
    tells_apart: ClassVar[bool] = True
    abreast: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "arms", minimum=1)

    def make(self, context: Context) -> StreamTransform:
        return _Zipping(self.arms, context)


class _Zipping(StreamTransform):
    def __init__(self, arms: int, context: Context) -> None:
        self.inputs = arms
        self._context = context
        self._waiting = [Waiting() for _ in range(arms)]
        self._ended: set[int] = set()

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        if self.done:
            self._context.count(Fate.UNPAIRED, origins)
            return
        self._waiting[port].put(items, origins)
        while pairs := min(map(len, self._waiting)):
            taken = [waiting.take(min(pairs, PIECE)) for waiting in self._waiting]
            columns, spans = [column for column, _ in taken], [theirs for _, theirs in taken]
            yield 0, list(zip(*columns, strict=True)), _paired(spans)

    def end(self, port: int) -> Iterable[Emission]:
        self._ended.add(port)
        return ()

    @property
    def ready(self) -> Sequence[int]:
        return [port for port, waiting in enumerate(self._waiting) if not waiting]

    @property
    def done(self) -> bool:
        return any(not self._waiting[port] for port in self._ended)

    def flush(self) -> Iterable[Emission]:
        for waiting in self._waiting:
            if waiting:
                self._context.count(Fate.UNPAIRED, waiting.take_all()[1])
        return ()


def _paired(columns: Sequence[Origins]) -> Origins:
    """Join the origins position by position; arms of one source that are abreast keep theirs, without a look at each."""
    if all(column.runs == columns[0].runs for column in columns):
        return columns[0]
    return Origins.of(map(_joined, zip(*columns, strict=True)))


def _joined(origins: tuple[Origin, ...]) -> Origin:
    if all(origin == origins[0] for origin in origins):
        return origins[0]
    return Origins.of(origins).joined()
