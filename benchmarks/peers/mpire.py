"""mpire: a pool over all steps as one function; ``chunk=512`` items in a message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from olympipe_ng.lazy import lazy

from ..contract import Job
from .executor import steps

MODULES = ("mpire",)
mpire = lazy("mpire")


class _One:
    """Take an item as one argument: mpire would unpack tuples and dicts."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, item: Any) -> Any:
        return self.function(item)


def run(job: Job, source: Iterable[Any]) -> Iterator[Any]:
    with mpire.WorkerPool(n_jobs=job.pool_size, start_method="fork") as pool:
        yield from pool.imap(_One(steps(job)), ((item,) for item in source), chunk_size=int(job.options.get("chunk", 1)))
