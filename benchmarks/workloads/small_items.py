"""Many small items through three cheap steps: what it costs to move one."""

from __future__ import annotations

from typing import Any

from ..contract import Claim, Stage, Workload

SLOW = {"queue_chain": 0.2, "executor": 0.05, "olympipe": 0.1, "pypeln": 0.02, "joblib": 0.1, "data_loader+chunk=512": 1.0}


def add_one(x: int) -> int:
    return x + 1


def add_key(record: dict[str, Any]) -> dict[str, Any]:
    record[f"key{len(record)}"] = record["number"] + 1
    return record


def make_records(items: int) -> list[dict[str, Any]]:
    """Return dicts of some 200 bytes, pickled."""
    return [
        {"number": k, "name": f"client number {k:08d}", "city": f"Lyon {k % 97}", "note": "x" * 90, "ratio": k / 7.0, "known": k % 2 == 0}
        for k in range(items)
    ]


CHUNKS = ("queue_chain+chunk=512", "queue_chain+chunk=2048")

WORKLOADS = (
    Workload(
        "ints",
        "3 stages of x + 1, ints",
        (Stage(add_one),) * 3,
        range,
        200_000,
        (
            "olympipe_ng",
            "queue_chain",
            *CHUNKS,
            "executor",
            "executor+chunk=512",
            "olympipe",
            "pypeln",
            "mpire+chunk=512",
            "joblib",
            "loop",
        ),
        (
            Claim("against the Queue chain, one by one", ("queue_chain",), 25, 60),
            Claim("against the Queue chain, best chunk", CHUNKS, 0.35, 0.8),
        ),
        few=5_000,
        expected=lambda items: list(range(3, items + 3)),
        share=SLOW,
    ),
    Workload(
        "dicts",
        "3 stages, 200-byte dicts",
        (Stage(add_key),) * 3,
        make_records,
        200_000,
        ("olympipe_ng", "olympipe_ng+list", "queue_chain", "queue_chain+chunk=128", "executor+chunk=128", "olympipe", "mpire+chunk=128"),
        (
            Claim("against the Queue chain", ("queue_chain",), 3.5, 5),
            Claim("with list pickling", ("queue_chain",), 8, 10, ours="olympipe_ng+list"),
        ),
        few=2_000,
        share=SLOW,
    ),
)
