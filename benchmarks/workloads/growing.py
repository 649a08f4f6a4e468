"""Does the cost of an item stay the same when there are more stages, and more items?"""

from __future__ import annotations

from ..contract import MICROSECONDS, Claim, Stage, Workload
from .small_items import add_one

STAGES = (1, 2, 5, 10, 20)
WITH = {stages: f"olympipe_ng+stages={stages}" for stages in STAGES}
LONG = "olympipe_ng+long"

WORKLOADS = (
    Workload(
        "stages",
        "x + 1, cost of an item as stages grow",
        (Stage(add_one),),
        range,
        100_000,
        (*WITH.values(), *(f"queue_chain+stages={stages}" for stages in STAGES)),
        (Claim("20 stages against twice 10", (WITH[10],), 1.15, 1.05, ours=WITH[20], scale=2.0),),
        few=2_000,
        measure=MICROSECONDS,
        share={f"queue_chain+stages={stages}": 0.1 for stages in STAGES},
    ),
    Workload(
        "items",
        "x + 1, cost of an item as items grow",
        (Stage(add_one),) * 3,
        range,
        300_000,
        ("olympipe_ng", LONG),
        (Claim("ten times the items", ("olympipe_ng",), 1.15, 1.05, ours=LONG),),
        few=5_000,
        measure=MICROSECONDS,
        expected=lambda items: list(range(3, items + 3)),
        share={LONG: 10.0},
    ),
)
