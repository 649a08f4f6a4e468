"""The simulation finds what it is there to find: a scheduler with one fault put into it is caught within a few hundred runs.

Each mutant replaces one function of the scheduler by a version with a typical fault of such engines. A mutant that survives shows a
promise that nobody looks after.
"""

from __future__ import annotations

import pytest

from tests.scheduler import mutants_of_ends, mutants_of_flow  # noqa: F401 - they register themselves
from tests.scheduler.mutants import MUTANTS
from tests.simulate.runs import Failing, run_seed

RUNS = 1500  # seeds within which a mutant must be caught; most are within ten


def hunt(kills: float) -> Failing | None:
    """Return the first run that fails."""
    return next((failing for seed in range(RUNS) if (failing := run_seed(seed, kills)) is not None), None)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_the_simulation_catches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler with this fault breaks a promise within a bounded number of runs."""
    patch, kills, caught_by = MUTANTS[name]
    patch(monkeypatch)
    failing = hunt(kills)
    assert failing is not None, f"{RUNS} runs, and nobody noticed"
    assert any(word in failing.problem for word in caught_by.split("|")), f"caught, but not for its own fault: {failing}"
