"""CSV files read with pandas; the frames come back to the caller, in order, and are put together there."""

from __future__ import annotations

from typing import Any

from olympipe_ng.lazy import lazy

from ..contract import Claim, Stage, Workload
from ..folder import data_folder

numpy = lazy("numpy")
pandas = lazy("pandas")
LINES = 50_000


def make_files(items: int) -> None:
    folder = data_folder() / "csv"
    folder.mkdir(exist_ok=True)
    for number in range(items):
        path = folder / f"{number:03d}.csv"
        if not path.exists():
            _make_sales(number).to_csv(path, index=False)


def _make_sales(number: int) -> Any:
    chance = numpy.random.default_rng(number)
    columns = {
        "number": numpy.arange(LINES) + number * LINES,
        "quantity": chance.integers(1, 100, LINES),
        "price": chance.integers(1, 10_000, LINES) / 100,
        "shop": chance.choice(["Lille", "Lyon", "Nantes", "Paris"], LINES),
    }
    return pandas.DataFrame(columns)


def paths(items: int) -> list[str]:
    return [str(data_folder() / "csv" / f"{number:03d}.csv") for number in range(items)]


def read_sales(path: str) -> Any:
    sales = pandas.read_csv(path)
    sales["paid"] = sales["quantity"] * sales["price"]
    return sales


def put_together(frames: list[Any]) -> list[Any]:
    sales = pandas.concat(frames, ignore_index=True)
    return [len(sales), round(float(sales["paid"].sum()), 2), int(sales["number"].iloc[-1])]


WORKLOADS = (
    Workload(
        "csv",
        "the CSV job, frames to the caller in order",
        (Stage(read_sales, 2),),
        paths,
        120,
        ("loop", "olympipe_ng", "queue_chain", "executor", "executor+threads=2", "olympipe", "mpire", "joblib", "data_loader"),
        (Claim("against the plain loop", ("loop",), 1.3, 1.5),),
        few=4,
        finish=put_together,
        modules=("numpy", "pandas"),
        prepare=make_files,
    ),
)
