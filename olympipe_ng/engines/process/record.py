"""A worker process as the supervisor knows it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable

from ...failures import Note
from ...transport.wire import Channel
from .deaths import kill, peak_of
from .page import read_page, read_words

__all__ = ["WorkerRecord"]

DEATH_WAIT = 0.5  # seconds between the end of a worker's socket and its exit status


class WorkerRecord:
    """One worker process: its socket, its pid, and what was told and heard."""

    def __init__(self, number: int, node: int, channel: Channel, pid: int | None, lanes: int) -> None:
        self.number = number
        self.node = node
        self.channel = channel
        self.pid = pid
        self.pidfd: int | None = None
        self.reaped = False
        self.status: int | None = None  # of waitpid; ``None`` also where that told somebody else
        self.peak = 0  # bytes of memory that it held at most
        self.page: int | None = None  # descriptor of its control page
        self.told_to_stop = False
        self.gone_note: Note | None = None
        self.said_gone = False
        self.kill_at: float | None = None
        self.late_note: Note | None = None  # it was killed for this
        self.lost_at: float | None = None  # its socket has ended, or it was killed for that
        self.in_hand = 0  # tickets
        self._lanes = lanes

    @property
    def alarm(self) -> float | None:
        """When somebody must look after it, though nothing is heard of it."""
        if self.lost_at is None:
            return self.kill_at
        return min(self.lost_at + DEATH_WAIT, math.inf if self.kill_at is None else self.kill_at)

    def kill(self, bearers: Iterable[int] = ()) -> None:
        """Kill it; while it is not born yet, who was to bear it, and is busy in the user's modules."""
        pids = bearers if self.pid is None else [] if self.reaped else [self.pid]
        for pid in pids:
            kill(pid)

    def kill_if_overdue(self, now: float, bearers: Iterable[int]) -> None:
        """Kill it if it was told to stop, and has not."""
        if self.kill_at is not None and self.kill_at <= now:
            self.kill_at = None
            self.kill(bearers)

    def reap(self) -> bool:
        """Fetch the exit status; ``False`` if it is not there yet."""
        if not self.reaped and self.pid is not None:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.reaped = True
                return True
            if pid == 0:
                now = time.monotonic()
                if self.lost_at is not None and now > self.lost_at + DEATH_WAIT:
                    self.lost_at = now  # it may take the kernel a while: the next look is as far away as the first
                    self.kill()
                return False
            self.reaped, self.status, self.peak = True, status, peak_of(usage)
        return self.pid is not None or self.channel.closed

    def look_in_hand(self) -> dict[int, range] | None:
        """Return the items that its lanes are at, by ticket; ``None``: unknown."""
        return read_page(self.page, self._lanes)

    def last_words(self) -> str:
        """Return what it wrote when it crashed; its page is closed."""
        page, self.page = self.page, None
        return read_words(page, self._lanes)
