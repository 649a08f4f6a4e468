"""How much slower a step of pure Python becomes by what runs between its items: ``python -m benchmarks.between``.

    item, item, item ...            the same loop again and again, with nothing between: what two plain processes do
    code, item, code, item ...      a millisecond of other Python between them, from the standard library alone

A tight loop of 4 ms takes 1 to 7 % longer behind a millisecond of varied Python, by machine, and recovers over some tens of milliseconds; a
digest computed in C takes 1 % longer. So an engine whose workers run more Python for an item than a ``get`` and a ``put`` cannot come to
the efficiency of two plain processes in a benchmark of tight loops. How the interpreter was built matters more still: in what pyenv
compiles by default such loops lose some 10 % in a worker, in Debian's 1 %. It is a property of processor and interpreter, of no engine:
none takes part here. Pin it to a processor (``taskset -c 0``) for quiet figures.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import re
import statistics
import textwrap
import time
from collections.abc import Callable

from .burning import turn

__all__ = ["main"]

ROUNDS, SETTLING = 40, 20  # in each round the loop runs so often by itself first
TURNS, BYTES = 60_000, 6_000_000  # some milliseconds each
DATA = b"x" * BYTES


def nothing() -> None:
    """Leave the processor to the loop."""


def hand_over() -> None:
    """Do what a worker of a hand-written chain does between two items."""
    read, write = os.pipe()
    os.write(write, pickle.dumps((1, "item")))
    pickle.loads(os.read(read, 1000))
    os.close(read)
    os.close(write)


def varied() -> None:
    """Run about a millisecond of varied Python."""
    textwrap.wrap("lorem ipsum dolor sit amet " * 20, 30)
    re.purge()
    re.compile(r"(a|b)*c+[d-f]{2,3}(?P<x>.)")
    parser = argparse.ArgumentParser(prog="nobody")
    parser.add_argument("--option", help="of nobody")
    parser.format_help()


def python_loop() -> None:
    turn(TURNS)


def digest() -> None:
    hashlib.sha256(DATA).digest()


def milliseconds(step: Callable[[], object], between: Callable[[], None]) -> float:
    """Time a step behind what runs between two items."""
    for _ in range(SETTLING):
        step()
    between()
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1e3


def main() -> None:
    """Print each step's median time behind each kind of code, and the ratio to none; the three take turns."""
    for step in (python_loop, digest):
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for between in (nothing, hand_over, varied):
                times.setdefault(between.__name__, []).append(milliseconds(step, between))
        alone = statistics.median(times["nothing"])
        for name, found in times.items():
            median = statistics.median(found)
            print(f"{step.__name__:<12} behind {name:<10} {median:7.3f} ms  {median / alone:.3f}")


if __name__ == "__main__":
    main()
