"""Work that costs a known number of loop turns: never timed, so that contention shows instead of being waited out.

The driver counts once how many turns make a millisecond and hands that to every contestant in the environment.
"""

from __future__ import annotations

import os
import time

__all__ = ["VARIABLE", "burn", "calibrate"]

VARIABLE = "BENCHMARK_TURNS"
TRIALS = 15  # the best of them was disturbed least
TURNS = int(os.environ.get(VARIABLE, "15000"))


def turn(times: int) -> int:
    x = 1
    for _ in range(times):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def burn(milliseconds: float) -> int:
    """Compute for as many turns as took so long on the quiet machine."""
    return turn(int(milliseconds * TURNS))


def calibrate(turns: int = 100_000) -> int:
    """Return the loop turns of one millisecond."""
    return int(turns / (min(_seconds(turns) for _ in range(TRIALS)) * 1e3))


def _seconds(turns: int) -> float:
    started = time.perf_counter()
    turn(turns)
    return time.perf_counter() - started
