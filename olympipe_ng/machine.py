"""How much of the machine this process may use: cores and memory, by its affinity and its control groups.

    /proc/self/cgroup   0::/user.slice/job          version 2: cpu.max, memory.max
                        4:cpu,cpuacct:/docker/7f    version 1: cpu.cfs_quota_us / cpu.cfs_period_us, memory.limit_in_bytes
    each group and those around it, up to the root of what is mounted here: the smallest limit holds

In a container the path may be the host's, which is not there: then the root of the mount is the container's own group.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress

__all__ = ["memory_limit", "read", "usable_cpus"]

GROUPS = "/sys/fs/cgroup"
MEMBERSHIP = "/proc/self/cgroup"


def usable_cpus() -> int:
    """Count the cores this process may use: by affinity, and by the quotas of its control groups, rounded, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min([cores, *(round(quota) for quota in _quotas())]))


def memory_limit() -> int | None:
    """Return the bytes that this process's control groups allow it, ``None`` without a limit."""
    texts = [read(f"{group}/{name}") for group in _groups("memory") for name in ("memory.max", "memory.limit_in_bytes")]
    return min((int(text) for text in texts if text.isdecimal()), default=None)


def _quotas() -> Iterator[float]:
    """Yield the cores that each group allows."""
    for group in _groups("cpu"):
        quota, _, period = read(f"{group}/cpu.max").partition(" ")
        if not quota:
            quota, period = read(f"{group}/cpu.cfs_quota_us"), read(f"{group}/cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal():  # neither "max" nor -1
            yield int(quota) / int(period)


def _groups(controller: str) -> Iterator[str]:
    """Yield the folders of the groups that this process is in, for one controller, and of those around them."""
    for line in read(MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            root, group = f"{GROUPS}/{controller}" if controllers else GROUPS, path.strip("/")
            while group:
                yield f"{root}/{group}"
                group = os.path.dirname(group)
            yield root


def read(path: str) -> str:
    """Return a file's text, empty where there is none: no such limit, no such thread any more, or no such system."""
    with suppress(OSError), io.FileIO(path) as file:  # not by ``open``: tests of programs put others in its place
        return file.readall().decode(errors="replace").strip()
    return ""
