"""Where a pipeline may run: the parameters of tests that hold for every engine and start method."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["EVERYWHERE", "METHODS", "PROCESSES", "THREADED", "each_engine", "everywhere", "in_processes", "in_threads"]

METHODS = ("fork", "forkserver", "spawn")
PROCESSES: dict[str, dict[str, Any]] = {method: {"engine": "process", "start_method": method} for method in METHODS}
EVERYWHERE: dict[str, dict[str, Any]] = {"inline": {"engine": "inline"}, "thread": {"engine": "thread"}, **PROCESSES}
THREADED: dict[str, dict[str, Any]] = {"thread": {"engine": "thread"}, "fork": PROCESSES["fork"]}

everywhere = pytest.mark.parametrize("where", EVERYWHERE.values(), ids=EVERYWHERE)
"""All engines, and all start methods of processes."""
in_processes = pytest.mark.parametrize("where", PROCESSES.values(), ids=PROCESSES)
in_threads = pytest.mark.parametrize("where", THREADED.values(), ids=THREADED)
"""Engines whose stages run beside the caller: one with threads, one with processes."""
each_engine = pytest.mark.parametrize("where", [EVERYWHERE["inline"], *THREADED.values()], ids=["inline", "thread", "process"])
"""Each engine once, processes by fork."""
