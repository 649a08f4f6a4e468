"""The libraries that compete: one module each, with ``MODULES`` (what must be installed) and ``run(job, source)``, which gives the results.

Pools (executor, joblib, mpire, DataLoader) run all steps as one function in each worker; chains (olympipe, pypeln, the queue chain, ours)
move every item from step to step. Ratios between the two kinds compare idioms, not libraries.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Protocol, cast

from ..contract import Job

__all__ = ["Peer", "load_peer"]


class Peer(Protocol):
    """What a module of this package has."""

    MODULES: tuple[str, ...]

    def run(self, job: Job, source: Iterable[Any]) -> Iterable[Any]:
        """Do the job and give the results."""
        raise NotImplementedError


def load_peer(name: str) -> Peer:
    """Find a peer; what it needs may be missing until it is run."""
    return cast("Peer", importlib.import_module(f"{__name__}.{name}"))
