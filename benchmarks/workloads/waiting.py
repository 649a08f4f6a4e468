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


CLAIM = Claim("of what arithmetic allows", (IDEAL,), 0.85, 0.95)
WORKLOADS = (
    Workload(
        "waiting-threads",
        "sleep(0.005), threads=50",
        (Stage(wait),),
        range,
        2_000,
        ("olympipe_ng", "executor+threads=50"),
        (CLAIM,),
        few=200,
        expected=_plus_one,
        ideal=ideal,
        options={"threads": AT_ONCE},
    ),
    Workload(
        "waiting-async",
        "the same as async def, concurrency=50",
        (Stage(wait_async),),
        range,
        2_000,
        ("olympipe_ng",),
        (CLAIM,),
        few=200,
        expected=_plus_one,
        ideal=ideal,
        options={"concurrency": AT_ONCE},
    ),
)
