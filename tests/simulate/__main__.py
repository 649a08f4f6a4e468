"""``python -m tests.simulate --runs 20000 --seed 1 --kills 0.02``: hunt for seeds under which the scheduler breaks a promise."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from .runs import Failing, run_seed

CHUNK = 500  # seeds that a process takes at once


def main() -> int:
    """Run the seeds and print what failed."""
    options = _parser().parse_args()
    begun = time.perf_counter()
    count = 0
    for failing in hunt(options):
        count += 1
        print(failing, end="\n\n", flush=True)
        if count >= options.stop_after:
            break
    each = (time.perf_counter() - begun) / options.runs * 1000
    print(f"{options.runs} runs from seed {options.seed}, kills {options.kills:g}: {count} failed, {each:.2f} ms each")
    return 1 if count else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description="Random runs of the scheduler, judged by an oracle.")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the others follow")
    parser.add_argument("--kills", type=float, default=0.0, help="chance that a worker dies, per piece of work")
    parser.add_argument("--scale", type=int, default=1, help="so many times as many items")
    parser.add_argument("--trace", action="store_true", help="print every event and command")
    parser.add_argument("--jobs", type=int, default=1, help="processes to run in")
    parser.add_argument("--stop-after", type=int, default=5, help="failing seeds to show")
    return parser


def hunt(options: argparse.Namespace) -> Iterator[Failing]:
    """Yield the runs that fail."""
    seeds = range(options.seed, options.seed + options.runs)
    if options.jobs <= 1:
        for seed in seeds:
            failing = run_seed(seed, options.kills, options.scale, trace=options.trace)
            if failing is not None:
                yield failing
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        chunks = [(seeds[k : k + CHUNK], options.kills, options.scale) for k in range(0, len(seeds), CHUNK)]
        for found in pool.map(_run_chunk, chunks):
            yield from found


def _run_chunk(chunk: tuple[range, float, int]) -> list[Failing]:
    seeds, kills, scale = chunk
    return [failing for seed in seeds if (failing := run_seed(seed, kills, scale)) is not None]


if __name__ == "__main__":
    sys.exit(main())
