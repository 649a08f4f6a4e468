"""Named tuples travel by value like any class, though ``typing`` makes them in its own way."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
from typing import NamedTuple
from collections import namedtuple
from olympipe_ng import Pipeline

class Point(NamedTuple):
    x: int
    y: int = 2

    def moved(self):
        return self._replace(x=self.x + 1)

Pair = namedtuple("Pair", "left right")

class Fixed(namedtuple("Fixed", "size")):
    __slots__ = ()

points = Pipeline([Point(1)], start_method={method!r}, progress=False).task(lambda p: p.moved()).wait_for_result()
assert points == [Point(2, 2)] and type(points[0]) is Point
pairs = Pipeline([Pair(1, 2)], start_method={method!r}, progress=False).task(lambda p: Pair(p.right, p.left)).wait_for_result()
assert pairs == [Pair(2, 1)] and type(pairs[0]) is Pair
fixed = Pipeline([Fixed(1)], start_method={method!r}, progress=False).task(lambda p: hasattr(p, "__dict__")).wait_for_result()
assert fixed == [False]
print("all well")
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_named_tuples_of_main_come_back_as_the_callers_own(method: str) -> None:
    """A ``NamedTuple`` of ``__main__`` is an item like any other, under every start method."""
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(method=method)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "all well", done.stderr
