"""What a user's function may ask about where it runs: ``current_item()`` and ``current_worker()``.

One context variable each, set by the worker once a ticket (and once a worker); the item's position is an attribute that the worker's loop
moves, so that asking costs something and not asking costs nothing.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NoReturn

from .origins import NO_ORIGINS, Origin, Origins

__all__ = ["CurrentItem", "CurrentWorker", "current_item", "current_worker", "mix_seed"]


class Position:
    """Where a lane stands: moved by the worker's loop, read by ``current_item``."""

    __slots__ = ("done", "first", "origins", "seed", "stage", "where")

    def __init__(self, stage: int, seed: int | None) -> None:
        self.origins: Origins = NO_ORIGINS
        self.first = 0  # the position of the first origin
        self.where = 0
        self.done: Sequence[object] = ()  # results since ``where``: the quickest loop moves nothing else
        self.seed = seed
        self.stage = stage


POSITION: ContextVar[Position] = ContextVar("olympipe_ng item")
WORKER: ContextVar[CurrentWorker] = ContextVar("olympipe_ng worker")


@dataclass(frozen=True)
class CurrentWorker:
    """The worker that asks: its stage's name, its number (0 to count-1, kept over restarts) and its process.

    >>> from olympipe_ng import Pipeline, current_worker
    >>> Pipeline([1], engine="inline").task(lambda x: (current_worker().stage, current_worker().number), name="load").wait_for_result()
    [('load', 0)]
    """

    stage: str
    number: int

    @property
    def pid(self) -> int:
        """Return the number of the process that this is."""
        return os.getpid()


class CurrentItem:
    """The item in hand: where it came from.

    >>> from olympipe_ng import Pipeline, current_item
    >>> Pipeline(["a", "b", "c"], engine="inline").batch(2).task(lambda batch: (batch, current_item().indices)).wait_for_result()
    [(['a', 'b'], (0, 1)), (['c'], (2,))]
    """

    __slots__ = ("_origin", "_position")

    def __init__(self, position: Position) -> None:
        self._position = position
        self._origin: Origin = position.origins.at(position.where + len(position.done) - position.first)

    @property
    def index(self) -> int:
        """Return the index in its source of the (first) item."""
        return self._origin[0][1] if self._origin else 0

    @property
    def indices(self) -> tuple[int, ...]:
        """Return the indices of all source items that are in this item (a batch has several)."""
        return tuple(index for _, start, stop in self._origin for index in range(start, stop))

    @property
    def source(self) -> int:
        """Return the number of the (first) item's source."""
        return self._origin[0][0] if self._origin else 0

    @property
    def rng(self) -> random.Random:
        """Return a random generator of this item's own: the same for any ``count``, engine or restart if the pipeline has a ``seed``."""
        if self._position.seed is None:
            return random.Random()
        return random.Random(mix_seed(self._position.seed, self._position.stage, self._origin))


def mix_seed(seed: int, stage: int, origin: Origin) -> int:
    """Make a seed of 64 bits from a pipeline's seed, a stage's number and an item's origin."""
    mixed = (seed * 0x9E3779B97F4A7C15 + stage + 1) & 0xFFFFFFFFFFFFFFFF
    for span in origin:
        for number in span:
            mixed = ((mixed ^ (number + 0x7F4A7C15)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
            mixed ^= mixed >> 31
    return mixed


def current_item() -> CurrentItem:
    """Tell about the item that the calling function was given.

    Use it to name output files or to draw reproducible randomness; it works in every stage that has a function, in threads and
    coroutines too.

    >>> from olympipe_ng import Pipeline, current_item
    >>> Pipeline("ab".split(), engine="inline").explode(list).task(lambda letter: (current_item().index, letter)).wait_for_result()
    [(0, 'a'), (0, 'b')]

    Raises ``LookupError`` outside of a stage's function.
    """
    position = POSITION.get(None)
    if position is None or not position.origins:
        _outside("current_item")
    return CurrentItem(position)


def current_worker() -> CurrentWorker:
    """Tell about the worker that runs the calling function: one GPU per replica, one log file per worker.

    >>> from olympipe_ng import Pipeline, current_worker
    >>> Pipeline([1], engine="inline").task(lambda x: current_worker().number).wait_for_result()
    [0]

    Works in initializers, constructors and close methods too. Raises ``LookupError`` outside of a worker.
    """
    worker = WORKER.get(None)
    if worker is None:
        _outside("current_worker")
    return worker


def _outside(name: str) -> NoReturn:
    raise LookupError(f"{name}() tells about the stage that calls it, and this is not called from a stage's function")
