"""Steps that compute for milliseconds: how much of two cores is left for the user's own work."""

from __future__ import annotations

from ..burning import burn
from ..contract import Claim, Stage, Workload

DEAR = 20  # times: what one item in fifty costs
PLAIN = ("two_processes",)


def five(x: int) -> int:
    burn(5)
    return x + 1


def ten(x: int) -> int:
    burn(10)
    return x + 1


def uneven(x: int) -> int:
    """Cost 10 ms, and in each fifty items one 20 times that; even and odd numbers in turn, so that halves are alike."""
    burn(10 * DEAR if x % 50 == x // 50 % 50 else 10)
    return x + 1


def _plus(more: int, items: int) -> list[int]:
    return list(range(more, items + more))


WORKLOADS = (
    Workload(
        "balanced",
        "two balanced CPU-bound stages of 5 ms",
        (Stage(five),) * 2,
        range,
        2_000,
        ("olympipe_ng", "two_processes", "queue_chain", "executor", "olympipe", "pypeln", "mpire", "joblib", "data_loader"),
        (Claim("against two plain processes", PLAIN, 0.96, 0.985),),
        few=100,
        expected=lambda items: _plus(2, items),
    ),
    Workload(
        "uniform",
        "one stage of 10 ms, count=2, in order",
        (Stage(ten, 2),),
        range,
        1_000,
        ("olympipe_ng", "two_processes", "queue_chain", "executor", "olympipe", "pypeln", "mpire", "joblib", "data_loader"),
        (Claim("against two plain processes", PLAIN, 0.96, 0.985),),
        few=50,
        expected=lambda items: _plus(1, items),
    ),
    Workload(
        "uneven",
        "the same, 1 item in 50 is 20 times dearer",
        (Stage(uneven, 2),),
        range,
        1_000,
        ("olympipe_ng", "two_processes", "queue_chain", "executor", "mpire", "joblib", "data_loader"),
        (Claim("against two plain processes", PLAIN, 0.94, 0.97),),
        few=100,
        expected=lambda items: _plus(1, items),
    ),
)
