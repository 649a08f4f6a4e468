"""Several threads of the caller's take from one run: each gets its items, and none waits for what another has seen to."""

from __future__ import annotations

import asyncio
import threading

import pytest

from olympipe_ng import Pipeline, PipelineError
from olympipe_ng.engines.inline import InlineEngine
from olympipe_ng.scheduler.messages import Stop
from olympipe_ng.sinks import Sinks
from tests.engines.kinds import each_engine, in_threads

TIMEOUT = 20


def beside(*functions):
    """Run each on a thread of its own; return what they gave or raised."""
    outcomes = [None] * len(functions)

    def run(k):
        try:
            outcomes[k] = functions[k]()
        except BaseException as error:  # a thread's, which is to be compared
            outcomes[k] = error

    threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads)
    return outcomes


@each_engine
def test_two_sinks_are_iterated_in_two_threads(where):
    """Each thread gets all items of its sink, in order, however the two get on."""
    numbers = Pipeline(range(500), queue_size=4, **where)
    more, less = numbers.task(lambda x: x + 1), numbers.filter(lambda x: x % 50 == 0)
    with more.start([less]) as run:
        several = [iter(run), run.iterate(less)]
        assert beside(*(lambda items=items: list(items) for items in several)) == [list(range(1, 501)), list(range(0, 500, 50))]
        run.wait()


@each_engine
def test_a_run_is_seen_through_while_another_thread_iterates_it(where):
    """``run.wait()`` in one thread, the items in another: both come to the end."""
    with Pipeline(range(300), queue_size=2, **where).task(abs).start() as run:
        items = iter(run)
        taken, report = beside(lambda: list(items), run.wait)
    assert taken == list(range(300))
    assert report.stages[-1].items_out == 300


@in_threads
def test_of_threads_that_share_a_sink_none_ends_before_the_sink_does(where, monkeypatch):
    """Two are woken by one item: who comes too late for it waits for the next."""
    begin, go_on, await_ = threading.Event(), threading.Event(), Sinks._await
    wait, woken, wait_again = threading.Barrier(2, begin.set), threading.Barrier(2), threading.Barrier(2, go_on.set)
    turns = [[wait_again], [wait_again], [wait, woken], [wait, woken]]

    def source():
        begin.wait(TIMEOUT)
        yield 0
        go_on.wait(TIMEOUT)

    def await_together(self, condition):
        before, *behind = turns.pop()
        before.wait(TIMEOUT / 4)
        await_(self, condition)
        for barrier in behind:
            barrier.wait(TIMEOUT)

    with Pipeline(source, **where).task(abs).start() as run:
        monkeypatch.setattr(Sinks, "_await", await_together)
        several = iter(run), iter(run)
        taken = beside(*(lambda items=items: list(items) for items in several))
    assert sorted(taken) == [[], [0]]


@each_engine
def test_threads_that_share_a_sink_wait_each_by_itself(where):
    """One has its item and waits for the other: the sink beside theirs, which nobody reads meanwhile, does not hold that back."""
    numbers = Pipeline(range(200), queue_size=2, **where)
    few, all_of_them = numbers.filter(lambda x: x % 50 == 49), numbers.task(abs)
    pair, done = threading.Barrier(2), threading.Event()

    def take(items):
        return [(item, pair.wait(TIMEOUT / 4))[0] for item in items]

    def take_later():
        first = next(rest)
        done.wait(TIMEOUT)
        return [first, *rest]

    def take_in_pairs():
        try:
            return beside(lambda: take(several[0]), lambda: take(several[1]))
        finally:
            done.set()

    with few.start([all_of_them]) as run:
        several, rest = [iter(run), iter(run)], run.iterate(all_of_them)
        pairs, others = beside(take_in_pairs, take_later)
    assert sorted(item for each in pairs for item in each) == [49, 99, 149, 199]
    assert others == list(range(200))


@pytest.fixture
def stop_was_asked(monkeypatch):
    """Tell of the moment in which an inline run is asked to stop."""
    asked, send = threading.Event(), InlineEngine.send

    def noticed(self, event):
        send(self, event)
        if isinstance(event, Stop):
            asked.set()

    monkeypatch.setattr(InlineEngine, "send", noticed)
    return asked


def test_an_inline_run_is_stopped_from_another_thread_while_its_function_runs(stop_was_asked):
    """The function returns, its iterator ends, and ``stop`` returns when everything is gone."""
    begun, closed = threading.Event(), []

    def source():
        try:
            yield from range(100)
        finally:
            closed.append(True)

    def work(item):
        begun.set()
        assert item or stop_was_asked.wait(TIMEOUT)
        return item

    def stop():
        begun.wait(TIMEOUT)
        run.stop()
        return list(closed)

    with Pipeline(source, engine="inline").task(work).start() as run:
        items = iter(run)
        taken, gone = beside(lambda: list(items), stop)
    assert (len(taken) <= 1, gone) == (True, [True])


def test_an_async_for_over_an_inline_run_is_cancelled_while_a_function_runs(stop_was_asked):
    """The cancellation arrives as such: the run is stopped, the function in hand returns, nothing else is raised."""
    begun = threading.Event()

    def work(item):
        begun.set()
        assert stop_was_asked.wait(TIMEOUT)
        return item

    async def consume():
        async for _ in Pipeline(range(100), engine="inline").task(work):
            raise AssertionError("there is none before the stop")

    async def main():
        consuming = asyncio.create_task(consume())
        await asyncio.to_thread(begun.wait, TIMEOUT)
        consuming.cancel()
        await consuming

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_an_inline_run_that_waits_for_its_time_is_stopped_at_once():
    """Who sleeps in a turn is woken by what another thread says."""
    begun = threading.Event()

    def first(items):
        begun.set() if next(items) == 0 else None
        return list(items)

    def stop():
        begun.wait(TIMEOUT)
        run.stop()

    with Pipeline(range(3), engine="inline").throttle(1 / (2 * TIMEOUT)).start() as run:
        items = iter(run)
        assert beside(lambda: first(items), stop) == [[], None]


@pytest.mark.parametrize("how", ["stop", "drain"])
def test_an_inline_run_that_waits_in_its_async_source_is_ended_at_once(how):
    """Whoever carries it on cannot hear of it there: it is told to the source itself, as every other engine does."""
    waiting = threading.Event()

    async def source():
        yield 1
        waiting.set()
        await asyncio.sleep(3600)

    with Pipeline(source, engine="inline").start() as run:

        def end():
            assert waiting.wait(TIMEOUT)
            getattr(run, how)()

        assert beside(lambda: list(run), end) == [[1], None]


def test_the_statistics_of_an_inline_run_are_read_from_another_thread():
    """They are those of one moment, between two steps of the thread that carries the run on."""
    ended = threading.Event()

    def look():
        records = []
        while not ended.is_set():
            records.append(run.statistics().stages[1])
        return records

    def take():
        try:
            return sum(1 for _ in items)
        finally:
            ended.set()

    with Pipeline(range(2000), engine="inline").task(abs).start() as run:
        items = iter(run)
        count, records = beside(take, look)
    assert count == 2000
    assert all(record.items_out <= record.items_in for record in records)


def test_a_function_of_an_inline_run_that_stops_it_returns_first():
    """The run ends behind the function, as in the other engines; its source is closed then, not while it is being read."""
    closed = []

    def source():
        try:
            for k in range(9):
                if k == 3:
                    run.stop()
                yield k
        finally:
            closed.append(True)

    with Pipeline(source, engine="inline").task(abs).start() as run:
        assert list(run) == [0, 1, 2]
        assert closed == [True]
    assert run.statistics().warnings == ()


def test_a_function_that_waits_for_its_own_inline_run_fails():
    """It would wait for itself: that is said, as any failure of an item."""
    with Pipeline(range(3), engine="inline", on_error="collect").task(lambda x: run.wait()).start() as run:
        assert list(run) == []
        assert len([text for text in run.errors if "a function of an inline run cannot wait for that run" in text]) == 3


def test_an_inline_run_that_waits_for_room_where_nobody_can_make_it_says_so(monkeypatch):
    """``run.wait()`` while an iterator is held that is not at its end, and there is no other thread to take from it."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with Pipeline(range(300), engine="inline", queue_size=2).task(abs).start() as run:
        items = iter(run)
        next(items)
        with pytest.raises(PipelineError, match="waits for room in a sink that is being iterated"):
            run.wait()
