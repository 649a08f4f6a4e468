"""Stages that decide which items go on, when, and in which order; none of them changes an item."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from .. import stages
from ..graph import Node, Outlet, declared_here
from ..lazy import lazy
from .base import Building, T_co, building

if TYPE_CHECKING:
    from .. import repeating
    from ..pipeline import Pipeline
else:
    repeating = lazy("olympipe_ng.repeating")

__all__ = ["Flows"]


class Flows(Building[T_co]):
    """The part of ``Pipeline`` that lets items pass, or not, or later."""

    __slots__ = ()

    @building(packet_limit="n")
    def limit(self, n: int) -> Pipeline[T_co]:
        """Let the first ``n`` items pass and end there.

        It completes on its n-th item: what no other sink needs is stopped upstream, and a source that nobody needs is closed.

        >>> from itertools import count
        >>> Pipeline(count, engine="inline").limit(3).wait_for_result()
        [0, 1, 2]

        Raises ``GraphError`` for a negative ``n``.
        """
        return self._same(stages.Limit(n))

    @building()
    def skip(self, n: int) -> Pipeline[T_co]:
        """Let all but the first ``n`` items pass: header lines, warm-up values.

        >>> Pipeline(["name", "ada", "alan"], engine="inline").skip(1).wait_for_result()
        ['ada', 'alan']

        Raises ``GraphError`` for a negative ``n``.
        """
        return self._same(stages.Skip(n))

    @building()
    def latest(self, n: int = 1) -> Pipeline[T_co]:
        """Keep only the newest ``n`` items that wait, and never slow down what is upstream.

        For a camera before a slow display: what was passed over counts as ``dropped`` in the ledger.

        >>> newest = Pipeline(range(1000)).latest(1)  # run it, and a slow reader sees a few of the thousand

        Raises ``GraphError`` for ``n`` below 1.
        """
        return self._same(stages.Latest(n))

    @building(timeout="seconds")
    def timeout(self, seconds: float, error: bool = False) -> Pipeline[T_co]:
        """End the stream when no item came for ``seconds``; time in which downstream was full does not count.

        The time begins with each item. Before the first it begins when all stages upstream are set up; while one of them has no worker that
        is (another takes the place of its only one) none counts.
        A warning and the report say after how many items it was cut; with ``error=True`` it is a ``StreamTimeout`` instead. (``inline`` has
        one thread, which waits for a source that is silent: nothing is cut there meanwhile.)

        >>> Pipeline([1, 2], engine="inline").timeout(30.0).wait_for_result()
        [1, 2]

        Raises ``GraphError`` for ``seconds`` that are not positive.
        """
        return self._same(stages.Timeout(seconds, error))

    @building()
    def throttle(self, per_second: float) -> Pipeline[T_co]:
        """Let at most ``per_second`` items pass in a second, evenly spaced and without bursts: for services that count calls.

        >>> Pipeline([1, 2], engine="inline").throttle(1000).wait_for_result()
        [1, 2]

        Raises ``GraphError`` for a rate that is not positive.
        """
        return self._same(stages.Throttle(per_second))

    @building()
    def unique(self, key: Callable[[T_co], Hashable] | None = None) -> Pipeline[T_co]:
        """Let each value pass once: the first item of every ``key(item)`` (or of equal items).

        It remembers every key that it has seen; NaNs are one. The others count as ``dropped``.

        >>> Pipeline(["Ada", "ada", "Alan"], engine="inline").unique(str.lower).wait_for_result()
        ['Ada', 'Alan']

        Raises ``GraphError`` for a ``key`` that is not callable.
        """
        return self._same(stages.Unique(key))

    @building()
    def shuffle(self, buffer_size: int | None = None, seed: int | None = None) -> Pipeline[T_co]:
        """Give the items in random order, out of a buffer of ``buffer_size``; without a size it takes a whole finite stream.

        Without ``seed`` it takes the pipeline's, else every run has an order of its own: ``pipeline.options(seed=epoch)`` gives each epoch
        a new order that can be had again. The buffer is tensorflow's (``Dataset.shuffle``).

        >>> sorted(Pipeline(range(5), engine="inline").shuffle().wait_for_result())
        [0, 1, 2, 3, 4]

        Raises ``GraphError`` for a ``buffer_size`` below 1.
        """
        return self._same(stages.Shuffle(buffer_size, seed))

    @building()
    def enumerate(self) -> Pipeline[tuple[int, T_co]]:
        """Number the items: ``(0, first)``, ``(1, second)``, as ``enumerate`` does.

        >>> Pipeline(["a", "b"], engine="inline").enumerate().wait_for_result()
        [(0, 'a'), (1, 'b')]
        """
        pipeline: Pipeline[tuple[int, T_co]] = self._then(stages.Enumerate())
        return pipeline

    @building()
    def repeat(self, times: int | None = None) -> Pipeline[T_co]:
        """Run everything upstream ``times`` times over, or for ever: epochs of a training.

        Upstream is really run again, so what is random there is new in each epoch (with a ``seed``, epoch k is run with ``seed + k``). Put
        it early: ``Pipeline(paths).repeat(3).task(load)`` is one run, ``Pipeline(paths).task(load).repeat(3)`` is three inside another,
        whose report has their failures and warnings, and not the counts of their stages.

        >>> Pipeline([1, 2], engine="inline").repeat(2).wait_for_result()
        [1, 2, 1, 2]

        Raises ``GraphError`` for negative ``times``; when run, ``SourceConsumed`` in the second epoch of a one-shot iterator.
        """
        source = repeating.repeated(self._outlet, self._config, times)
        pipeline: Pipeline[T_co] = type(self)._of(Outlet(Node(source, (), declared_here())), self._config)  # type: ignore[assignment]
        return pipeline

    @building()
    def debug(self) -> Pipeline[T_co]:
        """Print the items as they pass.

        >>> Pipeline(["a"], engine="inline").debug().wait_for_result()
        debug: 'a'
        ['a']
        """
        return self._same(stages.Debug())

    def _same(self, stage: stages.contract.Stage) -> Pipeline[T_co]:
        pipeline: Pipeline[T_co] = self._then(stage)
        return pipeline
