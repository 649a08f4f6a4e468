"""A slow stream: how long an item is under way when nothing holds it up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..contract import LATENCY, Claim, Stage, Workload

PERIOD = 0.010  # seconds between items
Stamped = tuple[int, float]


def tick(items: int) -> Iterator[Stamped]:
    """Give a number and the time, each 10 ms."""
    began = time.perf_counter()
    for number in range(items):
        time.sleep(max(0.0, began + number * PERIOD - time.perf_counter()))
        yield number, time.perf_counter()


def pass_on(item: Stamped) -> Stamped:
    return item


def stamp_arrival(item: Stamped) -> Stamped:
    number, sent = item
    return number, time.perf_counter() - sent


def delays(
    name: str, title: str, source: Callable[[int], Iterable[Stamped]], items: int, contestants: tuple[str, ...], claim: Claim, **more: Any
) -> Workload:
    """Describe three stages that only pass on; the figure is how long items are under way, by the time that they carry."""
    return Workload(
        name,
        title,
        (Stage(pass_on),) * 3,
        source,
        items,
        contestants,
        (claim,),
        measure=LATENCY,
        keep=stamp_arrival,
        check=lambda item: item[0],
        expected=lambda items: list(range(items)),
        streamed=True,
        **more,
    )


WORKLOADS = (
    delays(
        "latency",
        "slow stream, an item each 10 ms, 3 stages",
        tick,
        200,
        ("olympipe_ng", "queue_chain", "olympipe", "pypeln"),
        Claim("median delay, against the Queue chain", ("queue_chain",), 1.2, 0.8),
        few=20,
    ),
)
