"""``concurrent.futures.ProcessPoolExecutor.map`` over all steps as one function; ``chunk=512`` items in a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from ..contract import Job

MODULES = ()


def run(job: Job, source: Iterable[Any]) -> Iterator[Any]:
    threads = job.options.get("threads")
    pool = ThreadPoolExecutor(int(threads)) if threads else ProcessPoolExecutor(job.pool_size)
    with pool:
        yield from pool.map(_Steps(job), source, chunksize=int(job.options.get("chunk", 1)))


class _Steps:
    """All steps of a job, in a form that travels: a workload's own description does not."""

    def __init__(self, job: Job) -> None:
        self.functions = [stage.function for stage in job.stages]

    def __call__(self, item: Any) -> Any:
        for function in self.functions:
            item = function(item)
        return item


steps = _Steps
