"""Messages over a stream socket: a small header of plain data, and a payload that is never copied on the way out.

    <Q bytes that follow> <I length of the header, count of descriptors> | header: marshal of a tuple | payload segments, back to back

    send ──► one sendmsg, the rest of a partial write after it                    blocking: workers, the caller
    post ──► the same, by whoever is sending                                      never waits for a lock: lanes, what the collector says
    queue, flush ──► pieces wait in order, flush writes what the socket takes     never waits: the supervisor
    receive, receive_nowait ◄── small messages through one reused buffer, a large one straight into memory of its own

* The socket may stay in blocking mode on both sides: what must not wait says so per call (``MSG_DONTWAIT``).
* The peer's end, its death and a reset connection are one thing: ``closed``, met by reading, so a dying worker's last words are read first.
  What is written to a peer that is gone is dropped. Half a message at the end counts as nothing.
* Headers are read by ``marshal``, which runs no code of the user's: the supervisor may read everything that arrives.
* Segments are bytes-like with one byte per element: their ``len`` is their size.
* Descriptors travel with the first byte of their message. ``descriptors`` holds what came, one tuple for each message that carried some,
  in order: whoever reads such a message takes its tuple with ``popleft``, and finds it short when the receiver was at its descriptor limit.

Considered and refused: ``multiprocessing.Connection`` (a second copy of everything large, and it blocks in the middle of a message);
pickled headers (a hostile or merely strange item could run code in the supervisor); the socket's own time-out (it makes each call poll
first).
"""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import select
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from .incoming import AT_MOST, GONE, HEADER_BITS, MAX_DESCRIPTORS, PREFIX, Incoming, Message

__all__ = ["Buffer", "Channel", "Message", "channel_pair"]

Buffer = bytes | bytearray | memoryview

SOCKET_BUFFER = 1 << 20  # asked for, not always granted; more keeps a busy peer fed, less bounds what is in flight unseen
JOIN = 1 << 12  # segments below this are joined: a copy of it costs less than one more entry of an iovec
IOV_KNOWN = os.sysconf("SC_IOV_MAX") if "SC_IOV_MAX" in getattr(os, "sysconf_names", ()) else -1  # which is also an answer: unknown
IOV_MAX = min(1024, IOV_KNOWN) if IOV_KNOWN > 0 else 16
AT_ONCE = 1 << 22  # bytes that receive_nowait takes in one call before it lets the caller look after others
NOWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))  # plain ints: an operation on enum flags costs more than a system call
NOSIGNAL = int(getattr(socket, "MSG_NOSIGNAL", 0))  # a user who restored SIGPIPE must not die of a vanished worker
SO_NOSIGPIPE = 0x1022 if sys.platform == "darwin" else None  # the same for a whole socket, where calls cannot be told
FULL = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, getattr(errno, "ETOOMANYREFS", errno.EAGAIN))  # the last: descriptors in flight


def channel_pair() -> tuple[Channel, Channel]:
    """Return two joined channels, both in blocking mode and not inherited by ``exec``."""
    left, right = socket.socketpair()
    return Channel(left), Channel(right)


class Channel:
    """One end of a conversation; see the head of this module."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.settimeout(None)  # the program may have set a default
        with contextlib.suppress(OSError):  # a hint; some systems refuse more than their limit instead of clipping it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        if SO_NOSIGPIPE is not None:
            with contextlib.suppress(OSError):  # its peer is gone already
                sock.setsockopt(socket.SOL_SOCKET, SO_NOSIGPIPE, 1)
        self._lock: Any = contextlib.nullcontext()
        self._torn: Callable[[], object] = lambda: None
        self._out: deque[Buffer] = deque()
        self._out_fds: deque[tuple[int, Sequence[int], bool]] = deque()  # (position of a message's first byte, descriptors, to be closed)
        self._posted: deque[tuple[tuple[Any, ...], Iterable[Buffer]]] = deque()
        self._senders: set[int] = set()  # threads
        self._queued = 0  # stream position behind the last byte that was queued
        self._sent = 0
        self._reader = Incoming(sock)
        self._poll: Any = None
        self._deaf = False  # the peer takes nothing any more
        self.closed = False

    def share(self, torn: Callable[[], object] = lambda: None) -> Channel:
        """Let several threads send, and whoever interrupts one of them. ``torn`` is called where a signal handler raised in the middle of
        a message: how much of it is out is not known, so nobody could read what followed."""
        self._lock, self._torn = threading.Lock(), torn
        return self

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket and what came through it and nobody took; what is still queued is dropped."""
        self.closed = True
        self._drop_out()
        self._reader.close()
        self._sock.close()

    def hang_up(self) -> None:
        """End the conversation for both sides, from any thread; what the socket holds stays until ``close``."""
        with contextlib.suppress(OSError):  # it has ended
            self._sock.shutdown(socket.SHUT_RDWR)

    # ------------------------------------------------------------------------------------------------------------ sending

    def send(self, header: tuple[Any, ...], segments: Iterable[Buffer] = (), fds: Sequence[int] = ()) -> bool:
        """Send one message, waiting as long as it takes; ``False`` when the peer is gone."""
        me = threading.get_ident()
        self._senders.add(me)
        try:
            with self._lock:
                self._send_now(header, segments, fds)
        finally:
            try:
                self._send_posted()
            finally:
                self._senders.discard(me)
        return not self._deaf

    def is_sending(self, thread: int | None) -> bool:
        """Say whether a thread is in the middle of a message: a signal handler asks, or the garbage collector."""
        return thread in self._senders

    def post(self, header: tuple[Any, ...], segments: Iterable[Buffer] = ()) -> None:
        """Send one message, or leave it to the thread that is sending: this never waits for the lock. For lanes, and for signal handlers
        and finalizers, which may run in the middle of this thread's own ``send``. Segments must not change any more."""
        me = threading.get_ident()
        outermost = me not in self._senders
        self._senders.add(me)
        try:
            self._posted.append((header, segments))
            self._send_posted()
        finally:
            if outermost:
                self._senders.discard(me)

    def _send_posted(self) -> None:
        """Send what was posted, unless somebody holds the lock: he comes here when he has let go of it."""
        while self._posted and self._lock.acquire(blocking=False):
            try:
                if self._posted:  # a finalizer that ran between the look and the lock may have sent it
                    self._send_now(*self._posted.popleft())
            finally:
                self._lock.release()

    def _send_now(self, header: tuple[Any, ...], segments: Iterable[Buffer] = (), fds: Sequence[int] = ()) -> None:
        try:
            self.queue(header, segments, fds)
            while self._out:
                self._write(NOSIGNAL)
        except BaseException as error:  # of a signal handler of the user's, who may catch it
            if self.closed and isinstance(error, (OSError, IndexError)):  # another thread has just closed it
                self._drop_out()
                return
            if self._out:
                self._torn()
            raise

    def queue(
        self, header: tuple[Any, ...], segments: Iterable[Buffer] = (), fds: Sequence[int] = (), *, keep_fds: bool = False
    ) -> None:
        """Put one message behind those that wait to be flushed. Segments must not change, nor descriptors be closed, until then;
        ``keep_fds``: whoever gave these may close them at once; an ``OSError`` where they would be too many, and nothing is queued."""
        if self._deaf:
            return
        pieces = _pieces(header, segments, len(fds))
        if fds:
            self._out_fds.append((self._queued, _duplicates(fds) if keep_fds else fds, keep_fds))
        for piece in pieces:
            self._out.append(piece)
            self._queued += len(piece)

    def flush(self) -> bool:
        """Write what the socket takes without waiting; ``True`` when all is out (or the peer is gone)."""
        while self._out:
            try:
                self._write(NOSIGNAL | NOWAIT)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                return False
        return True

    @property
    def pending(self) -> int:
        """Bytes that were queued and not yet written."""
        return self._queued - self._sent if self._out else 0

    def _write(self, flags: int) -> None:
        out = self._out
        try:
            if self._out_fds:
                written = self._write_with_fds(flags)
            elif self._queued - self._sent > AT_MOST:
                written = self._sock.sendmsg(_first(out, AT_MOST), (), flags)
            elif len(out) == 1:
                written = self._sock.send(out[0], flags)
            else:
                written = self._sock.sendmsg(islice(out, IOV_MAX), (), flags)
        except GONE:
            self._drop_out()
            return
        self._sent += written
        while written:
            piece = out.popleft()
            if len(piece) > written:
                out.appendleft(memoryview(piece)[written:])
                return
            written -= len(piece)

    def _write_with_fds(self, flags: int) -> int:
        ancillary, room = self._due_fds()
        written = self._sock.sendmsg(_first(self._out, AT_MOST if room is None else min(room, AT_MOST)), ancillary, flags)
        if ancillary:
            self._forget_fds()
        return written

    def _forget_fds(self) -> None:
        _, fds, ours = self._out_fds.popleft()
        for fd in fds if ours else ():
            os.close(fd)

    def _due_fds(self) -> tuple[list[tuple[int, int, bytes]], int | None]:
        """Return the descriptors to go with the next byte, and how many bytes may go before the next ones."""
        if not self._out_fds:
            return [], None
        at, fds, _ = self._out_fds[0]
        if at > self._sent:
            return [], at - self._sent
        room = self._out_fds[1][0] - self._sent if len(self._out_fds) > 1 else None
        return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))], room

    def _drop_out(self) -> None:
        self._deaf = True
        self._out.clear()
        while self._out_fds:
            self._forget_fds()

    # ---------------------------------------------------------------------------------------------------------- receiving

    @property
    def descriptors(self) -> deque[tuple[int, ...]]:
        """Descriptors that came, one tuple per message that carried some; see the head of this module."""
        return self._reader.descriptors

    def receive(self) -> Message | None:
        """Wait for the next message; ``None`` when the peer has closed or died."""
        reader = self._reader
        while not reader.ready:
            if not reader.fill(0):
                self.closed = True
                return None
        return reader.ready.popleft()

    def receive_nowait(self) -> list[Message]:
        """Return the messages that are here, without waiting; ``closed`` tells whether the end was met behind them."""
        reader = self._reader
        before = reader.taken
        while reader.taken - before < AT_ONCE:
            try:
                if not reader.fill(NOWAIT):
                    self.closed = True
                    break
            except BlockingIOError:
                break
            if reader.drained:
                break
        messages = list(reader.ready)
        reader.ready.clear()
        return messages

    def poll_readable(self, timeout: float | None = 0.0) -> bool:
        """Tell whether ``receive`` has something to take (the end counts), waiting at most ``timeout`` seconds (``None``: for ever)."""
        if self._reader.ready:
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._sock, select.POLLIN)
        return bool(self._poll.poll(None if timeout is None else timeout * 1000))


def _duplicates(fds: Sequence[int]) -> list[int]:
    """Return descriptors of one's own for the same files."""
    mine: list[int] = []
    try:
        for fd in fds:
            mine.append(os.dup(fd))
    except OSError:
        for fd in mine:
            os.close(fd)
        raise
    return mine


def _pieces(header: tuple[Any, ...], segments: Iterable[Buffer], fds: int) -> list[Buffer]:
    """Return a message as few pieces."""
    head = marshal.dumps(header)
    parts: list[Buffer] = [head, *filter(len, segments)]  # an empty piece alone would never be written
    total = sum(map(len, parts))
    if len(head) >> HEADER_BITS or fds > MAX_DESCRIPTORS:
        raise ValueError(f"a header of {len(head)} bytes with {fds} descriptors does not fit a message")
    parts.insert(0, PREFIX.pack(total, len(head) | fds << HEADER_BITS))
    return [b"".join(parts)] if total < JOIN else list(_joined(parts))


def _joined(parts: Iterable[Buffer]) -> Iterator[Buffer]:
    """Join small neighbours."""
    small: list[Buffer] = []
    for part in parts:
        if len(part) < JOIN:
            small.append(part)
            continue
        if small:
            yield b"".join(small)
            small = []
        yield part
    if small:
        yield b"".join(small)


def _first(pieces: Iterable[Buffer], room: int) -> Iterator[Buffer]:
    """Yield the next pieces: as many as one call takes, and at most ``room`` bytes."""
    for piece in islice(pieces, IOV_MAX):
        if room <= 0:
            return
        yield piece if len(piece) <= room else memoryview(piece)[:room]
        room -= len(piece)
