"""Read 120 CSV files of 20 000 lines on all cores, add a column, and put them together in order.

    python examples/csv_job.py [FILES] [LINES]

``count="auto"`` runs a worker on every usable core; the frames come back in the order of the files, however long each took, so that the
result is the same as a plain loop's. The files are made first.
"""

from __future__ import annotations

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from olympipe_ng import Pipeline


def write_sales(number: int, folder: Path, lines: int) -> Path:
    """Write one day's sales: always the same for the same number."""
    chance = np.random.default_rng(number)
    sales = pd.DataFrame(
        {
            "day": number,
            "article": chance.integers(1, 500, lines),
            "quantity": chance.integers(1, 20, lines),
            "price": chance.integers(50, 10_000, lines) / 100,
        }
    )
    path = folder / f"sales-{number:03d}.csv"
    sales.to_csv(path, index=False)
    return path


def read_sales(path: Path) -> pd.DataFrame:
    """Read one file and add what was paid. This runs in the workers."""
    sales = pd.read_csv(path)
    sales["paid"] = (sales["quantity"] * sales["price"]).round(2)
    return sales


def put_together(paths: list[Path]) -> pd.DataFrame:
    sales = Pipeline(paths, name="sales").task(read_sales, count="auto").wait_for_result()
    return pd.concat(sales, ignore_index=True)


def main(files: int = 120, lines: int = 20_000) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        write = partial(write_sales, folder=Path(folder), lines=lines)
        paths = Pipeline(range(files)).task(write, count="auto").wait_for_result()
        started = time.perf_counter()
        sales = put_together(paths)
        seconds = time.perf_counter() - started
    print(f"{files} files, {len(sales)} lines in {seconds:.1f} s; {sales['paid'].sum():,.2f} paid")
    print(sales.groupby("day")["paid"].sum().describe())
    return sales


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
