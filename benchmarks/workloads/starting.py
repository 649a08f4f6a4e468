"""Start and end of three stages with one item: what a run costs before it does anything."""

from __future__ import annotations

import time

from ..contract import MILLISECONDS, Claim, Stage, Workload
from .latency import Stamped, delays
from .small_items import add_one

OURS = tuple(f"olympipe_ng+{method}" for method in ("fork", "forkserver", "spawn"))
BARE = ("bare+fork", "bare+interpreter", "bare+spawn")
LIMITS = (2.5, 1.5, 1.3)  # times the bare processes, for each start method
TEXTS = ("fork, against bare forks", "forkserver, against one interpreter", "spawn, against multiprocessing's")

WARM = "olympipe_ng+forkserver,keep_warm"


def now(items: int) -> list[Stamped]:
    """Give the time at which the run begins."""
    return [(number, time.perf_counter()) for number in range(items)]


def _start(name: str, title: str, warm_runs: int, claims: tuple[Claim, ...]) -> Workload:
    return Workload(
        name,
        title,
        (Stage(add_one),) * 3,
        range,
        1,
        (*OURS, *BARE, "queue_chain+fork", "executor", "olympipe", "pypeln"),
        claims,
        few=1,
        measure=MILLISECONDS,
        warm_runs=warm_runs,
        modules=("cloudpickle",),
    )


WORKLOADS = (
    _start("start-first", "start and end of 3 stages, one item, first run", 0, ()),
    _start(
        "start-second",
        "the same, second run of a process",
        1,
        tuple(
            Claim(text, (bare,), limit, limit, ours=ours) for text, bare, limit, ours in zip(TEXTS, BARE, LIMITS, OURS, strict=True)
        ),
    ),
    delays(
        "start-warm",
        "from the beginning of the second run, a second after the first, to its first result",
        now,
        1,
        (WARM, "olympipe_ng+forkserver", "olympipe_ng+fork"),
        Claim("keep_warm under forkserver", (), 30, 30, ours=WARM),
        few=1,
        warm_runs=1,
        rest=1.0,
        modules=("cloudpickle",),
    ),
)
