"""Large arrays whose pages were written (those of ``numpy.zeros`` would be the kernel's one page of zeros, which flatters everybody)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from olympipe_ng.lazy import lazy

from ..contract import Claim, Stage, Workload

numpy = lazy("numpy")
FLOATS = 2**18  # in a MiB


def make_arrays(items: int, mebibytes: int) -> Iterator[Any]:
    ramp = numpy.arange(mebibytes * FLOATS, dtype=numpy.float32)
    for number in range(items):
        array = ramp + numpy.float32(1)
        array[0] = number
        array[-1] = 7
        yield array


def touch(array: Any) -> Any:
    array[0] += 1
    return array


def look(array: Any) -> Any:
    return array if array[-1] == 7 else None


def read(array: Any) -> float:
    return float(array[0] + array[-1])


def load(number: int) -> Any:
    """Make an array of 6 MB, as a decoded photograph is."""
    return numpy.full(1_500_000, number, dtype=numpy.float32)


def same_array(items: int) -> Iterator[Any]:
    """Give one array again and again: making it shall not cost."""
    array = numpy.arange(24 * FLOATS, dtype=numpy.float32)
    for _ in range(items):
        yield array


def ends(array: Any) -> tuple[float, float, int]:
    return float(array[0]), float(array[-1]), len(array)


def _through_three(name: str, mebibytes: int, items: int, function: Any, contestants: tuple[str, ...], *claims: Claim) -> Workload:
    return Workload(
        name,
        f"3 stages {'touching' if function is touch else 'reading'} one element of {items} arrays of {mebibytes} MiB",
        (Stage(function),) * 3,
        partial(make_arrays, mebibytes=mebibytes),
        items,
        contestants,
        claims,
        keep=ends,
        streamed=True,
        item_bytes=mebibytes << 20,
        modules=("numpy",),
    )


WORKLOADS = (
    _through_three(
        "arrays-1",
        1,
        400,
        touch,
        ("olympipe_ng", "queue_chain", "olympipe", "pypeln", "data_loader", "loop"),
        Claim("against the Queue chain", ("queue_chain",), 6, 12),
    ),
    _through_three(
        "arrays-1-many",
        1,
        4_000,
        touch,
        ("olympipe_ng", "queue_chain"),
        Claim("against the Queue chain", ("queue_chain",), 6, 12),
    ),
    _through_three(
        "arrays-24",
        24,
        60,
        touch,
        ("olympipe_ng", "queue_chain", "olympipe", "loop"),
        Claim("against the Queue chain", ("queue_chain",), 4, 6),
    ),
    _through_three(
        "arrays-24-read",
        24,
        60,
        look,
        ("olympipe_ng+zero_copy", "queue_chain", "loop"),
        Claim("zero_copy, against the Queue chain", ("queue_chain",), 6, 8, ours="olympipe_ng+zero_copy"),
    ),
    Workload(
        "batches",
        "load, batch(16), read of 6 MB arrays",
        (Stage(load), Stage(read)),
        range,
        1_600,
        ("olympipe_ng", "olympipe_ng+batch=16", "olympipe_ng+zero_copy", "olympipe_ng+zero_copy,batch=16"),
        (
            Claim("against the same without batch", ("olympipe_ng",), 0.9, 1.0, ours="olympipe_ng+batch=16"),
            Claim("the same, zero_copy both", ("olympipe_ng+zero_copy",), 0.9, 1.0, ours="olympipe_ng+zero_copy,batch=16"),
        ),
        few=32,
        streamed=True,
        modules=("numpy",),
    ),
    Workload(
        "one-hop",
        "one stage reading 24 MiB arrays",
        (Stage(read),),
        same_array,
        2_000,
        ("olympipe_ng+zero_copy", "memory_copy"),
        (Claim("zero_copy, against one memory copy", ("memory_copy",), 0.6, 0.85, ours="olympipe_ng+zero_copy"),),
        streamed=True,
        modules=("numpy",),
    ),
)
