"""Print a table of olympipe_ng beside its peers, all measured in one run, and if asked draw a plot.

    python -m benchmarks [--quick] [--rounds 5] [--only NAME ...] [--memory] [--plot FILE.svg] [--list]

A full run takes an hour or two; ``--quick`` some minutes, with few items, to see that everything works: its ratios say nothing. Peers that
are not installed are skipped. Let nothing else run meanwhile. The checkout is compiled first, as the peers are that are
installed: a first run should not pay for the compiler where Python may not keep what it compiles.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import burning, folder
from .contract import Workload
from .measuring import ROOT
from .plot import draw
from .rounds import Figures, Settings, compete, missing
from .table import show
from .workloads import WORKLOADS, find_workload

__all__ = ["main"]

ROUNDS = 5  # an odd number: the median is a run that took place


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    chosen = _choose(options)
    if options.list:
        print("\n".join(f"{workload.name:16} {workload.title}" for workload in chosen))
        return 0
    compileall.compile_dir(ROOT / "olympipe_ng", quiet=1)
    os.environ.update(burning.calibrated())
    with tempfile.TemporaryDirectory() as files:
        os.environ[folder.VARIABLE] = files
        machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}"
        print(f"Python {platform.python_version()}, {machine}, {options.rounds} rounds")
        all_figures = [figures for workload in chosen if (figures := _measure(workload, options))]
    if options.plot:
        options.plot.write_text(draw(all_figures), encoding="utf-8")
        print(f"\nplot: {options.plot}")
    return 1 if any(standing.trouble for figures in all_figures for name, standing in figures.standings.items() if _ours(name)) else 0


def _measure(workload: Workload, options: argparse.Namespace) -> Figures | None:
    lacking = missing(workload.modules)
    if lacking:
        print(f"\n{workload.name}: skipped, {lacking}")
        return None
    settings = Settings(options.rounds, options.quick, options.memory, _say if options.verbose else lambda text: None)
    figures = compete(workload, settings)
    print(show(figures), flush=True)
    return figures


def _ours(contestant: str) -> bool:
    return contestant.partition("+")[0] == "olympipe_ng"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _choose(options: argparse.Namespace) -> list[Workload]:
    """Return what was asked for; the sizes are there for the plot alone."""
    if options.only:
        return [find_workload(name) for name in options.only]
    return [workload for workload in WORKLOADS if options.plot or options.list or not workload.name.startswith("size-")]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few items: does it work?")
    parser.add_argument("--rounds", type=int, help=f"runs of each contestant ({ROUNDS}, with --quick 1)")
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--only", nargs="+", action="extend", choices=names, metavar="NAME", help="these workloads; --list names them")
    parser.add_argument("--memory", action="store_true", help="one round more, in which the peak of memory is watched")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw throughput by size and cost by stages")
    parser.add_argument("--list", action="store_true", help="name the workloads and leave")
    parser.add_argument("--verbose", action="store_true", help="say what is running")
    options = parser.parse_args(arguments)
    options.rounds = (options.rounds or (1 if options.quick else ROUNDS)) + options.memory
    return options


if __name__ == "__main__":
    sys.exit(main())
