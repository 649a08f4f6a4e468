"""Encoded items on disk: for what ``zip`` and ``rejoin`` make wait when memory is not enough.

    Spool.write(encoded) ──► Spilled, a payload like any other ──► cut(lo, hi) reads it back
                                    └── the last reference gone ──► its space is free

One file a run, without a name from the beginning, so nothing of it survives the process. Space is used again, the lowest first. It is
written by one thread; anybody may read.

Considered and refused: a file per frame (a descriptor or a name each); ``mmap`` (a full disk would be a SIGBUS instead of an error).
"""

from __future__ import annotations

import marshal
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ..lazy import lazy
from .encoded import Encoded
from .incoming import AT_MOST
from .space import Space
from .wire import Buffer

__all__ = ["Spilled", "Spool"]

tempfile = lazy("tempfile")

POSITIONS = hasattr(os, "pread")  # Windows has no reading and writing at a place
_seeking = threading.Lock()


class Spool:
    """The temporary file of a run; made when something is first written."""

    def __init__(self) -> None:
        self._file: Any = None
        self._space = Space()
        self._gone: deque[tuple[int, int]] = deque()  # filled by whatever thread drops the last reference
        self._last: tuple[int, Encoded | None] = (-1, None)  # a frame is often read piece by piece
        self._written = 0

    @property
    def size(self) -> int:
        """Bytes from the beginning of the file to the end of what is in use."""
        self._take_back()
        return self._space.end

    def write(self, payload: Encoded) -> Spilled:
        """Write items that reference no shared memory; ``OSError`` where the disk does not take them."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="olympipe_ng-", buffering=0)
        self._take_back()
        header = marshal.dumps(payload.header())
        data = b"".join((header, *payload.segments()))
        offset = self._space.take(len(data))
        assert offset is not None, "a file has no end"
        try:
            _write(self._file.fileno(), data, offset)
        except OSError:
            self._space.give(offset, len(data))
            raise
        self._written += 1
        return Spilled(self, self._written, payload, (offset, len(header), len(data)))

    def read(self, number: int, place: tuple[int, int, int]) -> Encoded:
        """Return the items of a ``Spilled``."""
        known, last = self._last
        if known == number and last is not None:
            return last
        offset, header, size = place
        data = memoryview(_read(self._file.fileno(), size, offset))
        loaded = Encoded.from_wire(marshal.loads(data[:header]), data[header:])
        self._last = (number, loaded)
        return loaded

    def forget(self, number: int, offset: int, size: int) -> None:
        """Take note that nobody can read a ``Spilled`` any more; from any thread."""
        if self._last[0] == number:
            self._last = (-1, None)
        self._gone.append((offset, size))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._last = (-1, None)

    def _take_back(self) -> None:
        """Use again what is not referenced any more, and give the end of the file back to the disk."""
        before = self._space.end
        while self._gone:
            self._space.give(*self._gone.popleft())
        if self._space.end < before:
            os.ftruncate(self._file.fileno(), self._space.end)


class Spilled(Encoded):
    """Items that lie in the spool: a payload that is read when it is cut."""

    __slots__ = ("_nbytes", "_number", "_place", "_spool")

    def __init__(self, spool: Spool, number: int, payload: Encoded, place: tuple[int, int, int]) -> None:
        self.count = payload.count
        self._nbytes = payload.nbytes
        self._number = number
        self._place = place  # offset, length of the header, length of all
        self._spool = spool

    def __del__(self) -> None:
        self._spool.forget(self._number, self._place[0], self._place[2])

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def at_hand(self) -> Encoded:
        return self._spool.read(self._number, self._place)

    def cut(self, lo: int, hi: int) -> Encoded:
        return self.at_hand().cut(lo, hi)

    def header(self) -> tuple[Any, ...]:
        return self.at_hand().header()

    def segments(self) -> list[Buffer]:
        return self.at_hand().segments()

    def tokens(self) -> list[Any]:
        return self.at_hand().tokens()


def _write(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view[:AT_MOST], offset) if POSITIONS else _seek(fd, offset, os.write, view[:AT_MOST])
        view, offset = view[written:], offset + written


def _read(fd: int, size: int, offset: int) -> bytes:
    parts = []
    while size > 0:
        some = min(size, AT_MOST)
        part = os.pread(fd, some, offset) if POSITIONS else _seek(fd, offset, os.read, some)
        if not part:
            raise OSError("the temporary file is shorter than what was written to it")
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _seek(fd: int, offset: int, act: Callable[[int, Any], Any], what: Any) -> Any:
    """Read or write at a place; the file has one, for all who do."""
    with _seeking:
        os.lseek(fd, offset, os.SEEK_SET)
        return act(fd, what)
