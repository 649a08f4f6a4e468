"""The fault menu: what user code may do to the process that runs it, each a small function of the item.

    Fault("sigkill_self", kills=True)            how it shows: the error that the item then fails with
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from olympipe_ng import SerializationError, StageError, StageTimeout, WorkerDied

__all__ = ["MENU", "Fault"]


class Fault(NamedTuple):
    """A function that fails, and the error its item must get."""

    act: Callable[[Any], Any]
    error: type[Exception]
    says: str  # part of the error's text
    timeout: float | None = None  # the stage needs this


class TwoArguments(Exception):
    """Cannot be rebuilt from its ``args``."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


class CannotBeLoaded:
    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}

    def __setstate__(self, state: dict[str, int]) -> None:
        raise ValueError("will not be loaded")


def raise_error(item: Any) -> Any:
    raise ValueError(f"no {item}")


def raise_oserror(item: Any) -> Any:
    raise FileNotFoundError(2, "no such thing", str(item))


def sys_exit(item: Any) -> Any:
    sys.exit(0)


def os_exit_0(item: Any) -> Any:
    os._exit(0)


def sigkill_self(item: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def segfault(item: Any) -> Any:
    ctypes.string_at(0)


def sigbus(item: Any) -> Any:
    os.kill(os.getpid(), signal.SIGBUS)


def hang(item: Any) -> Any:
    time.sleep(1000)


def hang_in_c(item: Any) -> Any:
    """Wait for ever without releasing the GIL."""
    lock = threading.Lock()
    lock.acquire()
    ctypes.PyDLL(None).pause()


def unpicklable_result(item: Any) -> Any:
    return (each for each in [item])


def result_that_cannot_be_loaded(item: Any) -> Any:
    return CannotBeLoaded()


def exception_that_cannot_be_rebuilt(item: Any) -> Any:
    raise TwoArguments("first", "second")


def exception_that_cannot_be_pickled(item: Any) -> Any:
    error = ValueError("holds a lock")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error


def memory_bomb(item: Any) -> Any:
    """Take more memory than there may be; the limit is set here, for this worker alone."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
    return bytearray(1 << 36)


MENU: dict[str, Fault] = {
    "raise_error": Fault(raise_error, StageError, "ValueError: no"),
    "raise_oserror": Fault(raise_oserror, StageError, "FileNotFoundError"),
    "sys_exit": Fault(sys_exit, StageError, "SystemExit"),
    "os_exit_0": Fault(os_exit_0, WorkerDied, "exited with code 0"),
    "sigkill_self": Fault(sigkill_self, WorkerDied, "SIGKILL"),
    "segfault": Fault(segfault, WorkerDied, "SIGSEGV"),
    "sigbus": Fault(sigbus, WorkerDied, "SIGBUS"),
    "hang": Fault(hang, StageTimeout, "longer than timeout=0.3", timeout=0.3),
    "hang_in_c": Fault(hang_in_c, StageTimeout, "longer than timeout=0.3", timeout=0.3),
    "unpicklable_result": Fault(unpicklable_result, SerializationError, "generator"),
    "result_that_cannot_be_loaded": Fault(result_that_cannot_be_loaded, SerializationError, "will not be loaded"),
    "exception_that_cannot_be_rebuilt": Fault(exception_that_cannot_be_rebuilt, StageError, "TwoArguments: first"),
    "exception_that_cannot_be_pickled": Fault(exception_that_cannot_be_pickled, StageError, "holds a lock"),
    "memory_bomb": Fault(memory_bomb, StageError, "MemoryError"),
}
