"""A soak: random graphs of real processes, run whole, stopped, left, dropped and stormed, for as long as one likes; nothing may add up.

    python -m tests.soak --minutes 20 --seed 5      prints the figures; exit status 1 if a run was wrong or something was left

    graph ──► whole | stop | leave | drop | storm ──► what is left behind? ──► next graph ... ──► memory, descriptors, threads, as at first

Children, threads, descriptors, files and shared memory are compared after every run, so that what leaks is found with the run that leaked
it. Memory is compared from the ``WARM``-th run on, for imports and caches grow at first: the lower quartiles of the first and of the last
runs, since what a run's results took is given back to the system in parts.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from olympipe_ng import Pipeline
from tests.leaks import left_behind, look
from tests.storm import Maker, attempt, compare, digest, storm

WARM = 10  # runs before memory is looked at
AMONG = 20  # runs whose memory is summed up at either end
GROWTH = 16 << 20  # bytes of memory that the ends may differ by: less is the allocator's mood, more would hide 16 kB a run in 20 minutes
METHODS = ("fork", "fork", "fork", "forkserver", "spawn")
KILLS = 60  # of one storm at most


class Figures(NamedTuple):
    """What the caller's process holds."""

    memory: int
    descriptors: int
    threads: int

    def __str__(self) -> str:
        return f"{self.memory / 1e6:.1f} MB, {self.descriptors} descriptors, {self.threads} threads"


def take_figures() -> Figures:
    """Look at this process, after giving back what it does not need."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Figures(pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))


# ---------------------------------------------------------------------------------------------------------------- the endings


def whole(seed: int, method: str, chosen: random.Random) -> str:
    """See a graph through: it gives what it gives inline."""
    wanted = digest(Pipeline.wait_for_all_results(Maker(seed, "inline", method).make().pipelines))
    graph = Maker(seed, "process", method).make()
    got = attempt(lambda: digest(Pipeline.wait_for_all_results(graph.pipelines)))
    return f"{type(got).__name__}: {got}" if isinstance(got, BaseException) else compare(wanted, got, graph.ordered)


def begin(seed: int, method: str) -> Any:
    first, *others = Maker(seed, "process", method).make().pipelines
    return first.start(others)


def stop(seed: int, method: str, chosen: random.Random) -> str:
    """Stop a run at a random instant, while a sink may be full."""
    run = begin(seed, method)
    time.sleep(chosen.random() * 0.3)
    run.stop()
    return ""


def leave(seed: int, method: str, chosen: random.Random) -> str:
    """Leave the loop after some items."""
    with begin(seed, method) as run:
        list(islice(run, chosen.randrange(30)))
    return ""


def drop(seed: int, method: str, chosen: random.Random) -> str:
    """Take some items, and forget the run."""
    run = begin(seed, method)
    list(islice(run, chosen.randrange(30)))
    return ""


def stormed(seed: int, method: str, chosen: random.Random) -> str:
    """Kill its workers."""
    return storm(seed, method, chosen.randrange(1, KILLS))[1]


ENDINGS: tuple[Callable[[int, str, random.Random], str], ...] = (whole, stop, stop, leave, drop, stormed, stormed)


# ------------------------------------------------------------------------------------------------------------------- the soak


class Soak:
    """What was seen so far."""

    def __init__(self, seed: int) -> None:
        self.seed = self.first = seed
        self.endings: Counter[str] = Counter()
        self.wrong = 0
        self.seen: list[Figures] = []

    def round(self) -> None:
        """Run one graph, and look at what it left."""
        chosen = random.Random(self.seed)
        ending, method, before = chosen.choice(ENDINGS), chosen.choice(METHODS), look()
        problem = ending(self.seed, method, chosen)
        left = left_behind(before)
        if problem or left:
            self.wrong += 1
            print(f"seed {self.seed}, {ending.__name__}, {method}: {problem or 'left behind: ' + ', '.join(left)}", flush=True)
        self.endings[ending.__name__] += 1
        self.seed += 1
        self.seen.append(take_figures())

    def summary(self) -> tuple[Figures, Figures]:
        """Return what the caller held at first, and at last."""
        warm = self.seen[min(WARM, len(self.seen) // 2) :]
        return lower(warm[:AMONG]), lower(warm[-AMONG:])

    def judge(self) -> int:
        """Print the figures; return the exit status."""
        first, last = self.summary()
        runs = ", ".join(f"{count} {name}" for name, count in sorted(self.endings.items()))
        grown = last.memory - first.memory > GROWTH or last.descriptors > first.descriptors or last.threads > first.threads
        print(f"{len(self.seen)} runs ({runs}), seeds {self.first} to {self.seed - 1}: {self.wrong} wrong")
        print(f"at first {first}\nat last  {last}{': GROWN' if grown else ''}", flush=True)
        return 1 if grown or self.wrong else 0


def lower(seen: list[Figures]) -> Figures:
    """Sum up: the lower quartile of memory, and of the rest the least, which is what stays."""
    memory = statistics.quantiles([each.memory for each in seen], n=4)[0] if len(seen) > 1 else seen[0].memory
    return Figures(int(memory), min(each.descriptors for each in seen), min(each.threads for each in seen))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # what appears there was left by a run
        soak, until = Soak(given.seed), time.monotonic() + 60 * given.minutes
        while not soak.seen or time.monotonic() < until:
            soak.round()
        return soak.judge()


if __name__ == "__main__":
    sys.exit(main())
