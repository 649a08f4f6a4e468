"""Stages that make one item of many: batches, windows and folds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, TypeVar

from .. import stages
from .base import Building, T_co, building

if TYPE_CHECKING:
    from ..drop import Drop
    from ..pipeline import Pipeline

__all__ = ["Groupings"]

A = TypeVar("A")
R = TypeVar("R")


class Groupings(Building[T_co]):
    """The part of ``Pipeline`` that puts items together."""

    __slots__ = ()

    @building()
    def batch(self, batch_size: int = 2, keep_incomplete_batch: bool = True, *, within: float | None = None) -> Pipeline[list[T_co]]:
        """Put ``batch_size`` items into a list each.

        For models and databases that take many at once. ``within=seconds`` also gives what is there when the oldest item of the batch is
        that old, so that a slow stream is not held up; ``keep_incomplete_batch=False`` drops a last batch that is not full.

        >>> Pipeline(range(5), engine="inline").batch(2).wait_for_result()
        [[0, 1], [2, 3], [4]]

        Raises ``GraphError`` for a ``batch_size`` below 1.
        """
        pipeline: Pipeline[list[T_co]] = self._then(stages.Batch(batch_size, keep_incomplete_batch, within))
        return pipeline

    @building()
    def temporal_batch(self, time_interval: float) -> Pipeline[list[T_co]]:
        """Put the items of each ``time_interval`` (seconds) into a list: for live streams such as sensors and logs.

        >>> Pipeline(range(3), engine="inline").temporal_batch(60.0).wait_for_result()
        [[0, 1, 2]]

        Raises ``GraphError`` for an interval that is not positive.
        """
        pipeline: Pipeline[list[T_co]] = self._then(stages.TemporalBatch(time_interval))
        return pipeline

    @building()
    def window(self, size: int, step: int = 1) -> Pipeline[tuple[T_co, ...]]:
        """Slide over the stream: tuples of ``size`` neighbours, beginning at every ``step``-th item.

        For moving averages, differences and n-grams (as ``more_itertools.windowed``, without padding: only full windows).

        >>> Pipeline(range(5), engine="inline").window(3, step=2).wait_for_result()
        [(0, 1, 2), (2, 3, 4)]

        Raises ``GraphError`` for a ``size`` or ``step`` below 1.
        """
        pipeline: Pipeline[tuple[T_co, ...]] = self._then(stages.Window(size, step))
        return pipeline

    @building()
    def bucket(self, key: Callable[[T_co], Hashable], batch_size: int, within: float | None = None) -> Pipeline[list[T_co]]:
        """Put items with equal ``key(item)`` into lists of ``batch_size``; what is left over comes at the end, in first-seen order.

        For batches of equal shape: texts of one length, images of one size (the idea is tensorflow's ``bucket_by_sequence_length``).
        NaNs are one key. ``within=seconds`` gives a bucket whose oldest item is that old.

        >>> words = Pipeline(["a", "to", "b", "is", "c"], engine="inline")
        >>> words.bucket(len, 2).wait_for_result()
        [['a', 'b'], ['to', 'is'], ['c']]

        Raises ``GraphError`` for a ``batch_size`` below 1.
        """
        pipeline: Pipeline[list[T_co]] = self._then(stages.Bucket(key, batch_size, within))
        return pipeline

    @building()
    def reduce(self, accumulator: A, reducer: Callable[[T_co, A], A | Drop]) -> Pipeline[A]:
        """Fold the whole stream into one item: ``accumulator = reducer(item, accumulator)``, the item first, as in olympipe.

        ``accumulator`` is copied for each run. An empty stream gives the accumulator as it was.

        >>> Pipeline([1, 2, 3], engine="inline").reduce(0, lambda x, total: total + x).wait_for_result()
        [6]

        Raises ``GraphError`` for a ``reducer`` that is not callable.
        """
        pipeline: Pipeline[A] = self._then(stages.Reduce(accumulator, reducer))
        return pipeline

    @building()
    def scan(self, accumulator: A, reducer: Callable[[T_co, A], A | Drop]) -> Pipeline[A]:
        """Give the running value after each item: ``accumulator = reducer(item, accumulator)`` (as ``itertools.accumulate``).

        >>> Pipeline([1, 2, 3], engine="inline").scan(0, lambda x, total: total + x).wait_for_result()
        [1, 3, 6]

        Raises ``GraphError`` for a ``reducer`` that is not callable.
        """
        pipeline: Pipeline[A] = self._then(stages.Scan(accumulator, reducer))
        return pipeline

    @building()
    def checkpoint(self, initial: A, reducer: Callable[[T_co, A], A | Drop], emitter: Callable[[A], Iterable[R | Drop]]) -> Pipeline[R]:
        """Fold the stream with ``reducer(item, state)``, and at the end give each item of ``emitter(state)``.

        For what only the whole stream can tell: sort it, group it, keep the best ten. A fold, not a save point.

        >>> ranked = Pipeline([3, 1, 2], engine="inline").checkpoint([], lambda x, kept: [*kept, x], sorted)
        >>> ranked.wait_for_result()
        [1, 2, 3]

        Raises ``GraphError`` for a ``reducer`` or ``emitter`` that is not callable.
        """
        pipeline: Pipeline[R] = self._then(stages.Checkpoint(initial, reducer, emitter))
        return pipeline


