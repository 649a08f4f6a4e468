"""Threads of linear algebra: capped in workers, so that workers times threads do not exceed the cores.

    clean start    environment variables, set before the library is loaded
    fork           it is loaded already: told through ctypes, where it is OpenBLAS, which says how

Whoever forks workers is told, once, and they inherit it: OpenBLAS begins its threads when it is told, each looks for work for 0.1 s before
it sleeps, and only a fork ends them. In each of three workers on two cores that was a third of a short run's time.

What the user set in the environment beats ``"auto"``; what a stage or the pipeline says beats both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from ...lazy import lazy
from ...machine import read, usable_cpus
from ...plan import Plan

ctypes = lazy("ctypes")

__all__ = ["cap_threads", "environment", "threads_of_run", "threads_of_stage"]

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")
PREFIXES, SUFFIXES = ("openblas", "scipy_openblas"), ("", "64_", "_64", "64")  # of builds that rename their functions


def threads_of_run(asked: Any, plan: Plan) -> int:
    """Return how many threads each worker may have; 0 for any number."""
    if asked is None or (asked == "auto" and any(name in os.environ for name in VARIABLES)):
        return 0
    if asked != "auto":
        return int(asked)
    threads = sum(node.workers * (1 if node.cancels else node.lanes) for node in plan.nodes if node.staffed)
    return max(1, usable_cpus() // max(1, threads))


def threads_of_stage(asked: Any, of_run: int) -> int:
    """Return what a stage says, else what the run does."""
    return asked if isinstance(asked, int) else of_run


def environment(threads: int) -> dict[str, str]:
    """Return the environment for a fresh interpreter."""
    values = dict(os.environ)
    if threads:
        values.update(dict.fromkeys(VARIABLES, str(threads)))
    return values


def cap_threads(threads: int) -> None:
    """Cap this process, and what is forked from it: what it will load, and what it has loaded, if it does not have that number already."""
    if threads:
        _cap_what_comes(threads)
        for library in _found():
            if library.get_threads() != threads:
                library.set_threads(threads)


def _cap_what_comes(threads: int) -> None:
    for name in VARIABLES:
        if os.environ.get(name) != str(threads):
            os.environ[name] = str(threads)


class _Library(NamedTuple):
    """An OpenBLAS that is loaded."""

    get_threads: Callable[[], int]
    set_threads: Callable[[int], object]


@cache
def _found() -> list[_Library]:
    """Find those that are loaded when this process, or the one it was forked from, begins."""
    if sys.platform != "linux" or "numpy" not in sys.modules:
        return []
    return [library for path in _loaded("openblas") if (library := _find_functions(path)) is not None]


def _loaded(word: str) -> set[str]:
    lines = read("/proc/self/maps").splitlines()
    return {line[line.index("/") :].strip() for line in lines if word in line and "/" in line and ".so" in line}


def _find_functions(path: str) -> _Library | None:
    try:
        library = ctypes.CDLL(path)
    except (OSError, ImportError):
        return None  # mapped, but not to be loaded again: deleted meanwhile; or this Python was built without ctypes
    for prefix, suffix in product(PREFIXES, SUFFIXES):
        names = [f"{prefix}_{verb}_num_threads{suffix}" for verb in ("get", "set")]
        if all(hasattr(library, name) for name in names):
            return _Library(*(getattr(library, name) for name in names))
    return None
