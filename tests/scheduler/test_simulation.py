"""The scheduler in tens of thousands of random worlds: nothing lost, nothing twice, in order, within bounds, always to an end.

``SIMULATED_RUNS`` sets how many (20 000 by default, a minute or two on two cores). A failing seed prints the line that repeats it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulate.generate import generate
from tests.simulate.world import World

RUNS = int(os.environ.get("SIMULATED_RUNS", "20000"))
WORLDS = ((0, 0.0), (1_000_000, 0.03))  # first seed, chance of a death: run side by side, a process each


def simulate(first: int, kills: float) -> subprocess.Popen[str]:
    options = ["--seed", str(first), "--runs", str(RUNS // len(WORLDS)), "--kills", str(kills), "--stop-after", "3"]
    return subprocess.Popen([sys.executable, "-m", "tests.simulate", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_promise_is_broken_in_any_random_world() -> None:
    """Whatever the graph, the delays, the failures and the deaths: every invariant holds, and the oracle's results come out."""
    running = [simulate(first, kills) for first, kills in WORLDS]
    printed = [process.communicate()[0] for process in running]
    assert not any(process.returncode for process in running), "\n".join(printed)


@pytest.mark.parametrize("seed", [3, 17, 2047])
def test_a_seed_is_a_run(seed: int) -> None:
    """The same seed gives the same events and commands, so a failing one can be looked at again."""
    logs = []
    for _ in range(2):
        world = World(generate(seed, 0.03), trace=True)
        world.run()
        logs.append([line.partition("frame=")[0] for line in world.log or ()])
    assert logs[0] == logs[1]
