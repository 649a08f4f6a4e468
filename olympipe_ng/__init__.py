"""Chained stages in parallel: stream items through Python functions, in order, with nothing lost.

>>> from olympipe_ng import Pipeline
>>> Pipeline(range(10), engine="inline").filter(lambda x: x % 2).task(lambda x: x * x).batch(3).wait_for_result()
[[1, 9, 25], [49, 81]]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .drop import DROP, Drop
from .errors import (
    GraphError,
    InternalError,
    ItemError,
    PipelineError,
    PipelineExecutionError,
    SerializationError,
    SourceConsumed,
    SourceError,
    StageError,
    StageTimeout,
    StreamTimeout,
    TooManyFailures,
    WorkerDied,
)
from .options import RunOptions, StageOptions
from .pipeline import Pipeline

if TYPE_CHECKING:
    from .current import CurrentItem, CurrentWorker, current_item, current_worker
    from .engines.process.nursery import keep_warm
    from .failures import Failure
    from .report import RunReport
    from .run import Results, Run

__version__ = "0.1.0"

__all__ = [
    "DROP",
    "CurrentItem",
    "CurrentWorker",
    "Drop",
    "Failure",
    "GraphError",
    "InternalError",
    "ItemError",
    "Pipeline",
    "PipelineError",
    "PipelineExecutionError",
    "Results",
    "Run",
    "RunOptions",
    "RunReport",
    "SerializationError",
    "SourceConsumed",
    "SourceError",
    "StageError",
    "StageOptions",
    "StageTimeout",
    "StreamTimeout",
    "TooManyFailures",
    "WorkerDied",
    "current_item",
    "current_worker",
    "keep_warm",
]

_LAZY = {
    "CurrentItem": "current",
    "CurrentWorker": "current",
    "Failure": "failures",
    "Results": "run",
    "Run": "run",
    "RunReport": "report",
    "current_item": "current",
    "current_worker": "current",
    "keep_warm": "engines.process.nursery",
}
_NOT_YET = frozenset({"globalize", "parallel", "reductions", "sequence", "testing", "timed", "tracing"})
_DECORATORS = frozenset({"class_task", "filter", "source", "source_from", "splitter", "task"})


def _get(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    if name in _NOT_YET:
        raise GraphError(f"olympipe_ng.{name}: not available yet")  # no AttributeError: "from ... import" would hide the text
    deprecated = importlib.import_module(f"{__name__}.deprecated")
    if name in _DECORATORS:
        deprecated.warn_user(f"{name} has moved: import it from olympipe_ng.decorators", DeprecationWarning)
        return getattr(importlib.import_module(f"{__name__}.decorators"), name)
    return deprecated.refuse_name(__name__, name)


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # else a type checker would take any name for granted
    __getattr__ = _get
