"""Items inside a stream transform: those that wait, and those that leave.

    items ──► Waiting ──► take(n) ──► Outbox ──► (0, items, origins)
                                                  in pieces of at most PIECE

Nothing here looks into an item: opaque kinds are built of these.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..origins import Origin, Origins
from .contract import Emission, StreamTransform

__all__ = ["PIECE", "Delaying", "Outbox", "Waiting", "batches_per_piece"]

PIECE = 256  # items per emission; more costs less per item, less lets a huge buffer leave as a stream and room run out in between


def batches_per_piece(size: int) -> int:
    """Return how many batches of ``size`` make one emission."""
    return max(1, PIECE // size)


class Waiting:
    """Items in the order they came, with their origins; put in some pieces, taken in others."""

    __slots__ = ("_count", "_parts", "_start")

    def __init__(self) -> None:
        self._parts: deque[tuple[list[Any], Origins]] = deque()
        self._start = 0  # within the first part
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, items: Sequence[Any], origins: Origins) -> None:
        """Add items behind those that wait."""
        if len(items):
            self._parts.append((list(items), origins))
            self._count += len(items)

    def take(self, count: int) -> tuple[list[Any], Origins]:
        """Return the oldest ``count`` items (or all there are), and forget them."""
        found: list[Any] = []
        origins = []
        lo = self._start
        for items, theirs in self._parts:
            hi = min(len(items), lo + count - len(found))
            found += items[lo:hi]
            origins.append(theirs[lo:hi])
            if len(found) >= count:
                break
            lo = 0
        self._drop(len(found))
        return found, Origins.concat(origins)

    def _drop(self, count: int) -> None:
        self._count -= count
        self._start += count
        while self._parts and self._start >= len(self._parts[0][0]):
            self._start -= len(self._parts.popleft()[0])

    def take_all(self) -> tuple[list[Any], Origins]:
        """Return all items, and forget them."""
        return self.take(self._count)

    def pieces(self) -> Iterator[Emission]:
        """Emit all items, in pieces."""
        while self._count:
            yield (0, *self.take(PIECE))


class Delaying(StreamTransform):
    """A stream transform that gives later what it was given, in order: while nothing waits, all is settled that was said to be."""

    def __init__(self) -> None:
        self._waiting = Waiting()
        self._watermark = 0

    def watermark(self, port: int, upto: int) -> Iterable[Emission]:
        self._watermark = upto
        return ()

    @property
    def settled(self) -> int:
        return 0 if self._waiting else self._watermark

    def flush(self) -> Iterable[Emission]:
        return self._waiting.pieces()


class Outbox:
    """Items on their way out, gathered into emissions of ``size``; what was put is kept until it is emitted, also over an error."""

    __slots__ = ("_items", "_origins", "_size")

    def __init__(self, size: int = PIECE) -> None:
        self._size = size
        self._items: list[Any] = []
        self._origins: list[Origin] = []

    def put(self, item: Any, origin: Origin) -> None:
        self._items.append(item)
        self._origins.append(origin)

    def full(self) -> Iterator[Emission]:
        """Emit, if there is enough for a piece."""
        if len(self._items) >= self._size:
            yield self._emission()

    def rest(self) -> Iterator[Emission]:
        """Emit what there is."""
        if self._items:
            yield self._emission()

    def _emission(self) -> Emission:
        items, origins = self._items, self._origins
        self._items, self._origins = [], []
        return 0, items, Origins.of(origins)
