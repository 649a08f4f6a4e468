"""Which parts of a segment of memory, or of a file, are free: the lowest that fits is taken, and neighbours are joined when they are."""

from __future__ import annotations

import bisect

__all__ = ["Space"]


class Space:
    """A stretch of bytes, up to ``limit`` or without end."""

    def __init__(self, limit: int | None = None) -> None:
        self.end = 0  # beyond it all is free
        self._limit = limit
        self._holes: list[tuple[int, int]] = []  # (offset, length) before the end, by offset, no two adjacent

    def take(self, size: int) -> int | None:
        """Return the lowest offset with so much room, and keep it; ``None`` where there is none."""
        for index, (offset, length) in enumerate(self._holes):
            if length >= size:
                self._holes[index : index + 1] = [(offset + size, length - size)] if length > size else []
                return offset
        if self._limit is not None and self.end + size > self._limit:
            return None
        offset, self.end = self.end, self.end + size
        return offset

    def give(self, offset: int, size: int) -> None:
        """Free what was taken, joining it to the holes beside it."""
        index = bisect.bisect_left(self._holes, (offset, 0))
        if index < len(self._holes) and self._holes[index][0] == offset + size:
            size += self._holes.pop(index)[1]
        if index and sum(self._holes[index - 1]) == offset:
            offset, before = self._holes.pop(index - 1)
            size, index = size + before, index - 1
        if offset + size == self.end:
            self.end = offset
        else:
            self._holes.insert(index, (offset, size))
