"""What a process of ours does first: forget what it inherited and must not use, and die with its parent.

After a fork the child has its parent's signal handlers, wake-up descriptor, selectors, standard input and every open descriptor. Left as
they are, a signal to the child runs the *parent's* asyncio handler, Ctrl-C prints a traceback for each worker, and a sibling's socket
held open hides the sibling's death. So ``enter_child`` resets them, and ``fork_child`` never returns into the caller's frames.
"""

from __future__ import annotations

import errno
import faulthandler
import gc
import importlib
import io
import os
import random
import select
import signal
import struct
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any, NoReturn

from ...lazy import lazy
from ...machine import read
from ...worker import StageSpec
from .deaths import kill, peak_of, wait_for

ctypes = lazy("ctypes")
psutil = lazy("psutil")
resource = lazy("resource")

__all__ = [
    "CATCHABLE",
    "OPEN",
    "be_mortal_again",
    "be_supervisor",
    "die_with_parent",
    "enter_child",
    "executing",
    "fork_child",
    "fork_grandchildren",
    "hold_signals",
    "import_for_children",
    "leave",
    "name_process",
    "own_rss",
    "reseed",
    "starting",
]

PID = struct.Struct("q")  # as one process tells another
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
USED = ("encodings.ascii", "logging", "resource")  # by every child, and imported late elsewhere
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
WATCH = 0.5  # seconds between two looks at the parent, where nothing tells of its end; less wakes more, more lets it be outlived
TURN = 5.0  # seconds for an interpreter to be started, which takes some milliseconds; more holds up a fork for longer where that hangs
WARNS = sys.version_info >= (3, 12)  # of a fork beside threads
BLOCKED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")  # over a fork, and whatever a function of Python's handles
SIGNALS = [int(number) for number in signal.valid_signals()]
GROUP = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # by timeout, systemd, a closing terminal
CATCHABLE = {getattr(signal, name) for name in BLOCKED if hasattr(signal, name)}  # what no process of ours blocks, though its caller does

OPEN: weakref.WeakSet[Any] = weakref.WeakSet()
"""Channels of this process's runs: closed in every child that is forked, by us or by the user."""

_starting = threading.RLock()
_executing: Any = threading.RLock()


def starting() -> Any:
    """Return what is held while a run begins: a fork by another thread meanwhile would inherit the sockets in hand."""
    return _starting


def executing() -> Any:
    """Return what is held while an interpreter is started: what another thread forks meanwhile would hold the pipe by whose end
    ``subprocess`` learns of that, and the run would not begin before that child's end."""
    return _executing


def _begin_anew() -> None:
    """Forget, in a child, what belongs to the parent: its channels, and the locks that it may hold."""
    global _starting
    _starting = threading.RLock()
    _executing._at_fork_reinit()
    for channel in list(OPEN):
        if not getattr(channel, "kept", False):
            channel.close()
    OPEN.clear()


if hasattr(os, "register_at_fork"):
    # Before and after no functions of Python's: what a signal handler raises in one is swallowed, and the lock would be held for ever.
    os.register_at_fork(before=partial(_executing.acquire, True, TURN), after_in_parent=_executing.release, after_in_child=_begin_anew)


def import_for_children(specs: Iterable[StageSpec] = ()) -> None:
    """Import what every child needs, here and once: what is missing at a fork is imported in each of them, and in each run again."""
    for name in (*USED, *(["asyncio", "olympipe_ng.timers"] if any(spec.stage.is_async for spec in specs) else [])):
        importlib.import_module(name)
    _prctl()


def hold_signals() -> set[Any]:
    """Block what a process may be sent at any moment, and what a function of Python's handles: it may raise, as that of a program's alarm
    does, and nobody would know of the child. Return what was blocked before."""
    handled = {number for number in SIGNALS if callable(signal.getsignal(number))}
    return signal.pthread_sigmask(signal.SIG_BLOCK, CATCHABLE | handled)


def fork_child(
    body: Callable[[], int], keep: Iterable[Any] = (), *, ours: bool = False, born: Callable[[int], object] = lambda pid: None
) -> int:
    """Fork; the child runs ``body`` and leaves with its result. Signals are blocked over the fork, so none is handled half-way.
    ``ours``: this process has itself been reset, and its child inherits that: no handler of the user's is there to be kept from it.
    ``born`` is told the pid before a signal may come in."""
    flush_streams()
    kept = list(keep)
    for channel in kept:
        OPEN.discard(channel)
    blocked = None if ours else hold_signals()
    try:
        pid = _fork_quietly()
        if pid == 0:
            _live(body, blocked)
        born(pid)
    finally:
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    for channel in kept:
        OPEN.add(channel)
    return pid


def fork_grandchildren(bodies: Sequence[Callable[[], int]]) -> list[int]:
    """Fork a child that forks once for each body and ends, so that whoever adopts our orphans becomes their parent; return their pids.
    Raises ``OSError`` where not all of them could be forked."""
    flush_streams()
    reading, writing = os.pipe()
    blocked = hold_signals()
    try:
        child = _fork_quietly()
        if child == 0:
            _fork_again(bodies, blocked, reading, writing)
    except OSError:  # there is no room for another process
        os.close(reading)
        raise
    finally:
        os.close(writing)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    with io.FileIO(reading) as answers:
        pids = [pid for (pid,) in PID.iter_unpack(answers.readall())]
    wait_for(child)  # unless the user's modules ignore SIGCHLD, or wait for whoever ends
    if len(pids) < len(bodies):
        for pid in pids:  # they wait to be told to begin, and nobody knows them
            kill(pid)
        raise OSError(errno.EAGAIN, f"{len(bodies) - len(pids)} of {len(bodies)} workers could not be forked")
    return pids


def _fork_again(bodies: Iterable[Callable[[], int]], blocked: Iterable[Any], reading: int, writing: int) -> NoReturn:
    """Be the one between, which lives for a moment and needs nothing reset."""
    try:
        for body in bodies:
            pid = _fork_quietly()
            if pid == 0:
                os.close(reading)
                os.close(writing)
                _live(body, blocked)
            os.write(writing, PID.pack(pid))
    finally:
        os._exit(0)


def _fork_quietly() -> int:
    """Fork without the warning that there are threads: whoever decided to fork has looked at them."""
    if not WARNS:
        return os.fork()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _live(body: Callable[[], int], blocked: Iterable[Any] | None) -> NoReturn:
    """Be the child; ``blocked``: the signals that its parent blocks by itself, ``None`` where it inherits what it needs."""
    status = 1
    try:
        if blocked is None:
            _forget_children()
        else:
            enter_child()
            signal.pthread_sigmask(signal.SIG_SETMASK, set(blocked) - CATCHABLE)
        gc.freeze()
        status = body()
    except BaseException:  # the border of the process: nothing may return into the caller's frames
        traceback.print_exc()
    finally:
        leave(status)


def enter_child() -> None:
    """Reset what was inherited."""
    _reset_signals()
    threading.current_thread().name = "MainThread"
    _replace_standard_input()
    if faulthandler.is_enabled() or sys.stderr is not None:
        _enable_faulthandler()


def _replace_standard_input() -> None:
    """Put the null device there, and wherever a standard stream is closed: another file must not get its number."""
    held = []
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        held.append(null)
    if 0 not in held:
        os.dup2(null, 0)
    os.close(null)


def _enable_faulthandler() -> None:
    try:
        faulthandler.enable(2)
    except (OSError, ValueError, RuntimeError):
        return  # standard error is closed: crashes are told by the signal alone


def _reset_signals() -> None:
    """Give every signal its default; an interrupt does nothing here (a handler, not SIG_IGN, which exec would hand on)."""
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN, None):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, _do_nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked by whoever started this interpreter
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _forget_children()


def be_mortal_again() -> None:
    """Undo in a worker what its supervisor has done to its signals."""
    for number in GROUP:
        if signal.getsignal(number) is _do_nothing:
            signal.signal(number, signal.SIG_DFL)


def _forget_children() -> None:
    """Tell nobody of children that end; ignored, which outlives an exec, they could not be waited for."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _do_nothing(number: int, frame: Any) -> None:
    """Take a signal that is meant for the caller."""


def leave(status: int) -> NoReturn:
    """End this process, whatever the streams that the user's code may have put in place of the standard ones do."""
    try:
        flush_streams()
    finally:
        os._exit(status)


def flush_streams() -> None:
    """Write what waits in the standard streams, so that a child neither repeats nor swallows it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except Exception:  # closed, or an object of the user's: many that are printed to have no ``flush``
            continue


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when ``parent`` ends, whatever it is doing; where it does not do that a thread watches."""
    if _prctl()(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        threading.Thread(target=_watch_parent, args=(parent,), name="olympipe_ng watch", daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch_parent(parent: int) -> None:
    if hasattr(select, "kqueue"):
        event = select.kevent(parent, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)  # type: ignore[attr-defined,unused-ignore]
        select.kqueue().control([event], 1, None)
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)


def be_supervisor() -> bool:
    """Take a supervisor's name, and do nothing at signals that are sent to whole groups: the caller may want to finish its run, and if it
    dies of them so will this. Say whether this process inherits the orphans of its children."""
    name_process("olympipe_ng")
    for number in GROUP:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _do_nothing)
    return _be_subreaper()


def _be_subreaper() -> bool:
    """Become the parent of what our children leave behind, so that it can be ended too; ``False`` where nobody can."""
    return not _prctl()(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@cache
def _prctl() -> Callable[..., int]:
    """Find it once: what is forked from here has it. It is of Linux, and out of reach of a Python that was built without ctypes."""
    try:
        found: Any = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
    except (ImportError, AttributeError, OSError):
        found = None
    return found or (lambda *words: -1)


def reseed() -> None:
    """Give this process randomness of its own: after a fork every worker would draw the same numbers."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")  # NumPy imports it when it is first used; whoever does so here begins anew anyway
    if numpy_random is not None:
        numpy_random.seed(int.from_bytes(os.urandom(4), "little"))


def own_rss() -> int:
    """Return the bytes of memory that this process holds, or has held at most where there is no /proc to tell."""
    if sys.platform != "linux":
        return int(psutil.Process().memory_info().rss)
    words = read("/proc/self/statm").split()
    return int(words[1]) * PAGE if words else peak_of(resource.getrusage(resource.RUSAGE_SELF))


def name_process(label: str) -> None:
    """Show the stage's name in ``top``: 15 letters of it. By the bare descriptor: a text file costs a new process 0.2 ms more."""
    if sys.platform == "linux":
        with suppress(OSError):  # there is no /proc, or it is not to be written
            fd = os.open("/proc/self/comm", os.O_WRONLY)
            try:
                os.write(fd, label[:15].encode("utf-8", "replace"))
            finally:
                os.close(fd)
