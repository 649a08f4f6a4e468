"""Where the files that a workload reads are made: one folder for all contestants of a run, gone afterwards."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["VARIABLE", "data_folder"]

VARIABLE = "BENCHMARK_FOLDER"


def data_folder() -> Path:
    return Path(os.environ[VARIABLE])
