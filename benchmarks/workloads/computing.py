"""Steps that compute for milliseconds: how much of two cores is left for the user's own work.

Each job twice: in pure Python, where what runs between two items slows the next one's loop (:mod:`benchmarks.between`), and compiled.
"""

from __future__ import annotations

from collections.abc import Callable

from ..burning import burn, digest
from ..contract import Claim, Stage, Workload

DEAR = 20  # times: what one item in fifty costs

Work = Callable[[int], int]


def five(x: int) -> int:
    burn(5)
    return x + 1


def five_compiled(x: int) -> int:
    digest(5)
    return x + 1


def ten(x: int) -> int:
    burn(10)
    return x + 1


def ten_compiled(x: int) -> int:
    digest(10)
    return x + 1


def uneven(x: int) -> int:
    """Cost 10 ms, and in each fifty items one 20 times that; even and odd numbers in turn, so that halves are alike."""
    burn(10 * DEAR if x % 50 == x // 50 % 50 else 10)
    return x + 1


def uneven_compiled(x: int) -> int:
    digest(10 * DEAR if x % 50 == x // 50 % 50 else 10)
    return x + 1


def _plus(more: int, items: int) -> list[int]:
    return list(range(more, items + more))


def _workload(
    name: str, title: str, stages: tuple[Stage, ...], items: int, least: float, goal: float, others: tuple[str, ...] = ()
) -> Workload:
    return Workload(
        name,
        title,
        stages,
        range,
        items,
        ("olympipe_ng", "two_processes", "queue_chain", "executor", "mpire", "joblib", "data_loader", *others),
        (Claim("against two plain processes", ("two_processes",), least, goal),),
        few=items // 10,
        expected=lambda items: _plus(len(stages), items),
    )


def _workloads(ending: str, kind: str, five: Work, ten: Work, uneven: Work) -> tuple[Workload, ...]:
    chains = ("olympipe", "pypeln")
    return (
        _workload("balanced" + ending, f"two balanced stages of 5 ms of {kind}", (Stage(five),) * 2, 2_000, 0.96, 0.985, chains),
        _workload("uniform" + ending, f"one stage of 10 ms of {kind}, count=2, in order", (Stage(ten, 2),), 1_000, 0.96, 0.985, chains),
        _workload("uneven" + ending, "the same, 1 item in 50 is 20 times dearer", (Stage(uneven, 2),), 1_000, 0.94, 0.97),
    )


WORKLOADS = (
    *_workloads("", "pure Python", five, ten, uneven),
    *_workloads("-compiled", "compiled code", five_compiled, ten_compiled, uneven_compiled),
)
