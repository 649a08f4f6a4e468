"""Where mutants of the scheduler are registered: each replaces one function of it by a version with a typical fault of such engines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from olympipe_ng.scheduler import scheduler, settling

Patch = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[str, tuple[Patch, float, str]] = {}


def mutant(caught_by: str, kills: float = 0.0) -> Callable[[Patch], Patch]:
    """Register a mutant; ``caught_by``: words of the complaint that may be expected, apart by ``|``."""

    def register(patch: Patch) -> Patch:
        MUTANTS[patch.__name__] = (patch, kills, caught_by)
        return patch

    return register


def settling_event(name: str) -> type:
    """Return the event that a function of ``settling`` handles."""
    return next(kind for kind, handler in scheduler._TABLE.items() if handler is getattr(settling, name))
