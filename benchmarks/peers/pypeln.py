"""pypeln: a chain of processes, put in order at the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from olympipe_ng.lazy import lazy

from ..contract import Job

MODULES = ("pypeln",)
pypeln = lazy("pypeln")
WAITING = 32  # items between two steps; without a bound it reads the whole source


def run(job: Job, source: Iterable[Any]) -> Iterable[Any]:
    stream = source
    for function, workers in job.stages:
        stream = pypeln.process.map(function, stream, workers=workers, maxsize=WAITING)
    ordered = any(stage.workers > 1 for stage in job.stages)
    results: Iterable[Any] = pypeln.process.ordered(stream) if ordered else stream
    return results
