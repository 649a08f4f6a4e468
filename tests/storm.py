"""A kill storm: random graphs of real processes, whose workers are killed at random instants.

    python -m tests.storm --kills 1000 --seed 7                    0 hangs, lost, twice, out of order, corrupt: exit status 0
    python -m tests.storm --kills 100 --seed 7 --control           acknowledges before the commit: must be found out, exit status 1

Every graph is first run inline, and gives there what it must give in the storm. Workers that hold the caller's state may be killed too;
then the run must fail with ``WorkerDied`` that names their stage. A graph that fails prints the line that repeats it (its shape and its
data; the instants of the kills are the machine's).
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from olympipe_ng import Pipeline, PipelineError, WorkerDied, current_item
from olympipe_ng.scheduler import deaths
from olympipe_ng.scheduler.messages import Counts

ARRAY = 1 << 17  # elements of 8 bytes: 1 MiB
INTERVAL = 0.012  # seconds between two kills, at most
RUN_SECONDS = 60.0  # after so long a run counts as hanging
RETRIES = 1_000_000  # an item that is in hand at two kills is no culprit here
KINDS = ("work", "work", "doze", "threads", "async", "filter", "filter", "class", "class", "explode", "batch", "unordered")
EARLY = 0.1  # share of kills that may hit a worker that is not set up yet
OTHERS = ("olympipe_ng", "python")  # processes that are no workers, nor fork them


class Graph(NamedTuple):
    """A pipeline and how its results are to be judged."""

    pipelines: list[Any]
    ordered: bool
    stateful: list[str]  # names of stages whose death may fail the run
    text: str


# --------------------------------------------------------------------------------------------------------------- the functions


def work(x: Any) -> Any:
    """Cost a little, now and then much more."""
    index = current_item().index
    deadline = time.perf_counter() + (0.004 if index % 37 == 5 else 0.0004)
    while time.perf_counter() < deadline:
        pass
    return x + 1


def doze(x: Any) -> Any:
    time.sleep(0.001)
    return x + 1


async def awaited(x: Any) -> Any:
    return x + 1


def keep(x: Any) -> bool:
    return int(np.max(x)) % 3 != 0


def several(x: Any) -> list[Any]:
    return [x] * (int(np.max(x)) % 4)


def halves(x: Any) -> tuple[Any, Any]:
    return (x, None) if int(np.max(x)) % 2 else (None, x)


def add_up(x: Any, total: int) -> int:
    return total + int(np.max(x))


class Adder:
    """A class stage without state of its own."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def add(self, x: Any) -> Any:
        return x + self.amount


class Numberer:
    """A class stage whose instances count: their death cannot be mended."""

    def __init__(self) -> None:
        self.count = 0

    def number(self, x: Any) -> Any:
        self.count += 1
        return x + self.count


# ------------------------------------------------------------------------------------------------------------------ the graphs


class Maker:
    """Draws a graph."""

    def __init__(self, seed: int, engine: str, method: str) -> None:
        self.random = random.Random(seed)
        self.arrays = self.random.random() < 0.4
        self.count = self.random.randrange(30, 90) if self.arrays else self.random.randrange(200, 1500)
        options: Any = {"engine": engine, "start_method": method, "retries": RETRIES, "progress": False, "seed": seed}
        if self.random.random() < 0.3:
            options["queue_size"] = self.random.randrange(1, 20)
        lent = options["zero_copy"] = self.arrays and self.random.random() < 0.5
        self.options = options
        self.ordered = True
        self.stateful: list[str] = []
        self.steps: list[str] = [f"{self.count} {'lent arrays' if lent else 'arrays' if self.arrays else 'ints'}"]

    def source(self) -> Any:
        count = self.count
        if self.arrays:
            return Pipeline(lambda: (np.full(ARRAY, i) for i in range(count)), **self.options)
        return Pipeline(range(count), **self.options)

    def make(self) -> Graph:
        chosen = self.random
        pipeline = self.stages(self.source(), chosen.randrange(1, 3))
        shape = chosen.choice(["chain", "chain", "gather", "rejoin", "zip", "split", "sinks"])
        if shape == "rejoin" and any(step.startswith(("explode", "batch")) for step in self.steps):
            shape = "chain"  # behind them an item no longer stands for one of the source
        self.steps.append(shape)
        pipelines = getattr(self, shape)(pipeline)
        pipelines = [self.last(each) for each in pipelines]
        return Graph(pipelines, self.ordered, self.stateful, " > ".join(self.steps))

    def stages(self, pipeline: Any, count: int) -> Any:
        for _ in range(count):
            pipeline = self.stage(pipeline)
        return pipeline

    def chain(self, pipeline: Any) -> list[Any]:
        return [self.stage(pipeline)]

    def stage(self, pipeline: Any) -> Any:
        kind = self.random.choice(KINDS)
        count = self.random.randrange(1, 4)
        self.steps.append(f"{kind} x{count}")
        return getattr(self, f"stage_{kind}")(pipeline, count)

    def stage_work(self, pipeline: Any, count: int) -> Any:
        return pipeline.task(work, count)

    def stage_doze(self, pipeline: Any, count: int) -> Any:
        return pipeline.task(doze, count, timeout=30.0)

    def stage_threads(self, pipeline: Any, count: int) -> Any:
        return pipeline.task(doze, count, threads=3)

    def stage_async(self, pipeline: Any, count: int) -> Any:
        return pipeline.task(awaited, count, concurrency=4)

    def stage_filter(self, pipeline: Any, count: int) -> Any:
        return pipeline.filter(keep, count)

    def stage_explode(self, pipeline: Any, count: int) -> Any:
        self.stateful.append("several")  # what it has emitted of an item cannot be taken back: its death then fails that item
        return pipeline.explode(several, count)

    def stage_class(self, pipeline: Any, count: int) -> Any:
        return pipeline.class_task(Adder, Adder.add, [2], count=count)

    def stage_batch(self, pipeline: Any, count: int) -> Any:
        self.stateful.append("list")
        return pipeline.batch(3).explode(list, count)

    def stage_unordered(self, pipeline: Any, count: int) -> Any:
        self.ordered = False
        return pipeline.task(work, count, ordered=False)

    def gather(self, pipeline: Any) -> list[Any]:
        self.ordered = False
        return [self.stage(pipeline).gather(pipeline.task(work))]

    def rejoin(self, pipeline: Any) -> list[Any]:
        return [pipeline.task(work, 2).rejoin(pipeline.filter(keep)).task(sum_of_pair)]

    def zip(self, pipeline: Any) -> list[Any]:
        return [pipeline.task(work, 2).zip(pipeline.task(doze, 2)).task(sum_of_pair)] if self.ordered else [pipeline]

    def split(self, pipeline: Any) -> list[Any]:
        return list(pipeline.split(halves, 2))

    def sinks(self, pipeline: Any) -> list[Any]:
        return [pipeline, self.stage(pipeline)]

    def last(self, pipeline: Any) -> Any:
        if self.random.random() < 0.12:
            self.stateful.append("add_up")
            return pipeline.reduce(0, add_up)
        if self.random.random() < 0.08 and self.ordered:
            self.stateful.append("Numberer.number")
            return pipeline.class_task(Numberer, Numberer.number, stateful=True)
        return pipeline


def sum_of_pair(pair: Any) -> Any:
    return pair[0] + pair[1]


# ------------------------------------------------------------------------------------------------------------------- judging


def digest(results: Any) -> list[list[tuple[int, int]]]:
    """Give what to compare: an array's value and how many elements differ from it."""
    return [[(int(np.max(item)), int(np.max(item)) - int(np.min(item))) for item in each] for each in results]


def compare(wanted: Any, got: Any, ordered: bool) -> str:
    """Say what is wrong, ``""`` if nothing is."""
    for sink, (should, does) in enumerate(zip(wanted, got, strict=True)):
        if any(spread for _, spread in does):
            return f"sink {sink}: corrupt"
        lost, twice = Counter(should) - Counter(does), Counter(does) - Counter(should)
        if lost or twice:
            return f"sink {sink}: {sum(lost.values())} lost {list(lost)[:5]}, {sum(twice.values())} too many {list(twice)[:5]}"
        if ordered and should != does:
            return f"sink {sink}: out of order"
    return ""


class Killer(threading.Thread):
    """Kills workers, one at a random instant: mostly such as are set up, now and then one that starts, or what forks them."""

    def __init__(self, run: Any, rng: random.Random, budget: int) -> None:
        super().__init__(daemon=True)
        self.engine = run._core.engine
        self.random = rng
        self.budget = budget
        self.kills = 0
        self.early = deaths.KILLED_STARTS - 1  # one more in a row, of one stage, ends a run, rightly
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.wait(self.random.uniform(0.0, INTERVAL)) and self.kills < self.budget:
            early = self.early > 0 and self.random.random() < EARLY
            self.early -= early
            victims = children(self.engine._pid) if early else self.set_up()
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.random.choice(victims), signal.SIGKILL)
                    self.kills += 1

    def set_up(self) -> list[int]:
        own = (os.getpid(), self.engine._pid)
        return [pid for record in self.engine.statistics() for _, pid in record.workers if pid not in own]


def children(pid: int) -> list[int]:
    """List the workers of a supervisor, those that are starting too, and the template."""
    try:
        pids = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [child for child in pids if Path(f"/proc/{child}/comm").read_text().strip() not in OTHERS]
    except OSError:
        return []


def storm(seed: int, method: str, budget: int) -> tuple[int, str]:
    """Run one graph in a storm; return how many kills there were and what went wrong."""
    wanted_graph = Maker(seed, "inline", method).make()
    wanted = digest(Pipeline.wait_for_all_results(wanted_graph.pipelines))
    graph = Maker(seed, "process", method).make()
    first, *others = graph.pipelines
    faulthandler.dump_traceback_later(RUN_SECONDS + 10, exit=True)
    run = first.start(others)
    killer = Killer(run, random.Random(seed + 1), budget)
    killer.start()
    try:
        wrong = judged(graph, wanted, run)
    finally:
        killer.ending.set()
        killer.join()
        run.stop()
        faulthandler.cancel_dump_traceback_later()
    return killer.kills, f"{wrong} in {graph.text}" if wrong else ""


def judged(graph: Graph, wanted: Any, run: Any) -> str:
    from olympipe_ng.run import collect

    outcome: list[Any] = []
    thread = threading.Thread(target=lambda: outcome.append(attempt(lambda: digest(collect(run)))), daemon=True)
    thread.start()
    thread.join(RUN_SECONDS)
    if not outcome:
        faulthandler.dump_traceback(sys.stderr)
        return f"hang: {run.statistics()}"
    result = outcome[0]
    if isinstance(result, WorkerDied) and any(f"'{name}'" in str(result) for name in graph.stateful):
        return ""
    if isinstance(result, BaseException):
        return f"{type(result).__name__}: {result}"
    return compare(wanted, result, graph.ordered)


def attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except PipelineError as error:
        return error


# ----------------------------------------------------------------------------------------------------------------- the control


def acknowledge_early() -> None:
    """Break the scheduler on purpose: what a worker was given counts as done when the worker is gone."""

    def give_back(state: Any, node: Any, ticket: Any, suspects: range, note: Any) -> None:
        state.ledger[node.number].add(Counts(passed=ticket.items))
        deaths._fail_ticket.__globals__["cancel_items"] = lambda *given: None
        deaths._fail_ticket(state, node, ticket, None)

    deaths._give_back = give_back


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="fork", choices=["fork", "forkserver", "spawn"])
    parser.add_argument("--per-run", type=int, default=60, help="kills of one run at most")
    parser.add_argument("--control", action="store_true", help="acknowledge before the commit: must be found out")
    given = parser.parse_args(arguments)
    if given.control:
        acknowledge_early()
    return hunt(given)


def hunt(given: argparse.Namespace) -> int:
    kills = runs = failures = 0
    seed, began = given.seed, time.monotonic()
    while kills < given.kills:
        budget = min(given.per_run, given.kills - kills)
        killed, wrong = storm(seed, given.method, budget)
        kills, runs = kills + killed, runs + 1
        if wrong:
            failures += 1
            print(f"{wrong}\n    python -m tests.storm --seed {seed} --kills {budget} --method {given.method}", flush=True)
        seed += 1
    took = time.monotonic() - began
    print(f"{kills} kills in {runs} runs, seeds {given.seed} to {seed - 1}, {took:.0f} s: {failures} failures", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
