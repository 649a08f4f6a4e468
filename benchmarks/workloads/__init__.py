"""What is measured: one module a kind of work."""

from __future__ import annotations

from ..contract import Workload
from . import arrays, computing, csv_files, growing, images, latency, memory, sizes, small_items, starting, waiting

__all__ = ["WORKLOADS", "find_workload"]

MODULES = (small_items, arrays, latency, computing, images, csv_files, waiting, memory, starting, growing, sizes)
WORKLOADS: tuple[Workload, ...] = tuple(workload for module in MODULES for workload in module.WORKLOADS)


def find_workload(name: str) -> Workload:
    """Return the workload of this name."""
    for workload in WORKLOADS:
        if workload.name == name:
            return workload
    raise ValueError(f"no workload {name!r}: there are {', '.join(workload.name for workload in WORKLOADS)}")
