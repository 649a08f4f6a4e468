"""Async sources: on which loop they run, how a stop reaches them where they wait, and that they end with all that they began."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import itertools
import threading

import pytest

from olympipe_ng.building.source import make_source
from olympipe_ng.sources import on_loop, open_source
from tests.sources.reading import async_numbers, read

TIMEOUT = 10


def test_closing_runs_the_finally_of_an_async_generator_in_its_own_loop():
    """An async source is closed on the loop that ran it, and the loop with it."""
    seen = []

    async def endless():
        seen.append(asyncio.get_running_loop())
        try:
            for number in itertools.count():
                yield number
        finally:
            await asyncio.sleep(0)
            seen.append(asyncio.get_running_loop())

    reader = open_source(make_source(endless))
    assert next(reader) == 0
    reader.close()
    assert seen[0] is seen[1]
    assert seen[0].is_closed()


def test_tasks_that_an_async_source_started_end_with_it():
    """As ``asyncio.run`` does: nothing goes on in the source's loop when the source is closed."""
    cancelled = []

    async def background():
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def source():
        task = asyncio.create_task(background())
        await asyncio.sleep(0)
        yield 1
        await task

    reader = open_source(make_source(source))
    assert next(reader) == 1
    reader.close()
    assert cancelled == [True]


def test_an_async_source_that_waits_is_interrupted_from_another_thread():
    """A stop does not wait for an async source: it ends where it waits, and its ``finally`` runs."""
    waiting, ended = threading.Event(), []

    async def source():
        try:
            yield 1
            waiting.set()
            await asyncio.sleep(1000)
        finally:
            ended.append(True)

    reader = open_source(make_source(source))
    items = []
    thread = threading.Thread(target=lambda: items.extend(reader))
    thread.start()
    assert waiting.wait(TIMEOUT)
    reader.interrupt()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert (items, ended) == ([1], [True])
    reader.close()


def test_the_finally_of_an_async_source_that_is_interrupted_twice_runs_whole():
    """Both the scheduler and the end of the run say that a source is to close."""
    waiting, closing, closed = threading.Event(), threading.Event(), []

    async def source():
        try:
            waiting.set()
            await asyncio.sleep(TIMEOUT)
            yield 1
        finally:
            closing.set()
            await asyncio.sleep(0.05)
            closed.append(True)

    reader = open_source(make_source(source))
    reading = threading.Thread(target=list, args=(reader,))
    reading.start()
    for event in (waiting, closing):
        assert event.wait(TIMEOUT)
        reader.interrupt()
    reading.join(TIMEOUT)
    reader.close()
    assert closed == [True]


def test_an_async_source_can_be_read_beside_a_running_loop():
    """In a notebook a loop is running already: the source's own loop runs beside it."""

    async def main():
        return read(make_source(async_numbers))

    assert asyncio.run(main()) == [1, 2, 3]


def test_under_async_for_an_async_source_is_iterated_on_the_users_loop():
    """What the source opened in the user's loop (a client session) can be used by it."""
    loops = []

    async def source():
        loops.append(asyncio.get_running_loop())
        yield 1
        yield 2

    async def main():
        here = asyncio.get_running_loop()
        stand_in = on_loop(make_source(source), here)
        return await asyncio.to_thread(read, stand_in), here

    items, here = asyncio.run(main())
    assert items == [1, 2]
    assert loops == [here]


class Listener:
    """Async as a class, as an instance that is called, and by its method."""

    def __init__(self):
        self.heard = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.heard += 1
        if self.heard > 1:
            raise StopAsyncIteration
        return asyncio.get_running_loop()


class Listening:
    async def __call__(self, times=1):
        for _ in range(times):
            yield asyncio.get_running_loop()


async def listen(times):
    for _ in range(times):
        yield asyncio.get_running_loop()


FUNCTIONS = {
    "partial": functools.partial(listen, 1),
    "lambda": lambda: listen(1),
    "wrapped": functools.wraps(listen)(lambda: listen(1)),
    "class": Listener,
    "object": Listening(),
    "partial of a method": functools.partial(Listening().__call__, times=1),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_what_a_function_returns_is_iterated_on_the_users_loop_too(function):
    """Whether a source is async shows when its function is called, which may be anything callable."""

    async def main():
        here = asyncio.get_running_loop()
        return await asyncio.to_thread(read, on_loop(make_source(function), here)), here

    loops, here = asyncio.run(main())
    assert loops == [here]


def test_an_interrupted_source_on_the_users_loop_ends():
    """The stop of a run reaches an async source on the user's loop, too."""
    ended = []

    async def source():
        try:
            yield 1
            await asyncio.sleep(1000)
        finally:
            ended.append(True)

    async def main():
        reader = open_source(on_loop(make_source(source), asyncio.get_running_loop()))
        assert await asyncio.to_thread(next, reader) == 1
        reading = asyncio.create_task(asyncio.to_thread(list, reader))
        await asyncio.sleep(0.05)
        reader.interrupt()
        assert await asyncio.wait_for(reading, TIMEOUT) == []
        await asyncio.to_thread(reader.close)

    asyncio.run(main())
    assert ended == [True]


def test_what_is_not_async_is_left_alone_under_async_for():
    """Only async sources move to the user's loop."""
    source = make_source([1])
    assert on_loop(source, None) is source


def test_context_variables_are_seen_where_the_reader_runs():
    """A source reads the context it is run in, async or not."""
    variable = contextvars.ContextVar("variable", default="none")

    async def source():
        yield variable.get()

    variable.set("given")
    assert read(make_source(source)) == ["given"]


def test_a_wait_for_an_item_that_is_cancelled_before_it_begins_leaves_nothing_unawaited(recwarn):
    """As when the user's loop ends: Python would warn of a coroutine that the user has never heard of."""

    def cancelled_at_once(loop, coroutine, **more):
        task = asyncio.Task(coroutine, loop=loop, **more)
        task.cancel()
        return task

    async def draw():
        loop = asyncio.get_running_loop()
        reader = open_source(on_loop(make_source(async_numbers), loop))
        loop.set_task_factory(cancelled_at_once)
        with pytest.raises(asyncio.CancelledError):
            await loop.run_in_executor(None, next, reader)
        loop.set_task_factory(None)

    asyncio.run(draw())
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []
