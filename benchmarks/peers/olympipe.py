"""olympipe, our predecessor: a chain of processes over queues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from olympipe_ng.lazy import lazy

from ..contract import Job

MODULES = ("olympipe",)
olympipe = lazy("olympipe")


def run(job: Job, source: Iterable[Any]) -> Iterable[Any]:
    pipeline = olympipe.Pipeline(source)
    for function, workers in job.stages:
        pipeline = pipeline.task(function, count=workers)
    (results,) = pipeline.wait_for_results()
    return list(results)
