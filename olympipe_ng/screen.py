"""The line of this process that is written over, and the lines that stay: those of workers, and what a run logs, are not put behind it.

    progress: claim(line) ── show, show, ... ── release(line)
    who brings a line that stays: make_room() ──► line.wipe(); it is shown again a moment later

One line at a time, of several runs at once the first that shows one. A forked process has no part in it.

Considered and refused: to stand in for ``sys.stdout`` while a line is shown (others hold the stream already; what the program prints itself
stands behind the line).
"""

from __future__ import annotations

import os
from typing import Protocol

__all__ = ["claim", "make_room", "release"]


class Line(Protocol):
    """What can be written over."""

    def wipe(self) -> None: ...


_claims: dict[int, Line] = {}  # by process: at most one of this one


def claim(line: Line) -> bool:
    """Let this line be the one that is shown; say whether it is."""
    return _claims.setdefault(os.getpid(), line) is line


def release(line: Line) -> None:
    """Let others show theirs."""
    if _claims.get(os.getpid()) is line:
        del _claims[os.getpid()]


def make_room() -> None:
    """Have the line that is shown make room for one that stays."""
    line = _claims.get(os.getpid())
    if line is not None:
        line.wipe()
