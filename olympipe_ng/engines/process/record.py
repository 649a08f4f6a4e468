"""A worker process as the supervisor knows it."""

from __future__ import annotations

from ...failures import Note
from ...transport.wire import Channel

__all__ = ["WorkerRecord"]


class WorkerRecord:
    """One worker process: its socket, its pid, and what was told and heard."""

    def __init__(self, number: int, node: int, channel: Channel, pid: int | None) -> None:
        self.number = number
        self.node = node
        self.channel = channel
        self.pid = pid
        self.pidfd: int | None = None
        self.status: int | None = None  # of waitpid
        self.peak = 0  # bytes of memory that it held at most
        self.crash_file: int | None = None
        self.told_to_stop = False
        self.gone_note: Note | None = None
        self.said_gone = False
        self.kill_at: float | None = None
        self.late_note: Note | None = None  # it was killed for this
        self.lost_at: float | None = None  # its socket has ended
