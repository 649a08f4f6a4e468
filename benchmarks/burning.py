"""Work of a known number of steps: never timed, so that contention shows instead of being waited out.

``burn`` is pure Python, a tight loop; ``digest`` is compiled code, as decoding a photograph or fitting a model is. They differ in what
becomes of them by what runs between two items: see :mod:`benchmarks.between`. The driver counts once how many steps make a millisecond
and hands that to every contestant in the environment.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

__all__ = ["burn", "calibrated", "digest", "turn"]

TURNS, PASSES = "BENCHMARK_TURNS", "BENCHMARK_PASSES"  # of a millisecond
TRIALS = 15  # the best of them was disturbed least

_turns = int(os.environ.get(TURNS, "15000"))
_passes = int(os.environ.get(PASSES, "5000"))


def turn(times: int) -> int:
    x = 1
    for _ in range(times):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def derive(passes: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", b"benchmark", b"salt", passes)


def burn(milliseconds: float) -> int:
    """Loop in Python for as many turns as took so long on the quiet machine."""
    return turn(int(milliseconds * _turns))


def digest(milliseconds: float) -> bytes:
    """Derive a key in as many passes as took so long on the quiet machine."""
    return derive(int(milliseconds * _passes))


def calibrated() -> dict[str, str]:
    """Return what contestants should have in their environment."""
    return {TURNS: str(_count(turn, 100_000)), PASSES: str(_count(derive, 30_000))}


def _count(work: Callable[[int], object], steps: int) -> int:
    """Return the steps of one millisecond."""
    return int(steps / (min(_seconds(work, steps) for _ in range(TRIALS)) * 1e3))


def _seconds(work: Callable[[int], object], steps: int) -> float:
    started = time.perf_counter()
    work(steps)
    return time.perf_counter() - started
