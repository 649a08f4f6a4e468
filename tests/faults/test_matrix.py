"""A sample of the fault matrix, a short storm and soak. All of it: ``python -m tests.faults.matrix``, ``tests.storm``, ``tests.soak``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.helpers import ROOT
from tests.faults.matrix import CELLS, check, sample


@pytest.mark.parametrize("cell", sample(40, 1, [cell for cell in CELLS if cell.engine != "spawn"]), ids=str)
def test_a_cell_of_the_fault_matrix(cell):
    """Right error or complete result, in time, nothing left."""
    assert check(cell) == ""


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_short_storm(method):
    """60 kills: nothing lost, twice, out of order or corrupt, no hang."""
    command = [sys.executable, "-m", "tests.storm", "--kills", "60", "--seed", "11", "--method", method]
    done = subprocess.run(command, text=True, capture_output=True, timeout=170, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_short_soak():
    """Some graphs run whole, stopped, left, dropped and stormed: nothing wrong, nothing left behind."""
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.1", "--seed", "2"]
    done = subprocess.run(command, text=True, capture_output=True, timeout=170, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_storm_finds_out_an_engine_that_acknowledges_before_the_commit():
    """The negative control: broken on purpose, the storm must fail."""
    command = [sys.executable, "-m", "tests.storm", "--kills", "300", "--seed", "3", "--control"]  # one graph may be spared
    done = subprocess.run(command, text=True, capture_output=True, timeout=170, cwd=ROOT)
    assert done.returncode == 1
    assert "lost" in done.stdout
