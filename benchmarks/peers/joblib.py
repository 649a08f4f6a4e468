"""joblib: a pool (loky) over all steps as one function; it sizes its messages itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from olympipe_ng.lazy import lazy

from ..contract import Job
from .executor import steps

MODULES = ("joblib",)
joblib = lazy("joblib")


def run(job: Job, source: Iterable[Any]) -> Iterable[Any]:
    function = joblib.delayed(steps(job))
    results: Iterable[Any] = joblib.Parallel(n_jobs=job.pool_size, return_as="generator")(function(item) for item in source)
    return results
