"""What is looked at before anything starts: descriptors, and what the functions carry along.

    check_descriptors   a GraphError that says how many are needed and how many there are
    warn_of_size        a function that carries more than 10 MB is named, with the variable that holds them
    hold_standard       closed standard streams are kept from being given to our sockets
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from ...errors import GraphError
from ...lazy import lazy
from ...plan import Plan
from ...worker import StageSpec

logging = lazy("logging")
resource = lazy("resource")
units = lazy("olympipe_ng.units")

__all__ = ["check_descriptors", "hold_standard", "is_address_space_limited", "warn_of_size"]

PER_WORKER = 4  # in the supervisor: its socket, its pidfd, its control page, a segment of its memory
OWN = 24  # streams, sockets, pollers and pipes of a process of ours
LARGE_CLOSURE = 10_000_000  # bytes; less is pickled in no time


def check_descriptors(plan: Plan) -> None:
    """Raise ``GraphError`` when a run would need more descriptors than the limit allows."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return
    here = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else OWN
    needed = max(here, OWN) + OWN // 2 + PER_WORKER * plan.workers
    if needed > limit:
        raise GraphError(
            f"this run of {plan.workers} workers needs {needed} file descriptors, and the limit is {limit}: raise it (ulimit -n {needed}), "
            "or use fewer stages or a lower count"
        )


def is_address_space_limited() -> bool:
    """Say whether a caller had better map nothing of its workers': what it is given may need all the room there is."""
    return bool(resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY)


def warn_of_size(specs: list[StageSpec], nbytes: int) -> None:
    """Name what makes the functions of a run large."""
    found = [(*largest, spec) for spec in specs if (largest := _largest(spec.stage))]
    where = ""
    if found:
        _, name, spec = max(found, key=lambda each: each[0])
        where = f", most of it in the variable {name!r} of stage {spec.title} ({spec.declared_at})"
    text = "the functions of this run carry %s to its workers%s: load that in the worker instead (class_task, initializer)"
    logging.getLogger("olympipe_ng").warning(text, units.size(nbytes), where)


def _largest(stage: Any) -> tuple[int, str] | None:
    """Find the variable of the stage's functions that holds most."""
    found = [(_size(value), name) for function in vars(stage).values() for name, value in _variables(function)]
    return max(found, default=None)


def _variables(function: Any) -> Iterator[tuple[str, Any]]:
    function = getattr(function, "func", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        with contextlib.suppress(ValueError):  # an empty cell
            yield name, cell.cell_contents
    for name in code.co_names:
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _size(value: Any) -> int:
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    return len(value) if isinstance(value, (bytes, bytearray, str, list, tuple, dict, set)) else 0


@contextlib.contextmanager
def hold_standard() -> Iterator[None]:
    """Occupy those of the descriptors 0 to 2 that are closed, so that no socket gets their number, which children replace."""
    held = []
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        held.append(fd)
    os.close(fd)
    try:
        yield
    finally:
        for fd in held:
            os.close(fd)
