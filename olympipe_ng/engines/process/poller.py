"""The one place where the supervisor waits: for sockets that have something, or take something again, and for the ends of processes."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterable

from ...transport.wire import Channel
from .children import OPEN

__all__ = ["Poller"]

LONGEST = 86_400.0  # seconds: poll() counts milliseconds in 31 bits, which are 24 days
SIGNALS = 4096  # that are taken together
Handler = Callable[[int], None]


class Poller:
    """Calls the handler of every descriptor that is ready."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Handler] = {}
        self._told_by: socket.socket | None = None
        self._blocked: set[int] = set()  # sockets that take no more now

    def watch(self, fd: int, handler: Handler) -> None:
        self._handlers[fd] = handler
        self._poll.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)
        self._blocked.discard(fd)

    def watch_pid(self, pid: int, handler: Handler) -> int | None:
        """Be told of a process's end even where its socket lives on in another; return the descriptor for ``unwatch_pid``."""
        try:
            fd = os.pidfd_open(pid)
        except (AttributeError, OSError):
            return None  # not on this system: see ``watch_children``; of another process the socket's end must do
        self.watch(fd, handler)
        return fd

    def unwatch_pid(self, fd: int | None) -> None:
        if fd is not None:
            self.unwatch(fd)
            os.close(fd)

    def watch_children(self, handler: Callable[[], object]) -> None:
        """Be told whenever a child has ended, whichever it is: by the signal, where no descriptor stands for a process. Once a process,
        in its main thread; what is forked hears nothing (``children.fork_child``)."""
        told, tell = socket.socketpair()
        for end in (told, tell):
            end.setblocking(False)
            OPEN.add(end)
        self._told_by = tell

        def hear(mask: int) -> None:
            told.recv(SIGNALS)
            handler()

        self.watch(told.fileno(), hear)
        signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # a handler: without one nothing is written

    def wait(self, seconds: float | None) -> None:
        """Wait until something is ready, at most so long (nor longer than ``LONGEST``), and have it handled."""
        for fd, mask in self._poll.poll(None if seconds is None else min(seconds, LONGEST) * 1000 + 0.5):
            handler = self._handlers.get(fd)
            if handler is not None:  # an earlier handler may have given this one up
                handler(mask)

    def flush(self, channels: Iterable[Channel]) -> None:
        """Write what the sockets take; wait for room on those that take no more."""
        for channel in channels:
            if channel.pending and not channel.closed:
                self._flush_one(channel)

    def _flush_one(self, channel: Channel) -> None:
        fd, out = channel.fileno(), channel.flush()
        if not out and fd not in self._blocked:
            self._blocked.add(fd)
            self._poll.modify(fd, select.POLLIN | select.POLLOUT)
        elif out and fd in self._blocked:
            self._blocked.discard(fd)
            self._poll.modify(fd, select.POLLIN)
