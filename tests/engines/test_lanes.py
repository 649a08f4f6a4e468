"""Threads and coroutines in a worker: at once, in order, no more of them than were asked for, and in every kind of stage."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading

import pytest

from olympipe_ng import Pipeline, StageError
from tests.engines.kinds import PROCESSES, each_engine, everywhere, in_threads


@in_threads
def test_threads_of_a_worker_run_at_once_and_keep_the_order(where):
    """Four threads meet at a barrier, which one alone could not pass."""
    def meet(x, barrier=[]):  # noqa: B006 - one barrier per worker is what is wanted
        with LOCK:
            if not barrier:
                barrier.append(threading.Barrier(4, timeout=20))
        barrier[0].wait()
        return x

    assert Pipeline(range(4), **where).task(meet, threads=4).wait_for_result() == [0, 1, 2, 3]


LOCK = threading.Lock()


class Opened:
    """Leaves a mark of its beginning and its end."""

    def __init__(self, folder):
        self.end = folder / "end"
        (folder / "begun").touch()

    def pass_on(self, x):
        return x

    def close(self):
        self.end.touch()


def refuse_lanes(monkeypatch, allowed):
    """Let the system have threads for so many lanes; forked workers inherit this."""
    begin, begun = threading.Thread.start, []

    def refuse(thread):
        if thread.name.startswith("lanes "):
            begun.append(thread)
            if len(begun) > allowed:
                raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


NO_THREAD = r"set-up failed: RuntimeError: can't start new thread\nThe system gives no more threads: ask"


@in_threads
def test_a_system_without_threads_for_all_lanes_fails_the_set_up_and_leaves_nothing(where, tmp_path, monkeypatch):
    """It is no bug of ours: the error says what to do; the lanes that were begun end, and the instance is closed."""
    refuse_lanes(monkeypatch, 3)
    opened = Pipeline(range(9), **where).class_task(Opened, Opened.pass_on, [tmp_path], Opened.close, threads=8, name="lanes")
    with pytest.raises(StageError, match=NO_THREAD):
        opened.wait_for_result()
    assert {path.name for path in tmp_path.iterdir()} == {"begun", "end"}


async def wait_a_turn(x):
    await asyncio.sleep(0)
    return x


@in_threads
@pytest.mark.parametrize(("function", "options"), [(abs, {"threads": 2}), (wait_a_turn, {})], ids=["threads", "coroutines"])
def test_a_system_without_a_thread_for_the_first_lane_fails_the_set_up_alike(function, options, where, monkeypatch):
    """The other worker of the stage ends, too."""
    refuse_lanes(monkeypatch, 0 if where["engine"] == "process" else 1)
    with pytest.raises(StageError, match=NO_THREAD):
        Pipeline(range(9), **where).task(function, 2, name="lanes", **options).wait_for_result()


@pytest.mark.parametrize("where", [{"engine": "thread"}, PROCESSES["fork"], PROCESSES["spawn"]])
def test_coroutines_of_a_worker_are_in_flight_at_once_and_keep_the_order(where):
    """Eight coroutines wait for each other, in one worker."""
    async def meet(x, waiting=[]):  # noqa: B006
        done = asyncio.get_running_loop().create_future()
        waiting.append(done)
        if len(waiting) == 8:
            for future in waiting:
                future.set_result(None)
        await asyncio.wait_for(done, 20)
        return x, os.getpid()

    came = Pipeline(range(8), **where).task(meet, concurrency=8).wait_for_result()
    assert [x for x, _ in came] == list(range(8))
    assert len({pid for _, pid in came}) == 1


@in_threads
def test_no_more_coroutines_than_concurrency_are_in_flight(where):
    """``concurrency=3`` is a bound."""
    async def count(x, state={"now": 0, "most": 0}):  # noqa: B006
        state["now"] += 1
        state["most"] = max(state["most"], state["now"])
        await asyncio.sleep(0.001)
        state["now"] -= 1
        return state["most"]

    assert 1 < max(Pipeline(range(60), **where).task(count, concurrency=3).wait_for_result()) <= 3


@in_threads
def test_concurrency_may_be_as_large_as_one_likes(where):
    """``concurrency=sys.maxsize``, as who wants no bound says, asks for no memory that nobody has."""
    async def later(x):
        await asyncio.sleep(0.001)
        return x

    assert Pipeline(range(60), **where).task(later, concurrency=sys.maxsize).wait_for_result() == list(range(60))


@everywhere
def test_every_kind_of_stage_takes_coroutines(where):
    """``async def`` in task, starmap, filter, explode (also as an async generator), tap and split."""
    async def double(x):
        await asyncio.sleep(0)
        return x * 2

    async def odd(x):
        return x % 2

    async def twice(x):
        yield x
        yield x

    async def both(x):
        return [x, -x]

    async def route(x):
        return (x, None) if x % 2 else (None, x)

    async def add(a, b):
        return a + b

    numbers = Pipeline(range(4), **where)
    left, right = numbers.split(route, n=2)
    came = Pipeline.wait_for_all_results(
        [numbers.task(double), numbers.filter(odd), numbers.explode(twice), numbers.explode(both), numbers.tap(double), left, right]
    )
    assert came == [[0, 2, 4, 6], [1, 3], [0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 1, -1, 2, -2, 3, -3], [0, 1, 2, 3], [1, 3], [0, 2]]
    assert numbers.zip(numbers.task(abs)).starmap(add).wait_for_result() == [0, 2, 4, 6]


@each_engine
def test_an_element_of_an_asynchronous_explode_that_cannot_be_pickled_fails_its_item(where):
    """It is that item's ``SerializationError``, and takes its other elements with it."""
    async def locks(x):
        return [x, threading.Lock()] if x == 1 else [x]

    results = Pipeline([0, 1, 2], **where).explode(locks, on_error="collect").wait_for_result()
    assert results == [0, 2]
    assert "lock" in results.errors[0]


@each_engine
def test_what_an_asynchronous_explode_returns_streams(where):
    """It may be endless: what an ``async def`` returns is iterated as it is wanted, not collected."""
    async def count(x):
        return itertools.count(x)

    assert Pipeline([5], **where).explode(count).limit(3).wait_for_result() == [5, 6, 7]


@in_threads
def test_an_asynchronous_explode_ends_when_nobody_wants_the_rest(where):
    """Also those of its coroutines that were about to begin at that moment."""
    async def forever(x):
        return itertools.repeat(x)

    endless = Pipeline(range(6), **where).explode(forever).limit(4)
    assert [endless.wait_for_result() for _ in range(20)] == [[0, 0, 0, 0]] * 20


@each_engine
def test_an_asynchronous_explode_that_fails_half_way_fails_its_item(where):
    """Where what it returned raises, nothing of the item comes out, and the others do."""
    async def halves(x):
        return (1 // (2 - x) for _ in range(2)) if x else [7]

    results = Pipeline([0, 1, 2, 0], **where).explode(halves, on_error="collect").wait_for_result()
    assert results == [7, 1, 1, 7]
    assert "ZeroDivisionError" in results.errors[0]


async def later(x):
    return False


HIDDEN = {
    "filter": lambda p: p.filter(lambda x: later(x)),
    "tap": lambda p: p.tap(lambda x: later(x)),
    "unique": lambda p: p.unique(lambda x: later(x)),
    "bucket": lambda p: p.bucket(lambda x: later(x), 2),
}


@pytest.mark.parametrize("kind", HIDDEN)
@each_engine
def test_a_coroutine_that_a_lambda_hides_is_the_items_failure(where, kind):
    """It is true and does nothing: as the answer of a filter it would keep everything, without a word."""
    with pytest.raises(StageError, match=rf"'?{kind}'? .*item 0 0: TypeError: the function gave a coroutine, which nobody awaits"):
        HIDDEN[kind](Pipeline(range(300), **where)).wait_for_result()
