"""Threads of linear algebra: capped in workers, so that workers times threads do not exceed the cores.

    clean start    environment variables, set before the library is loaded
    fork           it is loaded already: told through ctypes, where it is OpenBLAS, which says how

Its own function for that is called only for more threads than it has: it first begins anew those that the fork ended, and each looks for
work for 0.1 s before it sleeps. In each of three workers on two cores, that was a third of a short run's time.

What the user set in the environment beats ``"auto"``; what a stage or the pipeline says beats both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from ...lazy import lazy
from ...machine import usable_cpus
from ...plan import Plan, Role

ctypes = lazy("ctypes")

__all__ = ["cap_threads", "environment", "prepare_cap", "threads_of_run", "threads_of_stage"]

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")
PREFIXES, SUFFIXES = ("openblas", "scipy_openblas"), ("", "64_", "_64", "64")  # of builds that rename their functions


def threads_of_run(asked: Any, plan: Plan) -> int:
    """Return how many threads each worker may have; 0 for any number."""
    if asked is None or (asked == "auto" and any(name in os.environ for name in VARIABLES)):
        return 0
    if asked != "auto":
        return int(asked)
    workers = sum(node.workers * (1 if node.cancels else node.lanes) for node in plan.nodes if node.role is Role.STAGE and not node.hub)
    return max(1, usable_cpus() // max(1, workers))


def threads_of_stage(asked: Any, of_run: int) -> int:
    """Return what a stage says, else what the run does."""
    return asked if isinstance(asked, int) else of_run


def environment(threads: int) -> dict[str, str]:
    """Return the environment for a fresh interpreter."""
    values = dict(os.environ)
    if threads:
        values.update(dict.fromkeys(VARIABLES, str(threads)))
    return values


def prepare_cap(threads: int) -> None:
    """Do what ``cap_threads`` would do in each child, here and once: nothing that starts or ends a thread."""
    if threads:
        _cap_what_comes(threads)
        _found()


def cap_threads(threads: int) -> None:
    """Cap this process: what it will load, and what it has loaded."""
    if threads:
        _cap_what_comes(threads)
        for set_threads in _found():
            set_threads(threads)


def _cap_what_comes(threads: int) -> None:
    for name in VARIABLES:
        if os.environ.get(name) != str(threads):
            os.environ[name] = str(threads)


@cache
def _found() -> list[Callable[[int], object]]:
    """Find how those are told that are loaded when this process, or the one it was forked from, begins."""
    if sys.platform != "linux" or "numpy" not in sys.modules:
        return []
    return [function for path in _loaded("openblas") if (function := _setter(path)) is not None]


def _loaded(word: str) -> set[str]:
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        return {line[line.index("/") :].strip() for line in file if word in line and "/" in line and ".so" in line}


def _setter(path: str) -> Callable[[int], object] | None:
    try:
        library = ctypes.CDLL(path)
    except OSError:
        return None  # mapped, but not to be loaded again: deleted meanwhile
    names = [f"{prefix}_set_num_threads{suffix}" for prefix in PREFIXES for suffix in SUFFIXES]
    function = next((function for name in names if (function := getattr(library, name, None)) is not None), None)
    try:
        used, made = (ctypes.c_int.in_dll(library, name) for name in ("blas_cpu_number", "blas_num_threads"))
    except ValueError:
        return function  # a build that hides them
    return function and partial(_set, used, made, function)


def _set(used: Any, made: Any, function: Callable[[int], object], threads: int) -> None:
    """Set the number of threads to be used, without a word to those that are to be."""
    if threads <= made.value:
        used.value = threads
    else:
        function(threads)
