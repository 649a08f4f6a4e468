"""The plain loop: what the others must agree with, and what they are there to beat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..contract import Job

MODULES = ()


def run(job: Job, source: Iterable[Any]) -> Iterator[Any]:
    functions = [stage.function for stage in job.stages]
    for item in source:
        for function in functions:
            item = function(item)
        yield item
