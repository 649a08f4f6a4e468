"""What ``import olympipe_ng`` costs, and what it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import olympipe_ng

ROOT = Path(__file__).parents[2]
TRIALS = 9  # by turns, and the best of each: a busy machine only ever makes an import dearer


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """Let modules be compiled once, as an installer does: from source an import costs half as much again."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path))


def cost(module: str) -> float:
    """Return the seconds of processor time that a fresh interpreter needs to import ``module``."""
    code = f"import time; begin = time.process_time(); import {module}; print(time.process_time() - begin)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60)
    return float(ran.stdout)


@pytest.mark.usefixtures("compiled")
def test_importing_costs_at_most_twice_what_multiprocessing_costs():
    """``import olympipe_ng`` takes at most twice the time of ``import multiprocessing.connection``."""
    ours, theirs = zip(*[(cost("olympipe_ng"), cost("multiprocessing.connection")) for _ in range(TRIALS)], strict=True)
    assert min(ours) <= 2 * min(theirs)


HEAVY = ["asyncio", "cloudpickle", "concurrent.futures", "multiprocessing", "numpy", "psutil", "typing_extensions"]


@pytest.mark.parametrize("module", HEAVY)
def test_importing_leaves_heavy_modules_alone(module):
    """What is dear to import is imported when it is first needed."""
    code = f"import sys, olympipe_ng; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60).returncode == 0


def test_the_public_names_are_sorted_and_there():
    """``__all__`` is sorted as ruff sorts it, and each name in it can be had."""
    names = olympipe_ng.__all__
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=lambda name: (not name.isupper(), name.islower(), name))
    for name in names:
        assert getattr(olympipe_ng, name) is not None
    assert dir(olympipe_ng) == sorted(names)


def test_the_version_is_that_of_the_package():
    """``__version__`` and the package's metadata agree."""
    assert f'version = "{olympipe_ng.__version__}"' in (ROOT / "pyproject.toml").read_text()
