"""This library. Options: ``fork``, ``forkserver``, ``spawn``; ``list`` pickling; ``zero_copy``; ``batch=16`` between first and second
step; ``keep_warm`` from the first run to the end of the process."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from olympipe_ng import Pipeline, keep_warm

from ..contract import Job, Stage

MODULES = ()
METHODS = {"fork", "forkserver", "spawn"}

_warmth = contextlib.ExitStack()
atexit.register(_warmth.close)


class Each:
    """Do to a list what a function does to an item."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, items: list[Any]) -> list[Any]:
        return [self.function(item) for item in items]


def run(job: Job, source: Iterable[Any]) -> Iterable[Any]:
    if "keep_warm" in job.options:
        _warmth.enter_context(keep_warm())  # within itself in later runs, which is allowed
    pipeline = Pipeline(source, progress=False, **_options(job))
    if "batch" in job.options:
        return _batched(job, pipeline)
    for stage in job.stages:
        pipeline = _then(job, pipeline, stage)
    return pipeline if job.workload.streamed else pipeline.wait_for_result()


def _options(job: Job) -> Any:
    options: dict[str, Any] = {"start_method": next(iter(METHODS & set(job.options)), "auto")}
    if "list" in job.options:
        options["frame_pickling"] = "list"
    if "zero_copy" in job.options:
        options["zero_copy"] = True
    return options


def _then(job: Job, pipeline: Pipeline[Any], stage: Stage) -> Pipeline[Any]:
    then: Pipeline[Any] = pipeline.task(stage.function, count=stage.workers, **job.workload.options)
    return then


def _batched(job: Job, pipeline: Pipeline[Any]) -> Iterator[Any]:
    first, *others = job.stages
    pipeline = _then(job, pipeline, first).batch(int(job.options["batch"]))
    for function, workers in others:
        pipeline = _then(job, pipeline, Stage(Each(function), workers))
    for batch in pipeline:
        yield from batch
