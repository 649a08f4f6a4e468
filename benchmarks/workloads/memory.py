"""Items of 256 KiB and a slow last stage: how much of the stream is in memory at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..contract import PEAK, Claim, Stage, Workload

SIZE = 2**18
LONG = "olympipe_ng+long"


def blobs(items: int) -> Iterator[bytes]:
    for number in range(items):
        yield bytes([number % 251]) * SIZE


def pass_on(blob: bytes) -> bytes:
    return blob


def dawdle(blob: bytes) -> int:
    time.sleep(0.001)
    return len(blob)


WORKLOADS = (
    Workload(
        "memory",
        "256 KiB items, slow last stage: peak of the process tree (sum of PSS)",
        (Stage(pass_on), Stage(pass_on), Stage(dawdle)),
        blobs,
        3_000,
        ("olympipe_ng", LONG, "queue_chain", "olympipe", "pypeln"),
        (
            Claim("MiB", (), 150, 70),
            Claim("ten times the items", ("olympipe_ng",), 1.1, 1.05, ours=LONG),
        ),
        few=300,
        measure=PEAK,
        expected=lambda items: [SIZE] * items,
        share={LONG: 10.0},
        item_bytes=SIZE,
    ),
)
