"""``keep_warm``: one interpreter that stays between runs under ``forkserver``, and forks each run's supervisor instead of starting one.

    caller ─exec─► nursery ─fork─► supervisor of a run ─fork─► template, workers     all of these end with their run
            BEGIN (socket, folder, streams) ──► NURSED (pid)
            REAP (pid, modules) ──► NURSED          then it imports what the graph of that run was made of, for the next one

The nursery has imported this package, cloudpickle, and the modules that graphs of earlier runs referred to by name: it never loads a graph.
Its module path, environment, rights and limits are those it was started with: where the caller's have changed since, or a module's file
has, another is started. Folder and standard streams are handed over for each run. A module that failed to be imported was no part of a
run that worked.

Considered and refused: importing what a run needs before its supervisor is forked (a module that hangs or kills would take the nursery with
it, and no ``setup_timeout`` would be watching); a list of modules to be given by the user.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ...machine import read
from ...transport.wire import channel_pair
from . import protocol as p
from .blas import environment
from .children import OPEN
from .starting import exec_child

INHERITED = ("Umask:", "Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp", "Cpus_allowed:", "SigIgn:")  # of what /proc tells

__all__ = ["Birth", "Nursery", "beget", "keep_warm"]


class Birth(NamedTuple):
    """A supervisor that a nursery forked."""

    nursery: Nursery
    pid: int

    def reap(self, modules: Iterable[str]) -> None:
        """Wait for the process's end; ``modules`` are worth keeping for the next run."""
        self.nursery.ask((p.REAP, self.pid, tuple(modules)))


class Nursery:
    """The caller's side of one."""

    def __init__(self, path: tuple[str, ...], blas_threads: int) -> None:
        self._ways = _ways(path, blas_threads)
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._channel, theirs = channel_pair()
        OPEN.add(self._channel)
        self._process: Any = None
        try:
            exec_child("nursery", theirs.fileno(), path, blas_threads=blas_threads, born=self._note_process)
            theirs.close()
            self.ask((p.SETUP, self._owner))
        except BaseException:  # Ctrl-C: nobody will hold this one
            theirs.close()
            self.close()
            raise

    def _note_process(self, process: Any) -> None:
        self._process = process

    def suits(self, path: tuple[str, ...], blas_threads: int) -> bool:
        """Say whether a run with this module path would find here what it finds in a fresh interpreter, and be allowed the same."""
        return self._owner == os.getpid() and self._ways == _ways(path, blas_threads)

    def begin(self, fd: int, folder: int) -> int:
        """Fork a supervisor for the run behind a socket; return its pid, 0 where this nursery is dead or out of date."""
        answer = self.ask((p.BEGIN,), [fd, folder, 1, 2])
        return 0 if answer is None else int(answer[1])

    def ask(self, header: tuple[Any, ...], fds: Iterable[int] = ()) -> tuple[Any, ...] | None:
        """Send a message and wait for the answer; ``None`` where nobody answers any more."""
        with self._lock:
            if self._owner != os.getpid() or self._channel.closed:
                return None
            try:
                message = self._channel.receive() if self._channel.send(header, (), list(fds)) else None
            except BaseException:  # Ctrl-C: the answer would be taken for that to the next question
                self._channel.close()
                raise
            return None if message is None else message[0]

    def close(self) -> None:
        """End it; runs go on."""
        if self._owner == os.getpid():
            with self._lock:
                OPEN.discard(self._channel)
                self._channel.close()
            if self._process is not None:
                self._process.wait()


def _ways(path: tuple[str, ...], blas_threads: int) -> tuple[Any, ...]:
    """Return what an interpreter that is started now has for all its life: it must be no other than what the program has by then."""
    rights = [line for line in read("/proc/thread-self/status").splitlines() if line.startswith(INHERITED)]
    return path, environment(blas_threads), rights, read("/proc/self/limits"), os.getpriority(os.PRIO_PROCESS, 0)


class _Keeping:
    """Whether to keep warm, and what is."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.depth = 0
        self.nursery: Nursery | None = None

    def replace(self, nursery: Nursery | None) -> None:
        old, self.nursery = self.nursery, nursery
        if old is not None:
            old.close()


_keeping = _Keeping()


@contextlib.contextmanager
def keep_warm() -> Iterator[None]:
    """Keep an interpreter with its imports between runs, so that the next one under ``forkserver`` begins in milliseconds.

    For notebooks and servers, where many short runs follow each other. Nothing of a run is kept but what it imported: supervisor, workers
    and their state end with it, and each takes the functions, folder, arguments, streams and log levels that the program has then; a
    changed environment, module path or module file, and changed rights or limits (user, umask, ulimit, affinity) start another interpreter.
    Under ``fork`` and ``spawn`` it does nothing.

    >>> import olympipe_ng
    >>> with olympipe_ng.keep_warm():
    ...     first = olympipe_ng.Pipeline([1, 2], engine="inline").task(str).wait_for_result()
    ...     second = olympipe_ng.Pipeline([3], engine="inline").task(str).wait_for_result()
    >>> first, second
    (['1', '2'], ['3'])

    It may be used within itself: the outermost ``with`` counts, and leaving that ends the interpreter.
    """
    with _keeping.lock:
        _keeping.depth += 1
    try:
        yield
    finally:
        with _keeping.lock:
            _keeping.depth -= 1
            if not _keeping.depth:
                _keeping.replace(None)


def beget(fd: int, path: tuple[str, ...], blas_threads: int) -> Birth | None:
    """Have the nursery fork the supervisor of a run; ``None`` where nothing is to be kept warm."""
    with _keeping.lock:
        folder = _folder_to_hand_over() if _keeping.depth else None
        if folder is None:
            return None
        try:
            return _bear(fd, folder, path, blas_threads)
        finally:
            os.close(folder)


def _bear(fd: int, folder: int, path: tuple[str, ...], blas_threads: int) -> Birth | None:
    nursery = _keeping.nursery
    pid = nursery.begin(fd, folder) if nursery is not None and nursery.suits(path, blas_threads) else 0
    if not pid:
        nursery = Nursery(path, blas_threads)
        _keeping.replace(nursery)
        pid = nursery.begin(fd, folder)
    assert nursery is not None
    return Birth(nursery, pid) if pid else None


def _folder_to_hand_over() -> int | None:
    """Open the folder that this process is in; ``None`` where that, or a standard stream, cannot be handed over: streams may be closed, and
    whoever gave up its rights may stand in a folder that it could not go to."""
    try:
        os.fstat(1)
        os.fstat(2)
        return os.open(".", os.O_RDONLY)
    except OSError:
        return None


def _forget() -> None:
    """Leave the parent's nursery to the parent."""
    global _keeping
    _keeping = _Keeping()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
