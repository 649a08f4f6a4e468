"""What a test may leave behind: nothing. Looked at before and after each one, cheaply.

    before = look()         children, threads, descriptors, temporary files, /dev/shm
    ... the test ...
    left_behind(before)     ["thread 'olympipe_ng I/O' is alive", ...]; waits for what is ending, on the thing itself

A thread is joined, a process is waited for by its pidfd, objects are collected; what is there then is left behind: nothing that ends later
by itself is waited for by sleeping. A child that has ended and was not reaped counts too: it keeps its pid for ever.

``/dev/shm`` belongs to the whole machine: entries of other users, those that only processes of other sessions hold, and those with the
name of a library that this package does not use are not ours. Any other that nobody holds is ours as far as one can tell: the kernel does
not remember who made it.

Considered and refused: psutil's ``children`` in every test (it reads all processes of the machine; ``/proc`` knows ours in 50 us).
"""

from __future__ import annotations

import gc
import os
import select
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

__all__ = ["Seen", "left_behind", "look"]

SHARED = Path("/dev/shm")
FOREIGN = ("joblib_memmapping_folder_", "sem.loky-", "sem.mp-")  # beginnings of names: of joblib and multiprocessing, which others use
PATIENCE = 5.0  # seconds for all that is ending to end: more hides nothing, for what does not end is named after it


class Seen(NamedTuple):
    """All that a test could leave behind, at one moment."""

    children: frozenset[int]
    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[str, str]]
    files: frozenset[str]


def look() -> Seen:
    """Take note of what is there."""
    return Seen(frozenset(_children()), frozenset(threading.enumerate()), frozenset(_descriptors()), frozenset(_files()))


def left_behind(before: Seen, patience: float = PATIENCE) -> list[str]:
    """Name what is there now and was not ``before``, after waiting for what is on its way out."""
    now = look()
    if _is_clean(before, now):
        return []
    until = time.monotonic() + patience
    gc.collect()  # cycles may hold descriptors, and a run that nobody holds is stopped
    for thread in now.threads - before.threads:
        thread.join(max(0.0, until - time.monotonic()))
    for pid in now.children - before.children:
        _wait_for_process(pid, until)
    gc.collect()
    return _name(before, look())


def _is_clean(before: Seen, now: Seen) -> bool:
    return all(after <= earlier for earlier, after in zip(before, now, strict=True))


def _name(before: Seen, now: Seen) -> list[str]:
    named = [_name_child(pid) for pid in sorted(now.children - before.children)]
    named += [f"thread {thread.name!r} is alive" for thread in now.threads - before.threads]
    named += [f"descriptor {fd} is open: {target}" for fd, target in sorted(now.descriptors - before.descriptors)]
    named += [f"file {path} exists" for path in sorted(now.files - before.files) if not _is_foreign(path)]
    return named


def _name_child(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        named = f"child process {pid} ({process.name()}) is {process.status()}"
        return f"{named}: {' '.join(process.cmdline())[:200]}"
    except psutil.ZombieProcess:
        return f"child process {pid} has ended and was not reaped (a zombie)"
    except psutil.NoSuchProcess:
        return f"child process {pid} was there"


def _children() -> set[int]:
    found: set[int] = set()
    try:
        for task in os.listdir("/proc/self/task"):
            with suppress(FileNotFoundError), open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
                found.update(map(int, file.read().split()))
    except FileNotFoundError:  # not Linux
        return {child.pid for child in psutil.Process().children()}
    return found


def _descriptors() -> set[tuple[str, str]]:
    found = set()
    try:
        names = os.listdir("/proc/self/fd")
    except FileNotFoundError:  # not Linux
        return {(str(number), "") for number in range(psutil.Process().num_fds())}
    for name in names:
        with suppress(OSError):  # the one that the listing itself had open
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return found


def _files() -> set[str]:
    """List what is in the session's own temporary folder, and what is this user's in shared memory."""
    temporary = Path(tempfile.gettempdir())
    found = {entry.path for entry in os.scandir(temporary)} if temporary.is_dir() else set()
    if SHARED.is_dir():
        found |= {entry.path for entry in os.scandir(SHARED) if not entry.name.startswith(FOREIGN) and _is_this_users(entry)}
    return found


def _is_this_users(entry: os.DirEntry[str]) -> bool:
    with suppress(FileNotFoundError):  # gone between the listing and the look
        return entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    return False


def _is_foreign(path: str) -> bool:
    """Say whether an entry of shared memory is another program's: held by processes of other sessions only, or gone when all were asked."""
    if not path.startswith(f"{SHARED}{os.sep}"):
        return False
    holders = [process.pid for process in psutil.process_iter() if _holds(process.pid, path)]
    if holders:
        return not any(_is_of_this_session(pid) for pid in holders)
    return not os.path.lexists(path)


def _holds(pid: int, path: str) -> bool:
    """Say whether a process has a file open or mapped."""
    with suppress(OSError):  # it has ended, or is another user's
        if path in Path(f"/proc/{pid}/maps").read_text(errors="replace"):
            return True
        return any(os.readlink(fd.path) == path for fd in os.scandir(f"/proc/{pid}/fd"))
    return False


def _is_of_this_session(pid: int) -> bool:
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        return os.getsid(pid) == os.getsid(0) or os.getpid() in {parent.pid for parent in psutil.Process(pid).parents()}
    return False


def _wait_for_process(pid: int, until: float) -> None:
    """Wait for the end of a process without reaping it: that is its parent's task, and part of what is tested."""
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return  # gone, or not known on this system
    try:
        select.select([fd], [], [], max(0.0, until - time.monotonic()))
    finally:
        os.close(fd)
