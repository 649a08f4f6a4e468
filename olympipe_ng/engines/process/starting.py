"""How processes are begun: the supervisor from the caller, workers from the supervisor. One class for each start method.

    fork         caller ─fork─► supervisor ─fork─► workers              everything is inherited, nothing is pickled
    forkserver   caller ─exec─► supervisor ─fork─► template             the template loads the graph once (``template``),
                                                    └─fork, fork─► workers   which become the supervisor's children
    spawn        caller ─exec─► supervisor ─exec─► workers              each loads the graph; so does forkserver where the system
                                                                        has no sub-reapers, as macOS

``auto`` forks only when that is safe: on Linux, when the caller has no other Python thread, no green ones, no native thread but those that
mind forks themselves (OpenBLAS stops its own, Arrow makes its own anew, and so does its memory pool), and no CUDA context. Whose a thread
is can only be guessed: by the libraries that are loaded, and by its name, which those three leave as it is or are known by.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from ...failures import Kind, Note
from ...lazy import lazy
from ...machine import read
from ...nesting import enter, next_depth
from ...transport.importable import Stock
from ...transport.wire import Channel, channel_pair
from ...worker import StageSpec
from ...worker.notes import shortened_traceback, summarise
from . import protocol as p
from .blas import cap_threads, environment, threads_of_stage
from .children import CATCHABLE, OPEN, be_mortal_again, die_with_parent, executing, fork_child, hold_signals, name_process, reseed
from .heap import find_malloc
from .logs import handler_class, is_own_stream, relay
from .worker import WorkerProcess

subprocess = lazy("subprocess")
logging = lazy("logging")
warnings = lazy("warnings")

__all__ = [
    "ForkStarter",
    "Settings",
    "SpawnStarter",
    "Starter",
    "adopt_channel",
    "choose_method",
    "close_nothing",
    "exec_child",
    "fail_set_up",
    "live_as_worker",
    "prepare",
    "take_settings",
]

SAFE_POOLS = ("openblas", "libarrow")  # native threads that a fork handler stops, or makes anew in the child
SAFE_THREADS = ("jemalloc_bg_thd",)  # of Arrow's memory pool
ENDING = 0.01  # seconds for the kernel to be done with a thread that has ended for Python (that of the run before): it takes 50 us
LOOKS = 20  # meanwhile, at most: the program may have stopped its clock
START = (
    "import signal, sys; signal.pthread_sigmask(signal.SIG_SETMASK, {mask}); sys.path[:] = {path!r}; "
    "from olympipe_ng.engines.process.boot import {role}; {role}({fd})"
)
UNSAFE_LIBRARIES = ("libcuda", "libtorch", "libtensorflow", "libgomp", "libiomp", "libgrpc", "libtbb")


class Settings(NamedTuple):
    """What a process of a clean start must be given."""

    method: str
    caller: int
    depth: int  # runs that its workers are in
    zero_copy: bool
    together: bool  # frame_pickling="list"
    blas_threads: int
    kept: int  # bytes of its heap that a worker may keep
    argv: tuple[str, ...]
    path: tuple[str, ...]
    filters: tuple[tuple[str, str, str, str, str, int], ...]  # action, message, module and name of the category, module, line
    log_levels: tuple[tuple[str, int, bool], ...]  # name (the root's is empty), level, disabled
    log_disabled: int
    own_streams: tuple[bool, bool]  # standard output and error are the caller's own descriptors


def choose_method(asked: str) -> str:
    """Resolve ``auto``."""
    if asked != "auto":
        return asked
    if sys.platform == "darwin" or not hasattr(os, "fork"):
        return "spawn"
    return "fork" if sys.platform == "linux" and _may_fork() else "forkserver"


def _may_fork() -> bool:
    if threading.active_count() > 1 or _is_green():
        return False
    until = time.monotonic() + ENDING
    for _ in range(LOOKS):
        if _mind_forks(_native_threads()):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(ENDING / LOOKS)
    return False


def _is_green() -> bool:
    """Tell whether gevent or eventlet has put its own sockets in the place of Python's: a fork has its loop, and nobody turns it."""
    return socket.socket.__module__ != socket.__name__


def _mind_forks(names: list[str]) -> bool:
    """Tell whether native threads of these names may be forked beside."""
    if not names:
        return True
    maps = read("/proc/self/maps")
    known = {read("/proc/self/comm"), os.path.basename(sys.executable)[:15], *SAFE_THREADS}
    minds = known.issuperset(names) and any(pool in maps for pool in SAFE_POOLS)
    return minds and not any(library in maps for library in UNSAFE_LIBRARIES)


def _native_threads() -> list[str]:
    """Return the names of the threads beside the main one."""
    folder = "/proc/self/task"
    try:
        numbers = os.listdir(folder)
    except OSError:
        return ["?"]  # nobody can tell: as beside one that nobody knows
    return [read(f"{folder}/{number}/comm") for number in numbers if int(number) != os.getpid()]


# ------------------------------------------------------------------------------------------------------- beginning a worker


class Starter(Protocol):
    """Begins worker processes, for the supervisor."""

    @property
    def helpers(self) -> tuple[int, ...]:
        """Return the children of the supervisor that are no workers."""

    refused: str
    """What the system said when it began no process; the socket of that worker has ended from the beginning."""

    close_in_child: Callable[[], None]
    """What a forked child must close of the supervisor's."""

    def start(self, worker: int, node: int, place: int) -> tuple[Channel, int | None]:
        """Begin one; return its socket, and its pid if that is known already."""


def close_nothing() -> None:
    """Close nothing: clean children inherit nothing."""


class ForkStarter:
    """Forks workers from the supervisor, which inherited the graph."""

    helpers: tuple[int, ...] = ()
    refused = ""

    close_in_child: Callable[[], None] = staticmethod(close_nothing)

    def __init__(self, specs: Mapping[int, StageSpec], settings: Settings, stock: Stock) -> None:
        self._specs = specs
        self._settings = settings
        self._stock = stock
        handler_class()  # before the first fork: what is done after it is done in each child, and in each run
        find_malloc()

    def start(self, worker: int, node: int, place: int) -> tuple[Channel, int | None]:
        here, theirs = socket.socketpair()
        mine = Channel(here)
        supervisor = os.getpid()

        def body() -> int:
            self.close_in_child()
            die_with_parent(supervisor)
            return live_as_worker(Channel(theirs), worker, place, self._specs[node], self._settings, self._stock)

        OPEN.add(mine)  # closed in the child
        pid = None
        try:
            pid = fork_child(body, ours=True)
        except OSError as error:
            self.refused = str(error)
        theirs.close()
        return mine, pid


class SpawnStarter:
    """Starts each worker as a fresh interpreter."""

    helpers: tuple[int, ...] = ()
    refused = ""

    close_in_child: Callable[[], None] = staticmethod(close_nothing)

    def __init__(self, graph: bytes, settings: Settings) -> None:
        self._graph = graph
        self._settings = settings

    def start(self, worker: int, node: int, place: int) -> tuple[Channel, int | None]:
        mine, theirs = channel_pair()
        try:
            process = exec_child("worker", theirs.fileno(), self._settings.path, blas_threads=self._settings.blas_threads)
        except OSError as error:
            self.refused = str(error)
            return mine, None
        finally:
            theirs.close()
        process.returncode = 0  # reaped by the supervisor, by pid
        mine.queue((p.SETUP, worker, node, place, os.getpid(), tuple(self._settings)), [self._graph])
        return mine, process.pid


# ------------------------------------------------------------------------------------------------------- a clean process


def exec_child(
    role: str, fd: int, path: tuple[str, ...], *, blas_threads: int = 0, born: Callable[[Any], object] = lambda process: None
) -> Any:
    """Start a fresh interpreter that calls ``boot.<role>(fd)``. ``born`` is told the process before a signal may come in."""
    flags = subprocess._args_from_interpreter_flags()
    blocked = hold_signals()
    try:
        mask = sorted(map(int, {*blocked - CATCHABLE, signal.SIGINT}))  # that one until ``enter_child``: Ctrl-C is the caller's
        command = [sys.executable, *flags, "-c", START.format(mask=mask, path=list(path), role=role, fd=fd)]
        with executing():
            process = subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.DEVNULL, env=environment(blas_threads))
        born(process)
        return process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def adopt_channel(fd: int) -> Channel:
    """Take over a socket that this process was given; programs that it starts must not have it, for they may outlive it."""
    os.set_inheritable(fd, False)
    return Channel(socket.socket(fileno=fd))


def take_settings(method: str, config: Any, blas_threads: int, kept: int) -> Settings:
    """Note down what a clean process must be told of this one."""
    filters = tuple(
        (action, _pattern(text), category.__module__, category.__qualname__, _pattern(module), line)
        for action, text, category, module, line in warnings.filters
    )
    return Settings(
        method=method,
        caller=os.getpid(),
        depth=next_depth(),
        zero_copy=bool(config.zero_copy),
        together=config.frame_pickling == "list",
        blas_threads=blas_threads,
        kept=kept,
        argv=tuple(sys.argv),
        path=_module_path(),
        filters=filters,
        log_levels=_log_levels(),
        log_disabled=logging.getLogger().manager.disable,
        own_streams=(is_own_stream(sys.stdout, 1), is_own_stream(sys.stderr, 2)),
    )


def _module_path() -> tuple[str, ...]:
    """Return where imports look for modules here, in texts: a ``Path`` says nothing to a fresh interpreter.

    A relative entry is of the folder in which it was first used: the program may have changed to another since.
    """
    here = _folder()
    entries = [os.fspath(entry or here) for entry in sys.path if entry or here]
    return tuple(entry if os.path.isabs(entry) else getattr(sys.path_importer_cache.get(entry), "path", entry) for entry in entries)


def _folder() -> str:
    """Return where this process is; ``""`` where that folder was deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def prepare(settings: Settings) -> None:
    """Be as the caller is: arguments, module path, warning filters, log levels; and know how many runs this is in."""
    enter(settings.depth)
    sys.argv[:] = list(settings.argv)
    sys.path[:] = list(settings.path)
    _filter_warnings(settings)
    for name, level, disabled in settings.log_levels:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.disabled = disabled
    logging.disable(settings.log_disabled)


def _pattern(compiled: Any) -> str:
    """Return the text of a filter's regular expression (a string for those that Python itself starts with)."""
    return compiled if isinstance(compiled, str) else getattr(compiled, "pattern", "")


def _log_levels() -> tuple[tuple[str, int, bool], ...]:
    root = logging.getLogger()
    known = [("", root), *((name, one) for name, one in list(root.manager.loggerDict.items()) if isinstance(one, logging.Logger))]
    return tuple((name, one.level, bool(one.disabled)) for name, one in known if one is root or one.level or one.disabled)


def _filter_warnings(settings: Settings) -> None:
    """Set the caller's filters, as far as their categories are loaded here: where they are not, nobody warns of them yet."""
    warnings.resetwarnings()
    for action, message, module, name, where, line in reversed(settings.filters):
        if module in sys.modules:
            with suppress(AttributeError):  # a class of the caller's ``__main__``
                warnings.filterwarnings(action, message, attrgetter(name)(sys.modules[module]), where, line)


def fail_set_up(channel: Channel, node: int, error: BaseException) -> int:
    """Tell that the stage could not even be loaded here, and wait for the word to end."""
    note = Note(Kind.SETUP, summary=summarise(error), traceback=shortened_traceback(error), pid=os.getpid(), node=node)
    channel.send((p.SETUP_FAILED, p.pack_note(note)))
    while (message := channel.receive()) is not None:
        if message[0][0] == p.STOP:
            channel.send((p.GONE, None))
            return 0
    return 1


def live_as_worker(channel: Channel, worker: int, place: int, spec: StageSpec, settings: Settings, stock: Stock | None = None) -> int:
    """Be a worker, until told to stop; ``stock``: it inherited this, as the run's other processes did."""
    name_process(spec.plan.label)
    be_mortal_again()
    reseed()
    enter(settings.depth)
    if stock is None:
        _filter_warnings(settings)  # once more: the graph brought its modules
    cap_threads(threads_of_stage(spec.stage.config.blas_threads, settings.blas_threads))
    process = WorkerProcess(
        channel,
        worker,
        place,
        spec,
        zero_copy=settings.zero_copy,
        together=settings.together,
        stock=stock,
        kept=settings.kept,
    )
    relay(process.say, settings.own_streams)
    return process.run()

