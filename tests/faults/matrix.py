"""Every fault of the menu at every place, in every position, under every engine: right error or complete result, in time, nothing left.

    python -m tests.faults.matrix                          all cells
    python -m tests.faults.matrix --sample 60 --seed 3     some of them
    python -m tests.faults.matrix --only sigkill_self      those whose name contains the word

A cell is ``fault/place/position/engine``. One item at most may fail, the others are there, in order.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from olympipe_ng import Pipeline, PipelineError, StageError, StageTimeout, WorkerDied
from tests.faults.menu import MENU, Fault
from tests.leaks import left_behind, look

__all__ = ["CELLS", "Cell", "check", "sample"]

ITEMS = 12
AT = {"first item": 0, "middle": 5, "last item": ITEMS - 1}
PLACES = ("constructor", *AT, "flush", "close")
POSITIONS = ("first stage", "middle stage", "last stage", "branch", "parallel stage")
ENGINES = ("fork", "forkserver", "spawn", "thread", "inline")
SECONDS = 30.0  # for a cell; a loaded machine starts interpreters slowly
KILLING = ("os_exit_0", "sigkill_self", "segfault", "sigbus", "memory_bomb")  # of or for the whole process
HANGING = ("hang", "hang_in_c")
RESULTS = ("unpicklable_result", "result_that_cannot_be_loaded")


class Cell(NamedTuple):
    fault: str
    place: str
    position: str
    engine: str

    def __str__(self) -> str:
        return "/".join(self)


def applies(cell: Cell) -> bool:
    """Leave out what cannot be: a thread cannot be killed, a constructor and a close method have no result."""
    if cell.engine in ("thread", "inline") and cell.fault in (*KILLING, *HANGING):
        return False
    if cell.engine == "inline" and cell.fault in RESULTS and cell.place in AT:
        return True
    return not (cell.fault in RESULTS and cell.place not in AT) and not (cell.fault in HANGING and cell.place == "flush")


CELLS = [cell for cell in map(Cell._make, itertools.product(MENU, PLACES, POSITIONS, ENGINES)) if applies(cell)]


def sample(count: int, seed: int, cells: Sequence[Cell] = CELLS) -> list[Cell]:
    """Draw some cells."""
    return random.Random(seed).sample(cells, min(count, len(cells)))


# ------------------------------------------------------------------------------------------------------------- the pipelines


def faulty(place: str, act: Callable[[Any], Any]) -> type:
    """Make a class for ``class_task`` that fails at one place."""

    class Faulty:
        def __init__(self) -> None:
            if place == "constructor":
                act("constructor")

        def work(self, x: int) -> Any:
            return act(x) if x == AT.get(place) else x

        def close(self) -> None:
            if place == "close":
                act("close")

    return Faulty


def stage(pipeline: Any, cell: Cell, fault: Fault, count: int) -> Any:
    if cell.place == "flush":
        act = fault.act
        return pipeline.checkpoint([], lambda x, state: [*state, x], lambda state: [act(state)])
    made = faulty(cell.place, fault.act)
    limits: Any = {"timeout": fault.timeout} if cell.place in AT else {}
    if cell.place == "constructor" and cell.fault in HANGING:
        limits = {"setup_timeout": 5.0 if cell.engine == "spawn" else 1.0}
    return pipeline.class_task(made, made.work, None, made.close, count=count, on_error="collect", **limits)  # type: ignore[attr-defined]


def build(cell: Cell, fault: Fault) -> list[Any]:
    """Give the pipelines to wait for."""
    engine = cell.engine if cell.engine in ("thread", "inline") else "process"
    method: Any = "fork" if engine != "process" else cell.engine
    source = Pipeline(range(ITEMS), engine=engine, start_method=method, close_timeout=0.5, progress=False)
    if cell.position == "first stage":
        return [stage(source, cell, fault, 1).task(same)]
    if cell.position == "middle stage":
        return [stage(source.task(same), cell, fault, 1).task(same)]
    if cell.position == "branch":
        return [stage(source, cell, fault, 1), source.task(same)]
    return [stage(source.task(same), cell, fault, 3 if cell.position == "parallel stage" else 1)]


def same(x: Any) -> Any:
    return x


# ------------------------------------------------------------------------------------------------------------------- judging


def check(cell: Cell) -> str:
    """Run a cell; say what is wrong, ``""`` if nothing is."""
    fault, before, began = MENU[cell.fault], look(), time.monotonic()
    try:
        results = Pipeline.wait_for_all_results(build(cell, fault))
        problem = judge_results(cell, fault, results)
    except PipelineError as error:
        problem = judge_error(cell, fault, error)
    took = time.monotonic() - began
    if not problem and took > SECONDS:
        problem = f"took {took:.1f} s"
    left = left_behind(before)
    return problem or ("left behind: " + ", ".join(left) if left else "")


def judge_results(cell: Cell, fault: Fault, results: Any) -> str:
    everything, first = list(range(ITEMS)), list(results[0])
    if cell.position == "branch" and list(results[1]) != everything:
        return f"the other branch gave {results[1]}"
    if cell.place == "close":
        raises = cell.fault not in (*KILLING, *HANGING)
        return "no error" if raises else "" if first == everything else f"gave {first}"
    if cell.place not in AT:
        return f"no error, gave {first}"
    wanted = [x for x in everything if x != AT[cell.place]]
    if first != wanted:
        return f"gave {first}"
    if len(results.errors) != 1 or fault.says not in results.errors[0]:
        return f"errors are {results.errors}"
    return ""


def judge_error(cell: Cell, fault: Fault, error: PipelineError) -> str:
    """Tell whether the run may fail with this: where no item is to blame, or a close method raised."""
    allowed: dict[str, tuple[type, ...]] = {"constructor": (StageError, WorkerDied, StageTimeout), "close": (StageError,)}
    allowed["flush"] = (StageError, WorkerDied)
    if not isinstance(error, allowed.get(cell.place, ())):
        return f"{type(error).__name__}: {error}"
    if "stage " not in str(error):
        return f"names no stage: {error}"
    return "" if fault.says.partition(":")[0] in str(error) or cell.fault in HANGING else f"says {error}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    given = parser.parse_args(arguments)
    cells = [cell for cell in CELLS if given.only in str(cell)]
    cells = sample(given.sample, given.seed, cells) if given.sample else cells
    logging.getLogger("olympipe_ng").setLevel(logging.CRITICAL)  # that an item failed is what every other cell says
    bad = 0
    tempfile.tempdir = tempfile.mkdtemp()  # what appears there was left by a cell
    for cell in cells:
        problem = check(cell)
        if problem:
            bad += 1
            print(f"{cell}: {problem}", flush=True)
    print(f"{len(cells)} cells of {len(CELLS)}, seed {given.seed}: {bad} wrong", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
