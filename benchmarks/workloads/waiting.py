"""Steps that only wait, as for a network: 50 at a time."""

from __future__ import annotations

import asyncio
import time

from ..contract import IDEAL, Claim, Stage, Workload

SECONDS, AT_ONCE = 0.005, 50


def wait(x: int) -> int:
    time.sleep(SECONDS)
    return x + 1


async def wait_async(x: int) -> int:
    await asyncio.sleep(SECONDS)
    return x + 1


def ideal(items: int) -> float:
    return items * SECONDS / AT_ONCE


def _plus_one(items: int) -> list[int]:
    return list(range(1, items + 1))


def _workload(name: str, title: str, stage: Stage, contestants: tuple[str, ...], warm_runs: int, options: dict[str, int]) -> Workload:
    return Workload(
        name,
        title,
        (stage,),
        range,
        2_000,
        contestants,
        (Claim("of what arithmetic allows", (IDEAL,), 0.85, 0.95),),
        few=200,
        expected=_plus_one,
        ideal=ideal,
        warm_runs=warm_runs,
        options=options,
    )


def _workloads(ending: str, which: str, warm_runs: int) -> tuple[Workload, ...]:
    threads, coroutines = {"threads": AT_ONCE}, {"concurrency": AT_ONCE}
    pools = ("olympipe_ng", "executor+threads=50")
    return (
        _workload("waiting-threads" + ending, f"sleep(0.005), threads=50, {which} run", Stage(wait), pools, warm_runs, threads),
        _workload("waiting-async" + ending, "the same as async def, concurrency=50", Stage(wait_async), pools[:1], warm_runs, coroutines),
    )


WORKLOADS = (*_workloads("", "first", 0), *_workloads("-later", "second", 1))
