"""What stages mean: one file per kind, nothing of how they are run.

    contract.py      what a stage offers to the engine
    functions.py     the base of the kinds with one function per item
    holding.py       items that wait in a stream transform, and those that leave it
    <kind>.py        one kind each: ``batch.py`` holds ``Batch``

A kind is imported when its class is first asked for (PEP 562): ``import olympipe_ng`` must not pay for thirty modules of which a
pipeline uses three.

Considered and refused: a registry that kinds enter themselves into (it has to import them all to be complete).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch import Batch
    from .bucket import Bucket
    from .cached_task import CachedTask
    from .checkpoint import Checkpoint
    from .class_task import ClassTask
    from .debug import Debug
    from .enumerate import Enumerate
    from .explode import Explode
    from .filter import Filter
    from .gather import Gather
    from .latest import Latest
    from .limit import Limit
    from .reduce import Reduce
    from .rejoin import Rejoin
    from .scan import Scan
    from .shuffle import Shuffle
    from .skip import Skip
    from .split import Split
    from .starmap import Starmap
    from .tap import Tap
    from .task import Task
    from .temporal_batch import TemporalBatch
    from .throttle import Throttle
    from .timeout import Timeout
    from .uncache import Uncache
    from .unique import Unique
    from .window import Window
    from .zip import Zip

__all__ = [
    "Batch",
    "Bucket",
    "CachedTask",
    "Checkpoint",
    "ClassTask",
    "Debug",
    "Enumerate",
    "Explode",
    "Filter",
    "Gather",
    "Latest",
    "Limit",
    "Reduce",
    "Rejoin",
    "Scan",
    "Shuffle",
    "Skip",
    "Split",
    "Starmap",
    "Tap",
    "Task",
    "TemporalBatch",
    "Throttle",
    "Timeout",
    "Uncache",
    "Unique",
    "Window",
    "Zip",
]

_TWO_WORDS = {"CachedTask": "cached_task", "ClassTask": "class_task", "TemporalBatch": "temporal_batch"}
_MODULES = {name: _TWO_WORDS.get(name, name.lower()) for name in __all__}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
