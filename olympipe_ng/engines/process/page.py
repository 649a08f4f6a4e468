"""The control page: what a worker says without sending, and what can be read when it is dead.

    | a word for each lane: what it is at | what faulthandler writes when native code crashes ...
      worker: written by ``Hands``          supervisor: read at a death, or when nothing moves any more

A file without a name, in memory where the system has such, made by the worker and handed to the supervisor with the first message: it
belongs to the kernel and is gone with the last of the two, whoever is killed. Where there is no descriptor left, or no place for a file, a
worker goes without.

Considered and refused: one page for all workers of a run (under ``spawn`` and behind the template each needs a descriptor of it anyway, and
a worker that has gone wild could write over the words of its siblings).
"""

from __future__ import annotations

import faulthandler
import os
from typing import Any, NamedTuple

from ...lazy import lazy
from ...worker import read_hands

mmap = lazy("mmap")
tempfile = lazy("tempfile")

__all__ = ["Page", "open_page", "read_page", "read_words"]

WORD = 8  # bytes of a lane
CRASH_TEXT = 65_536  # bytes of last words that are kept


class Page(NamedTuple):
    """A worker's own page."""

    fd: int
    slots: Any  # one word a lane


def open_page(lanes: int) -> Page | None:
    """Make this process's page, with room for its last words behind it; ``None`` where that cannot be."""
    try:
        fd = _open_nameless()
    except OSError:
        return None  # no descriptor left, nor a folder to write to: the words go to standard error
    try:
        os.write(fd, bytes(WORD * lanes))  # the memory is there, or there is an error: no SIGBUS at the first item
        slots = memoryview(mmap.mmap(fd, WORD * lanes)).cast("Q")
    except OSError:
        os.close(fd)
        return None
    faulthandler.enable(fd)  # writes behind the words, where the file stands
    return Page(fd, slots)


def _open_nameless() -> int:
    """Return memory that is read and written as a file; where the system has, or gives, none, a file that has lost its name."""
    try:
        return os.memfd_create("olympipe_ng page")
    except (AttributeError, OSError):
        with tempfile.TemporaryFile(prefix="olympipe_ng-", buffering=0) as file:
            return os.dup(file.fileno())


def read_page(fd: int | None, lanes: int) -> dict[int, range] | None:
    """Return the items that a worker's lanes are at, by ticket; ``None`` if it has no page."""
    return None if fd is None else read_hands(memoryview(os.pread(fd, WORD * lanes, 0)).cast("Q"))


def read_words(fd: int | None, lanes: int) -> str:
    """Return what a process wrote before it died, and close its page."""
    if fd is None:
        return ""
    try:
        return os.pread(fd, CRASH_TEXT, WORD * lanes).decode(errors="replace").strip()
    finally:
        os.close(fd)
