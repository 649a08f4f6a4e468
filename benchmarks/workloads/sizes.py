"""Byte strings from 16 B to 4 MiB through two stages: for the plot of throughput against item size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ..contract import Stage, Workload

SIZES = tuple(2**power for power in range(4, 23, 3))
VOLUME = 2**26  # bytes at most
MOST = 50_000  # items


def blobs(items: int, size: int) -> Iterator[bytes]:
    for number in range(items):
        yield bytes([number % 251]) * size


def pass_on(blob: bytes) -> bytes:
    return blob


def look(blob: bytes) -> tuple[int, int]:
    return blob[0], len(blob)


WORKLOADS = tuple(
    Workload(
        f"size-{size}",
        f"bytes of {size} B, two stages",
        (Stage(pass_on),) * 2,
        partial(blobs, size=size),
        min(MOST, VOLUME // size),
        ("olympipe_ng", "queue_chain", "executor", "olympipe", "pypeln"),
        few=16,
        keep=look,
        share={"queue_chain": 0.3, "executor": 0.1, "olympipe": 0.2, "pypeln": 0.1},
        streamed=True,
        item_bytes=size,
    )
    for size in SIZES
)
