"""How runs end: on the n-th item, with a source that blocks or never ends, when a loop is left, when a run is dropped."""

from __future__ import annotations

import asyncio
import gc
import io
import itertools
import os
import threading
import time

import psutil
import pytest

from olympipe_ng import Pipeline, StageError, current_item
from tests.engines.kinds import each_engine, everywhere, in_processes, in_threads

TIMEOUT = 20


class Blocking:
    """Yields so many numbers, and then blocks until it is let go."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.blocks = threading.Event()
        self.let_go = threading.Event()

    def __call__(self):
        yield from range(self.items)
        self.blocks.set()
        self.let_go.wait(TIMEOUT)


class Endless:
    """Counts for ever; knows how far it came and whether its ``finally`` ran."""

    def __init__(self) -> None:
        self.drawn = 0
        self.closed = threading.Event()

    def __call__(self):
        try:
            for self.drawn in itertools.count(1):
                yield self.drawn
        finally:
            self.closed.set()


@in_threads
def test_a_limit_completes_on_its_last_item_though_the_source_blocks_for_ever(where):
    """``limit(5)`` on a source that blocks after its fifth item returns without a sixth."""
    source = Blocking(5)
    with Pipeline(source, **where).task(abs).limit(5).start() as run:
        assert list(itertools.islice(run, 5)) == [0, 1, 2, 3, 4]
        threading.Timer(0.1, source.let_go.set).start()  # a thread stuck in the user's source is the one thing that may stay
    del run


@in_threads
def test_many_sources_that_block_are_waited_for_together(where, caplog):
    """A stop with five of them takes no longer than with one, and each is named."""
    sources = [Blocking(1) for _ in range(5)]
    first, *others = [Pipeline(source, **where).task(abs) for source in sources]
    items = iter(first.gather(*others))
    assert [next(items) for _ in sources] == [0] * 5
    assert all(source.blocks.wait(TIMEOUT) for source in sources)
    began = time.monotonic()
    items.close()
    assert time.monotonic() - began < 2.5
    assert caplog.text.count("is stuck in the user's code") == 5
    for source in sources:
        source.let_go.set()


@in_threads
def test_the_results_of_a_limit_are_there_while_the_source_still_blocks(where):
    """``wait_for_result`` behind a ``limit`` does not wait for the source."""
    let_go, overslept = threading.Event(), []

    def source():
        yield from range(5)
        overslept.append(not let_go.wait(TIMEOUT))

    with Pipeline(source, **where).task(abs).limit(5).start() as run:
        assert list(run) == [0, 1, 2, 3, 4]
        assert not overslept, "the run waited for the source"
        let_go.set()


@each_engine
def test_an_endless_source_with_a_limit_runs_the_generators_finally(where):
    """The user's generator is closed when a limit needs no more of it."""
    source = Endless()
    assert Pipeline(source, **where).task(lambda x: x * 2).limit(3).wait_for_result() == [2, 4, 6]
    assert source.closed.wait(TIMEOUT)


@in_processes
def test_a_limit_stops_the_workers_upstream_while_the_rest_goes_on(where):
    """Workers that nobody needs any more end before the run does."""
    let_go = threading.Event()

    def second():
        yield 1
        let_go.wait(TIMEOUT)

    pids = Pipeline(Endless(), **where).task(lambda x: os.getpid(), count=2).limit(1)
    with pids.gather(Pipeline(second, **where).task(lambda x: None)).start() as run:
        results = iter(run)
        pid = next(item for item in results if item is not None)
        assert _ends(pid)
        let_go.set()


def _ends(pid):
    try:
        process = psutil.Process(pid)
        process.wait(TIMEOUT)
    except psutil.NoSuchProcess:
        return True
    return not process.is_running()


@everywhere
def test_leaving_the_loop_stops_the_run(where):
    """``break`` ends everything, and the source's ``finally`` runs."""
    source = Endless()
    for item in Pipeline(source, **where).task(lambda x: -x, count=2):
        assert item == -1
        break
    gc.collect()
    assert source.closed.wait(TIMEOUT)


class Page(io.StringIO):
    """Knows when something was written on it."""

    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def write(self, text):
        self.written.set()
        return super().write(text)


@in_processes
def test_a_run_that_printed_and_that_nobody_holds_leaves_no_thread(where, monkeypatch):
    """The thread that writes the workers' lines ends with the others."""
    before, page = set(threading.enumerate()), Page()
    monkeypatch.setattr("sys.stdout", page)
    run = Pipeline(itertools.count, **where).task(print).start()
    assert page.written.wait(TIMEOUT)
    theirs = set(threading.enumerate()) - before
    del run
    gc.collect()
    for thread in theirs:
        thread.join(TIMEOUT)
    assert not [thread.name for thread in theirs if thread.is_alive()]


@in_threads
def test_a_consumer_that_raises_stops_the_run(where):
    """An exception in the loop's body ends the run as ``break`` does, and is the caller's own."""
    source = Endless()

    def consume():
        for _ in Pipeline(source, **where).task(abs):
            raise OSError("the consumer's own")

    with pytest.raises(OSError, match="the consumer's own"):
        consume()
    gc.collect()
    assert source.closed.wait(TIMEOUT)


@in_threads
def test_a_run_that_nobody_holds_is_stopped(where):
    """Dropping the run ends its workers and threads, and closes the source."""
    source = Endless()
    run = Pipeline(source, **where).task(abs).start()
    assert next(iter(run)) == 1
    del run
    gc.collect()
    assert source.closed.wait(TIMEOUT)


@everywhere
def test_no_items_go_through_every_stage(where, tmp_path):
    """An empty source gives nothing, but for the one value of a reduction and what an emitter makes of its state."""
    empty = Pipeline([], **where)
    left, right = empty.split(lambda x: (x, x), n=2)
    good, bad = empty.task(abs, on_error="branch")
    nothing = [
        empty.task(abs, count=2).starmap(max).filter().explode().tap(print).batch(2).window(2).bucket(len, 2),
        empty.limit(2).skip(1).latest(2).unique().shuffle().enumerate().scan(0, max).throttle(5).timeout(5).temporal_batch(1),
        empty.batch(3, within=1.0), empty.repeat(3), empty.debug(), left, right, good, bad,
        empty.gather(empty.task(abs)), empty.zip(empty.task(abs)), empty.rejoin(empty.task(abs)),
        empty.class_task(list, list.copy).cached_task(abs, tmp_path).uncache().pipe(lambda p: p).merge(empty.task(abs)),
    ]  # fmt: skip
    *rest, total, word = Pipeline.wait_for_all_results([*nothing, empty.reduce(7, max), empty.checkpoint("ab", max, list)])
    assert rest == [[]] * len(nothing)
    assert (total, word) == ([7], ["a", "b"])


@each_engine
def test_a_reduction_of_nothing_goes_through_other_stages(where):
    """The one value of an empty reduction comes of no item: it has no index, and every stage takes it."""
    total = Pipeline([], **where).reduce(0, max).task(lambda x: (x, current_item().indices, current_item().index)).batch(1)
    assert total.wait_for_result() == [[(0, (), 0)]]


@everywhere
def test_a_throttle_gives_its_last_items_in_its_own_time_too(where):
    """The end of the source does not let go at once what a throttle still holds."""
    began = time.monotonic()
    assert Pipeline(range(5), **where).throttle(20).wait_for_result() == list(range(5))
    assert time.monotonic() - began >= 0.19


def doze_unless_first(x):
    time.sleep(60 if x else 0)
    return x


async def doze_unless_first_async(x):
    await asyncio.sleep(60 if x else 0)
    return x


@pytest.mark.parametrize(
    ("function", "options"),
    [(doze_unless_first, {}), (doze_unless_first, {"threads": 2}), (doze_unless_first_async, {})],
    ids=["one lane", "threads", "async"],
)
def test_an_end_does_not_wait_for_items_in_hand(function, options):
    """They have a second to end, not the time that is meant for a ``close_method``."""
    began = time.monotonic()
    assert Pipeline(itertools.count()).task(function, **options).limit(1).wait_for_result() == [0]
    assert time.monotonic() - began < 10


class Stuck:
    """Fails the first item as soon as another is in hand, and is stuck in that, or wherever it stays, until it is let go."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()

    def fail(self, x):
        if x == 0:
            assert self.begun.wait(TIMEOUT)
            raise KeyError("the first")
        return self.stay(x)

    def stay(self, x):
        self.begun.set()
        self.let_go.wait(TIMEOUT)
        return x

    def left_with(self, caplog, began):
        """Say whether the run went on without the thread, and let that one end."""
        seconds, threads = time.monotonic() - began, [each for each in threading.enumerate() if each.name.startswith("stuck")]
        self.let_go.set()
        for thread in threads:
            thread.join(TIMEOUT)
        return seconds < TIMEOUT / 4 and "is still busy in user code and was left behind" in caplog.text and bool(threads)


def test_an_error_does_not_wait_for_a_thread_that_is_stuck_in_another_item(caplog):
    """A thread cannot be killed, but the user need not wait for it: it is left behind, and named."""
    stuck, began = Stuck(), time.monotonic()
    with pytest.raises(StageError, match="item 0 0: KeyError: 'the first'"):
        Pipeline(range(2), engine="thread").task(stuck.fail, threads=2, name="stuck").wait_for_result()
    assert stuck.left_with(caplog, began)


def test_a_stop_does_not_wait_for_a_thread_that_is_stuck_in_an_item(caplog):
    """Nor for the time that a ``close_method`` would have."""
    stuck = Stuck()
    with Pipeline(range(2), engine="thread").task(stuck.stay, name="stuck").start():
        assert stuck.begun.wait(TIMEOUT)
        began = time.monotonic()
    assert stuck.left_with(caplog, began)


def test_a_thread_that_is_stuck_in_its_close_method_is_left_behind_after_its_time(caplog):
    """``close_timeout`` bounds it here as in processes; the results are there."""
    stuck, began = Stuck(), time.monotonic()
    numbers = Pipeline(range(3), engine="thread", close_timeout=0.1)
    results = numbers.class_task(list, lambda _, x: x, close_method=lambda _: stuck.stay(0), name="stuck").wait_for_result()
    assert results == [0, 1, 2]
    assert stuck.left_with(caplog, began)


class SlowToClose:
    """Takes its time to close."""

    def work(self, x):
        return x

    def close(self):
        time.sleep(TIMEOUT)


@in_processes
def test_an_interrupt_that_comes_as_soon_as_a_stop_is_said_hurries_it(where, monkeypatch):
    """As one does that comes later: whoever stops it once more waits for no ``close_method``."""
    with Pipeline(itertools.count, **where).class_task(SlowToClose, SlowToClose.work, None, SlowToClose.close).start() as run:
        items = iter(run)
        next(items)
        engine, send = run._core.engine, run._core.engine.send

        def send_and_interrupt(event):
            send(event)
            raise KeyboardInterrupt

        monkeypatch.setattr(engine, "send", send_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.stop()
        began = time.monotonic()
    assert time.monotonic() - began < TIMEOUT / 2
