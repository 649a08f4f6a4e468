"""How a worker ended, for the error that tells of it; and the end of what it left behind.

    wait4 ── status, peak memory ──► death_note         signal or exit code, memory, hint, and its last words (see ``page``)
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from ... import units
from ...failures import Kind, Note
from ...lazy import lazy

psutil = lazy("psutil")

__all__ = ["death_note", "kill", "kill_orphans", "peak_of", "wait_for", "was_killed"]

UNBORN = "Does a module that the pipeline needs exit, or abort, when it is imported?"
LIMITED = "Is there a limit on processes, descriptors or memory (ulimit -u, ulimit -n, pids.max of a container)? A lower count needs fewer."
ORDERED = "Something in it called os._exit(), or a library called exit()."
OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # what somebody else sends; the others come of its own doing
MEMORY = "Out of memory? The kernel kills the largest process then."
STATE_LOST = "What the stage had gathered is gone with it, and nothing can repeat that: the run ends, whatever on_error= says."


def death_note(pid: int | None, status: int | None, peak: int, words: str, *, lost_state: bool = False, refused: str = "") -> Note:
    """Say how a worker ended; ``lost_state``: and took along what cannot be had again; ``refused``: what the system said last that would
    begin none."""
    how, hint = (f"was never born: {refused}", LIMITED) if pid is None and refused else _manner(pid, status)
    if lost_state:
        hint = f"{hint}\n{STATE_LOST}".lstrip()
    memory = f"; it held up to {units.size(peak)} of memory" if peak else ""
    return Note(Kind.DIED, summary=f"its worker {how}{memory}", hint=hint, pid=pid, traceback=words)


def _manner(pid: int | None, status: int | None) -> tuple[str, str]:
    """Return how a worker ended, and what may be behind that."""
    if pid is None:
        return "was never born: the process that was to fork it had ended", UNBORN
    if status is None:
        return f"(pid {pid}) ended; how, the system told somebody else", ""
    if not os.WIFSIGNALED(status):
        return f"(pid {pid}) exited with code {os.WEXITSTATUS(status)}", ORDERED
    number = os.WTERMSIG(status)
    return f"(pid {pid}) was killed by {signal_name(number)}", MEMORY if number == signal.SIGKILL else ""


def was_killed(status: int | None) -> bool:
    """Say whether a process may have ended by somebody else's doing; of one that nobody could wait for nothing else is known."""
    return status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in OUTSIDE)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time signal has no name


def peak_of(usage: Any) -> int:
    """Return the most memory that a process held, in bytes."""
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return int(usage.ru_maxrss) * unit


def kill(pid: int) -> None:
    """Kill a process, if it has not ended just now."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_for(pid: int) -> None:
    """Reap a process that is sure to end, if whoever waits for all children was not first."""
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def kill_orphans(keep: Collection[int] = ()) -> None:
    """Kill what workers left behind, and what that leaves behind: we are their parent now."""
    while pids := [pid for pid in _children() if pid not in keep]:
        for pid in pids:
            kill(pid)
            wait_for(pid)


def _children() -> list[int]:
    """Return our children, adopted ones too: none are but on Linux, where a kernel may keep no list of them."""
    try:
        with io.FileIO(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(word) for word in file.readall().split()]
    except OSError:
        return [child.pid for child in _asked_for()] if sys.platform == "linux" else []


def _asked_for() -> list[Any]:
    """Find them among all processes, some milliseconds; none where there is no /proc at all."""
    try:
        return list(psutil.Process().children())
    except (OSError, psutil.Error):
        return []
