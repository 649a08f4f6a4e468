"""The methods that run a pipeline: each makes one run and sees it through.

    wait_for_result, wait_for_results, wait_for_all_results      everything, in lists
    wait_for_completion                                          nothing but the report
    wait_and_reduce                                              one value
    for, async for                                               results as they come; leaving the loop stops the run
    start                                                        the run itself, in a ``with`` block
    preview, pipeline[7], len(pipeline)                          a few items, in this thread, nothing started
"""

# mypy: disable-error-code="overload-overlap"
# The overloads for tuples come first, on purpose: they know more.
from __future__ import annotations

import reprlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from .building.base import Building, T_co, building
from .checks import check_int
from .errors import GraphError
from .lazy import lazy

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from . import drawing, looking, repeating, sources
    from . import run as running
    from .building import joining
    from .drop import Drop
    from .pipeline import Pipeline
    from .report import RunReport
    from .run import Results, Run

    File = str | Path

    class _Together:
        report: RunReport
        errors: list[str]

    class TwoResults(_Together, tuple[list[A], list[B]]): ...

    class ThreeResults(_Together, tuple[list[A], list[B], list[C]]): ...

else:
    asyncio, drawing, joining = lazy("asyncio"), lazy("olympipe_ng.drawing"), lazy("olympipe_ng.building.joining")
    looking, repeating, sources = lazy("olympipe_ng.looking"), lazy("olympipe_ng.repeating"), lazy("olympipe_ng.sources")
    running = lazy("olympipe_ng.run")

__all__ = ["Terminals"]


class Terminals(Building[T_co]):
    """The part of ``Pipeline`` that runs it."""

    __slots__ = ()

    def wait_for_result(self, debug_graph: File | None = None) -> Results[T_co]:
        """Run, and return everything in order: a list that also has ``.report`` and ``.errors``.

        ``debug_graph=path`` also writes the graph there, drawn by the path's suffix: ``.dot``, ``.mmd``, ``.svg`` or ``.txt``.

        >>> Pipeline(range(4), engine="inline").task(lambda x: x * x).wait_for_result()
        [0, 1, 4, 9]

        Raises the error of the first item in order that failed, unless ``on_error`` says otherwise; ``SourceError`` from what the source
        raised; ``SourceConsumed`` if a one-shot iterator is run again.
        """
        with _start([self], debug_graph) as run:
            results: Results[T_co] = running.collect(run)[0]
            return results

    def wait_for_results(
        self, other_pipes: Sequence[Building[Any]] | None = None, debug_graph: File | None = None
    ) -> Results[list[Any]]:
        """Run this pipeline and others together, and return a list of results for each, this one's first.

        >>> numbers = Pipeline(range(4), engine="inline")
        >>> numbers.filter(lambda x: x < 2).wait_for_results([numbers.filter(lambda x: x >= 2)])
        [[0, 1], [2, 3]]

        Raises what ``wait_for_result`` raises, and ``GraphError`` for pipelines whose run options differ.
        """
        return _wait_for_all([self, *_listed(other_pipes or ())], debug_graph)

    @overload
    @staticmethod
    def wait_for_all_results(
        pipelines: tuple[Building[A], Building[B]], debug_graph: File | None = None
    ) -> TwoResults[A, B]: ...
    @overload
    @staticmethod
    def wait_for_all_results(
        pipelines: tuple[Building[A], Building[B], Building[C]], debug_graph: File | None = None
    ) -> ThreeResults[A, B, C]: ...
    @overload
    @staticmethod
    def wait_for_all_results(pipelines: Sequence[Building[A]], debug_graph: File | None = None) -> Results[list[A]]: ...
    @staticmethod
    def wait_for_all_results(pipelines: Sequence[Building[Any]], debug_graph: File | None = None) -> Any:
        """Run several pipelines together, of one graph or of several, and return a list of results for each.

        What they share is run once, and every branch sees every item. (To a type checker, a tuple of pipelines gives a tuple of lists, each
        of its own type, as with ``asyncio.gather``; it is a list of lists.)

        >>> numbers = Pipeline(range(4), engine="inline")
        >>> small, large = numbers.filter(lambda x: x < 2), numbers.filter(lambda x: x >= 2)
        >>> Pipeline.wait_for_all_results([small, large])
        [[0, 1], [2, 3]]

        Raises what ``wait_for_result`` raises, and ``GraphError`` for pipelines whose run options differ.
        """
        return _wait_for_all(_listed(pipelines), debug_graph)

    def wait_for_completion(
        self, other_pipes: Sequence[Building[Any]] | None = None, debug_graph: File | None = None
    ) -> RunReport:
        """Run, throw the output away, and return the report: for pipelines that write their results themselves. Memory stays flat.

        >>> report = Pipeline(range(4), engine="inline").task(abs).wait_for_completion()

        Raises what ``wait_for_results`` raises.
        """
        pipelines = [self, *_listed(other_pipes or ())]
        with _start(pipelines, debug_graph, discard=[True] * len(pipelines)) as run:
            return run.wait()

    def wait_and_reduce(self, accumulator: A, reducer: Callable[[T_co, A], A | Drop]) -> A:
        """Run, and fold all results into one value: ``accumulator = reducer(item, accumulator)``.

        >>> Pipeline([1, 2, 3], engine="inline").wait_and_reduce(0, lambda x, total: total + x)
        6

        Raises what ``wait_for_result`` raises.
        """
        pipeline = cast("Pipeline[T_co]", self)
        return pipeline.reduce(accumulator, reducer).wait_for_result()[0]

    def start(self, other_pipes: Sequence[Building[Any]] | None = None) -> Run[T_co]:
        """Start a run and return it: to iterate, pause, drain or stop it, and to look at its statistics.

        Use it in a ``with`` block, which stops the run when it is left.

        >>> with Pipeline(range(3), engine="inline").start() as run:
        ...     list(run)
        [0, 1, 2]

        Raises ``GraphError`` for pipelines whose run options differ.
        """
        return _start([self, *_listed(other_pipes or ())])

    def __iter__(self) -> Iterator[T_co]:
        """Run, and give the results in order as they come; leaving the loop stops the run."""
        with _start([self]) as run:
            yield from run.sink(0)
            run._finish()

    async def __aiter__(self) -> AsyncIterator[T_co]:
        """Run, and give the results in order as they come; an async source is iterated on the loop of the caller."""
        loop = asyncio.get_running_loop()
        _check_together([self])  # while its sources are those that were given
        outlet = self._outlet
        if self._config.engine != "inline":  # which would wait for the loop that waits for it
            [outlet] = repeating.change_sources([outlet], lambda source: sources.on_loop(source, loop))
        run = _start([type(self)._of(outlet, self._config)])
        try:
            async for item in run.asink(0):
                yield item
            await running.aside(run._finish)
        finally:
            await running.aside(run.stop, through=True)  # not here: an async source may need this loop to close

    def preview(self, n: int = 3) -> list[T_co]:
        """Evaluate the first ``n`` results in this process, with nothing started: to try out a chain as it is written.

        What this draws from a one-shot iterator is given to the next run first, so nothing is lost.

        >>> Pipeline(range(1_000_000)).task(lambda x: x * x).preview()
        [0, 1, 4]

        Raises ``GraphError`` for a negative ``n``, and what the run raises.
        """
        n = building()(check_int)("n", n, minimum=0)
        items: list[T_co] = looking.preview(self._outlet, self._config, n)
        return items

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: Any) -> Any:
        """Evaluate the results at these places, and no others; for an indexable source with one-to-one stages."""
        return looking.look_up(self._outlet, self._config, index)

    def __len__(self) -> int:
        """Tell how many results there will be; for a source that has a length, with one-to-one stages."""
        length: int = looking.length(self._outlet)
        return length

    def __bool__(self) -> bool:
        """Say yes: a pipeline is true whatever it will give, which nobody knows before it has run."""
        return True


def _start(pipelines: Sequence[Building[Any]], debug_graph: File | None = None, *, discard: Sequence[bool] = ()) -> Run[Any]:
    _check_together(pipelines)
    outlets = [pipeline._outlet for pipeline in pipelines]
    if debug_graph is not None:
        drawing.write(outlets, debug_graph)
    run: Run[Any] = running.start_run(outlets, pipelines[0]._config, discard=discard)
    return run


def _wait_for_all(pipelines: Sequence[Building[Any]], debug_graph: File | None) -> Results[list[Any]]:
    with _start(pipelines, debug_graph) as run:
        lists = running.collect(run)
        together: Results[list[Any]] = running.Results(lists, report=run.report(), errors=run.errors)
        return together


@building()
def _listed(pipelines: Sequence[Building[Any]]) -> list[Building[Any]]:
    if isinstance(pipelines, Building):
        raise GraphError("give the pipelines to run in a list: one by itself would be iterated, and so run")
    if not isinstance(pipelines, Iterable):
        raise GraphError(f"give the pipelines to run in a list, got {reprlib.repr(pipelines)}")
    listed = list(pipelines)
    for each in listed:
        if not isinstance(each, Building):
            raise GraphError(f"give pipelines to run, got {reprlib.repr(each)} among them")
    return listed


@building()
def _check_together(pipelines: Sequence[Building[Any]]) -> None:
    if not pipelines:
        raise GraphError("give at least one pipeline to run")
    joining.check_options("run together", pipelines)
    joining.check_sources([pipeline._outlet for pipeline in pipelines])
