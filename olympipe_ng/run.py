"""A run, as the user holds it: iterate it, see it through, or end it; and what it gives.

    start_run ──► Run ── iterate, wait, stop, drain, pause ──► Caller ──► engine
    collect ──► Results, one list a sink
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .caller import Caller
from .errors import GraphError
from .graph import Outlet
from .lazy import lazy
from .loops import beside
from .options import RunConfig
from .scheduler import messages as m

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .report import RunReport
    from .statistics import Statistics

asyncio = lazy("asyncio")
_report = lazy("olympipe_ng.report")

__all__ = ["Results", "Run", "RunReport", "aside", "collect", "start_run"]

T = TypeVar("T")


class Results(list[T]):
    """What a run gave, in order: a list that also has ``.report``, a ``RunReport``, and ``.errors``, the texts of what failed.

    >>> from olympipe_ng import Pipeline
    >>> results = Pipeline([4, 0, 2], engine="inline").task(lambda x: 8 // x, on_error="collect").wait_for_result()
    >>> results, len(results.errors), results.report.failed
    ([2, 4], 1, 1)
    """

    report: RunReport
    errors: list[str]

    def __init__(self, items: Any = (), *, report: Any = None, errors: Sequence[str] = ()) -> None:
        super().__init__(items)
        self.report = report
        self.errors = list(errors)


class Run(Generic[T]):
    """Hold a run that was started: iterate it, see it through, or end it.

    Leaving ``with`` stops it. A run that nobody holds any more is stopped too, and one that is held when the interpreter ends.

    >>> from olympipe_ng import Pipeline
    >>> with Pipeline(range(3), engine="inline").task(lambda x: x + 1).start() as run:
    ...     list(run)
    [1, 2, 3]
    """

    def __init__(self, sinks: Sequence[Outlet], config: RunConfig, discard: Sequence[bool] = (), *, nested: bool = False) -> None:
        self._core = Caller(sinks, config, discard, nested=nested)
        self._outlets = list(sinks)
        self._finalizer = weakref.finalize(self, Caller.abandon, self._core)
        self._finalizer.atexit = False  # there is time then to stop it in order
        with _holding:
            _held.add(self)
        self._core.start()

    # ------------------------------------------------------------------------------------------------------------ items

    def __iter__(self) -> Iterator[T]:
        return cast("Iterator[T]", self.sink(0))

    async def __aiter__(self) -> AsyncIterator[T]:
        try:
            async for item in self.asink(0):
                yield item
        except BaseException:  # whatever ends the loop early
            await aside(self._core.stop, through=True)  # not here: an async source may need this loop to close
            raise

    def iterate(self, pipeline: Pipeline[Any]) -> Iterator[Any]:
        """Iterate the results of another awaited pipeline; ask for all iterators before the first item is taken from any.

        What nobody iterates is thrown away.

        >>> from olympipe_ng import Pipeline
        >>> numbers = Pipeline(range(3), engine="inline")
        >>> squares = numbers.task(lambda x: x * x)
        >>> with numbers.start([squares]) as run:
        ...     list(zip(run, run.iterate(squares)))
        [(0, 0), (1, 1), (2, 4)]

        Raises ``GraphError`` for a pipeline that the run was not started with.
        """
        for k, outlet in enumerate(self._outlets):
            if outlet == pipeline.outlet:
                return self.sink(k)
        raise GraphError("this pipeline is not one of those that the run was started with: start(other_pipes=[...])")

    def sink(self, k: int) -> Iterator[Any]:
        """Iterate the results of the k-th awaited pipeline."""
        items = self._items(k)
        self._core.sinks[k].iterators.add(items)
        return items

    def _items(self, k: int) -> Iterator[Any]:
        core = self._core
        core.throw_away_others()
        try:
            while (frame := core.next_frame(k)) is not None:
                yield from core.items(k, frame)
        except BaseException:  # whatever ends the loop early
            core.stop()
            raise
        core.end_of_sink(k)
        core.stand_still()

    async def asink(self, k: int) -> AsyncIterator[Any]:
        """Iterate without blocking the event loop; whoever leaves the iteration early stops the run, on another thread."""
        core = self._core
        core.sinks[k].iterated = True
        core.throw_away_others()
        while (frame := await aside(core.next_frame, k)) is not None:
            for item in core.items(k, frame):
                yield item
        await aside(core.end_of_sink, k)
        core.stand_still()

    # ------------------------------------------------------------------------------------------------------- the whole

    def wait(self) -> RunReport:
        """See the run through, throwing away what nobody iterates, and return its report.

        What somebody iterates is theirs to take: while an iterator is held that is not at its end, the run waits for room in its sink.

        >>> from olympipe_ng import Pipeline
        >>> with Pipeline(range(3), engine="inline").task(abs).start() as run:
        ...     report = run.wait()

        Raises the run's error, once.
        """
        self._finish()
        return self.report()

    def _finish(self) -> None:
        """See the run through; nobody has asked for a report."""
        self._core.throw_away_others()
        self._core.finish()
        self._core.stand_still()

    def stop(self) -> None:
        """Drop what is in flight and end; return when everything is gone.

        >>> from olympipe_ng import Pipeline
        >>> with Pipeline(range(3), engine="inline").start() as run:
        ...     first = next(iter(run))
        ...     run.stop()
        """
        self._core.stop()

    def drain(self) -> None:
        """Close the sources and finish what was drawn: an orderly end of an endless stream.

        >>> from itertools import count
        >>> from olympipe_ng import Pipeline
        >>> with Pipeline(count, engine="inline").start() as run:
        ...     run.drain()
        ...     drawn = list(run)
        """
        self._core.drain()

    def pause(self) -> None:
        """Begin nothing new until ``resume``; what is in hand is finished.

        >>> from olympipe_ng import Pipeline
        >>> with Pipeline(range(3), engine="inline").start() as run:
        ...     run.pause()
        ...     run.resume()
        ...     list(run)
        [0, 1, 2]
        """
        self._core.engine.send(m.Pause())

    def resume(self) -> None:
        """Go on after ``pause``.

        >>> from olympipe_ng import Pipeline
        >>> with Pipeline(range(3), engine="inline").start() as run:
        ...     run.resume()  # nothing was paused: nothing changes
        ...     list(run)
        [0, 1, 2]
        """
        self._core.engine.send(m.Resume())

    def statistics(self) -> Statistics:
        """Return what is known of every stage now: a frozen record, for displays and for decisions.

        >>> from olympipe_ng import Pipeline
        >>> with Pipeline(range(3), engine="inline").task(abs).start() as run:
        ...     _ = run.wait()
        ...     run.statistics().stages[1].items_out
        3
        """
        return self._core.statistics()

    @property
    def errors(self) -> list[str]:
        """Return the texts of the failures that did not end the run (the first 1 000)."""
        return list(self._core.errors)

    def report(self) -> RunReport:
        """Return the report: of the whole run after its end, of the run so far before.

        >>> from olympipe_ng import Pipeline
        >>> with Pipeline(range(3), engine="inline").task(abs).start() as run:
        ...     report = run.report()
        """
        return cast("RunReport", _report.RunReport(self._core.statistics()))

    def __enter__(self) -> Run[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


_held: weakref.WeakSet[Run[Any]] = weakref.WeakSet()
_holding = threading.RLock()  # a daemon thread may begin a run as the interpreter ends


@atexit.register
def _stop_held() -> None:
    """Stop what is held as the interpreter ends, as leaving ``with`` does: sources run their ``finally``, stages their ``close_method``."""
    with _holding:
        held = list(_held)
    for run in held:
        run._core.halt()  # all at once; only then wait for each
    for run in held:
        run._core.stop()
        run._finalizer.detach()  # it would keep what stands in ``__main__`` until modules are gone that a __del__ needs


async def aside(wait: Callable[..., Any], *args: Any, through: bool = False) -> Any:
    """Wait on a thread of this call's own: the event loop's executor has few, and what is waited for may need them.
    ``through``: to its end, and be cancelled only then: the loop must live until a run that is stopped has closed an async source there."""
    future, cancelled = asyncio.wrap_future(beside(wait, *args)), None
    while through and not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return await future


def start_run(sinks: Sequence[Outlet], config: RunConfig, *, discard: Sequence[bool] = (), nested: bool = False) -> Run[Any]:
    """Start a run of these pipelines; ``discard`` tells which of them nobody will read, ``nested`` that another run speaks for it."""
    return Run(sinks, config, discard, nested=nested)


def collect(run: Run[Any]) -> list[Results[Any]]:
    """Take all items of all sinks, and see the run through."""
    core = run._core
    lists: list[list[Any]] = [[] for _ in core.sinks]
    for sink in core.sinks:
        sink.iterated = True
    core.engine.takes_all()
    while (ready := core.next_of_any()) is not None:
        k, frame = ready
        core.take_all(k, frame, lists[k])
    core.finish()
    core.stand_still()
    report = run.report()
    return [Results(items, report=report, errors=core.errors) for items in lists]


def __getattr__(name: str) -> Any:
    if name == "RunReport":
        return _report.RunReport
    raise AttributeError(name)


