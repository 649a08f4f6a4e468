"""No item is held back until the next one comes: a source may wait for ever between two, and so may a stage that makes many of one."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from olympipe_ng import Pipeline
from tests.engines.kinds import in_threads

TIMEOUT = 20.0
CHAINS = {
    "nothing": lambda p: p,
    "a stage": lambda p: p.task(abs),
    "what looks into no item": lambda p: p.limit(100).skip(0),
    "a stage behind that": lambda p: p.limit(100).task(abs),
    "that behind a stage": lambda p: p.task(abs).limit(100),
    "merged branches, one of them empty": lambda p: p.skip(0).gather(p.filter(lambda x: x < 0)),
}


@in_threads
@pytest.mark.parametrize("kind", CHAINS)
def test_each_item_arrives_though_the_source_gives_no_other_before(kind, where):
    """The source yields only when the consumer has what it yielded before, and was made to wait a little for it."""
    arrived = threading.Semaphore(1)

    def source():
        for item in range(12):
            assert arrived.acquire(timeout=TIMEOUT), f"item {item - 1} did not arrive"
            yield item

    came = []
    for item in CHAINS[kind](Pipeline(source, **where)):
        came.append(item)
        arrived.release()
    assert came == list(range(12))


@in_threads
@pytest.mark.parametrize("again", range(3))
def test_a_limit_right_behind_a_source_that_then_blocks_ends_the_run(where, again):
    """``wait_for_result`` has nothing to do when the last items come: the source must learn that through the limit."""
    let_go, overslept = threading.Event(), []

    def source():
        yield from range(5)
        overslept.append(not let_go.wait(TIMEOUT))

    with Pipeline(source, **where).limit(5).start() as run:
        assert list(run) == list(range(5))
        assert not overslept, "the run waited for the source"
        let_go.set()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("staffed", [True, False], ids=["a worker", "no worker"])
def test_a_stop_right_behind_the_start_is_heard(method, staffed):
    """It may be read together with the graph; a source that gives nothing sends no other word behind it, nor do workers that are not."""
    let_go = threading.Event()

    def source():
        let_go.wait(TIMEOUT)
        yield 1

    numbers = Pipeline(source, start_method=method, close_timeout=TIMEOUT)
    with (numbers.task(abs) if staffed else numbers).start() as run:
        began = time.monotonic()
        run.stop()
        took = time.monotonic() - began
        let_go.set()
    assert took < TIMEOUT / 2


@in_threads
def test_a_slow_explode_streams(where):
    """What an item yields now and then comes out at once, not when the item is through."""
    let_go = threading.Event()

    def slowly(x):
        yield "first"
        time.sleep(0.1)
        yield "second"
        time.sleep(3 if where["engine"] == "process" else 0)
        let_go.wait(20 if where["engine"] == "thread" else 0)
        yield "third"

    with Pipeline([0], **where).explode(slowly).start() as run:
        results = iter(run)
        began = time.monotonic()
        assert [next(results), next(results)] == ["first", "second"]
        assert time.monotonic() - began < 2.5
        let_go.set()


@in_threads
def test_a_slow_emitter_streams_and_ends_with_its_run(where):
    """What a checkpoint's emitter yields now and then comes out at once; one that never ends does not hold up who has had enough."""
    def slowly(state):
        for number in itertools.count():
            yield number
            time.sleep(0.1)

    began = time.monotonic()
    assert Pipeline([0], **where).checkpoint(0, max, slowly).task(abs).limit(3).wait_for_result() == [0, 1, 2]
    assert time.monotonic() - began < 2.5
