"""The receiving half of a ``wire.Channel``: bytes of a socket in, messages out.

    socket ── fill ──► one reused buffer ── cut ──► ready          a large message goes straight into memory of its own
"""

from __future__ import annotations

import marshal
import mmap
import os
import socket
import struct
from collections import deque
from collections.abc import Iterable
from typing import Any

__all__ = ["AT_MOST", "GONE", "HEADER_BITS", "MAX_DESCRIPTORS", "PREFIX", "Incoming", "Message"]

Message = tuple[tuple[Any, ...], memoryview]

PREFIX = struct.Struct("<QI")
PREFIX_SIZE = PREFIX.size
HEADER_BITS = 26  # 64 MiB of header; the 6 bits above count descriptors
HEADER_MASK = (1 << HEADER_BITS) - 1
RECEIVE_BUFFER = 1 << 16  # reused for small messages; one per channel, so 512 workers hold 32 MiB of it in the supervisor
LARGE = 1 << 15  # from here on memory of its own is cheaper than a copy out of the reused buffer
AT_MOST = 1 << 30  # bytes that one call is to move: some systems (macOS, the BSDs) refuse 2 GiB and more instead of moving a part
TRUNCATED = int(getattr(socket, "MSG_CTRUNC", 0))
MAX_DESCRIPTORS = 32
ANCILLARY = socket.CMSG_SPACE(4 * MAX_DESCRIPTORS) if hasattr(socket, "CMSG_SPACE") else 0
CLOEXEC = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
GONE = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)


class Incoming:
    """Cuts the stream into messages: what is complete waits in ``ready``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = _fresh_memory(RECEIVE_BUFFER)
        self._view = memoryview(self._buffer)
        self._begin = 0  # the unread part of the buffer
        self._end = 0
        self._large: memoryview | None = None  # memory of the large message that is arriving
        self._large_head = 0
        self._large_end = 0
        self.ready: deque[Message] = deque()
        self.descriptors: deque[tuple[int, ...]] = deque()
        self.taken = 0  # bytes in all
        self.drained = False  # the last call gave less than it asked for: nothing more is here

    def close(self) -> None:
        while self.descriptors:
            for fd in self.descriptors.popleft():
                os.close(fd)

    def fill(self, flags: int) -> int:
        """Take bytes from the socket once and cut what is complete; 0 at the end of the stream."""
        room = self._view[self._end :] if self._large is None else self._large[self._large_end : self._large_end + AT_MOST]
        try:
            count, ancillary, got, _ = self._sock.recvmsg_into([room], ANCILLARY, flags | CLOEXEC)
        except GONE:
            return 0
        self.taken += count
        self.drained = count < len(room)
        if ancillary or got & TRUNCATED:
            self.descriptors.append(_descriptors(ancillary))
            for fd in () if CLOEXEC else self.descriptors[-1]:
                os.set_inheritable(fd, False)
            self.drained = False  # the kernel stops behind descriptors, whatever follows
        if self._large is not None:
            self._grow_large(count)
        else:
            self._end += count
            self._cut()
        return count

    def _grow_large(self, count: int) -> None:
        self._large_end += count
        large = self._large
        if large is not None and self._large_end == len(large):
            self._large = None
            self.ready.append((marshal.loads(large[: self._large_head]), large[self._large_head :]))

    def _cut(self) -> None:
        """Take whole messages out of the buffer; a large one moves to memory of its own."""
        view, begin, end = self._view, self._begin, self._end
        while end - begin >= PREFIX_SIZE:
            total, word = PREFIX.unpack_from(view, begin)
            head = word & HEADER_MASK
            first = begin + PREFIX_SIZE
            if end - first < total:
                if total >= LARGE:
                    self._begin_large(total, head, first)
                    return
                break
            begin = first + total
            payload = memoryview(bytes(view[first + head : begin]))
            self.ready.append((marshal.loads(view[first : first + head]), payload))
            self._begin = begin
        self._compact()

    def _begin_large(self, total: int, head: int, first: int) -> None:
        self._large = memoryview(bytearray(total))
        self._large_head = head
        here = self._end - first
        self._large[:here] = self._view[first : self._end]
        self._large_end = here
        self._begin = self._end = 0

    def _compact(self) -> None:
        """Move a begun message to the front when it might not fit behind."""
        rest = self._end - self._begin
        if not rest:
            self._begin = self._end = 0
        elif len(self._buffer) - self._begin < LARGE + PREFIX_SIZE:
            self._buffer[:rest] = bytes(self._view[self._begin : self._end])
            self._begin, self._end = 0, rest


def _fresh_memory(size: int) -> bytearray | mmap.mmap:
    """Return memory whose pages cost nothing before something lies in them: most messages are a fraction of the first."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return bytearray(size)
    return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _descriptors(ancillary: Iterable[tuple[int, int, bytes]]) -> tuple[int, ...]:
    found: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(data) // 4
            found += struct.unpack(f"{whole}i", data[: whole * 4])
    return tuple(found)
