"""``async for``: results on the caller's event loop, which goes on meanwhile; asynchronous sources."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from olympipe_ng import GraphError, Pipeline, SourceError, StageError
from olympipe_ng.caller import Caller
from tests.engines.kinds import everywhere, in_threads

TIMEOUT = 60


def run(main):
    return asyncio.run(asyncio.wait_for(main, TIMEOUT))


@everywhere
def test_async_for_gives_the_results_in_order(where):
    """As a plain loop would."""
    async def main():
        return [item async for item in Pipeline(range(50), **where).task(lambda x: x + 1, count=2)]

    assert run(main()) == list(range(1, 51))


@in_threads
def test_the_loop_goes_on_while_results_are_awaited(where):
    """The source waits for another task of the same loop, which gets its turn."""
    async def main():
        let_go = asyncio.Event()

        async def source():
            yield 1
            await let_go.wait()
            yield 2

        came = []
        async for item in Pipeline(source, **where).task(abs):
            came.append(item)
            asyncio.get_running_loop().call_later(0.01, let_go.set)
        return came

    assert run(main()) == [1, 2]


@in_threads
def test_an_async_source_that_is_cancelled_by_itself_is_an_error_and_no_end(where):
    """Nobody stopped the run: fewer results without a word would be a lie."""
    async def source():
        yield 1
        raise asyncio.CancelledError("the reason")

    async def main():
        return [item async for item in Pipeline(source, **where).task(abs)]

    with pytest.raises(SourceError, match="CancelledError"):
        run(main())


@in_threads
def test_leaving_an_async_loop_stops_the_run_and_closes_the_source(where):
    """The ``finally`` of an async generator runs on the caller's loop."""
    closed = []

    async def source():
        try:
            for number in range(1_000_000):
                yield number
        finally:
            closed.append(asyncio.get_running_loop())

    async def main():
        results = aiter_of(Pipeline(source, **where).task(abs))
        assert await results.__anext__() == 0
        await results.aclose()
        return asyncio.get_running_loop()

    assert closed == [run(main())]


@in_threads
def test_leaving_an_async_loop_leaves_the_event_loop_free_and_the_finally_whole(where, monkeypatch, caplog):
    """The run is stopped on another thread; the source, waiting as it is stopped, runs its own ``finally`` to the end."""
    stopped_on, closed = [], asyncio.Event()
    stop = Caller.stop
    monkeypatch.setattr(Caller, "stop", lambda caller: (stopped_on.append(threading.get_ident()), stop(caller)))

    async def source():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)  # longer than it takes to say twice that the source is to close
            closed.set()

    async def main():
        async for item in Pipeline(source, **where).task(abs):
            assert item == 1
            break
        await closed.wait()
        await asyncio.get_running_loop().shutdown_asyncgens()

    run(main())
    assert stopped_on
    assert threading.get_ident() not in stopped_on
    assert not caplog.text, "the source was closed while it was still running, or taken for stuck"


@in_threads
def test_leaving_the_async_loop_over_a_run_stops_it(where):
    """As leaving a plain one does, before its ``with`` block ends."""
    async def main():
        with Pipeline(itertools.count, **where).task(abs).start() as run:
            results = aiter_of(run)
            assert await results.__anext__() == 0
            await results.aclose()
            return run._core.finished

    assert run(main())


def aiter_of(pipeline):
    return pipeline.__aiter__()


@everywhere
def test_async_for_raises_the_error_in_its_place(where):
    """Earlier results come first."""
    async def main():
        came = []
        with pytest.raises(StageError, match="ZeroDivisionError"):
            async for item in Pipeline([1, 2, 0, 4], **where).task(lambda x: 4 // x):
                came.append(item)
        return came

    assert run(main()) == [4, 2]


@in_threads
def test_cancelling_the_consumer_stops_the_run(where):
    """A cancelled task leaves nothing behind."""
    async def source():
        yield 1
        await asyncio.Event().wait()
        yield 2

    async def consume():
        return [item async for item in Pipeline(source, **where).task(abs)]

    async def main():
        task = asyncio.create_task(consume())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


@in_threads
def test_several_async_loops_run_side_by_side(where):
    """One event loop may iterate several pipelines at once."""
    async def consume(k):
        return [item async for item in Pipeline(range(k, k + 30), **where).task(abs)]

    async def main():
        return await asyncio.gather(*map(consume, range(3)))

    assert run(main()) == [list(range(k, k + 30)) for k in range(3)]


@everywhere
def test_an_asynchronous_source_is_read_without_a_loop_of_the_callers(where):
    """A plain run reads an async generator too, and again in the next run; what it raises is a ``SourceError``."""
    async def source():
        for number in range(5):
            await asyncio.sleep(0)
            yield number

    async def failing():
        yield 1
        raise OSError("no more")

    numbers = Pipeline(source, **where).task(lambda x: -x)
    assert [numbers.wait_for_result(), numbers.wait_for_result()] == [[0, -1, -2, -3, -4]] * 2
    with pytest.raises(SourceError, match="no more"):
        Pipeline(failing, **where).wait_for_result()


@everywhere
def test_an_async_iterator_that_is_the_source_of_two_pipelines_is_refused(where):
    """They would take items from each other, on the user's loop as anywhere."""
    async def numbers():
        yield 1

    async def main():
        given = numbers()
        return [item async for item in Pipeline(given, **where).gather(Pipeline(given, **where))]

    with pytest.raises(GraphError, match="the same iterator is the source of two pipelines"):
        run(main())


@in_threads
def test_a_run_can_be_iterated_asynchronously(where):
    """``async for item in run``."""
    async def main():
        with Pipeline(range(10), **where).task(abs).start() as run:
            return [item async for item in run]

    assert run(main()) == list(range(10))


def test_async_loops_leave_the_executor_of_the_event_loop_to_their_sources():
    """As many as its threads wait for results, and the sources need one of those threads to give any."""

    async def read(x):
        for item in range(x, x + 3):
            yield await asyncio.to_thread(abs, item)

    async def collect(x):
        return [item async for item in Pipeline(lambda: read(x), engine="thread").task(abs)]

    async def main():
        with ThreadPoolExecutor(1) as executor:
            asyncio.get_running_loop().set_default_executor(executor)
            return await asyncio.wait_for(asyncio.gather(collect(0), collect(10)), TIMEOUT)

    assert asyncio.run(main()) == [[0, 1, 2], [10, 11, 12]]
