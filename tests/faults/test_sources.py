"""F22 to F29: source and sink (F23, F27 with signals: see ``test_ends``)."""

from __future__ import annotations

import itertools
import os
import threading
import time

import pytest

from olympipe_ng import Pipeline, SourceConsumed, SourceError
from tests.faults.helpers import wait_until, worker_pids

METHODS = ["fork", "forkserver"]


@pytest.mark.parametrize("method", METHODS)
def test_f22_a_source_that_raises_midway_delivers_what_it_drew(method):
    """Items first, then the source's own error with its traceback."""

    def broken():
        yield 1
        yield 2
        raise ValueError("torn")

    seen = []
    with pytest.raises(SourceError, match="ValueError: torn") as caught:
        seen.extend(Pipeline(broken, start_method=method).task(lambda x: 10 * x, 2))
    assert seen == [10, 20]
    assert isinstance(caught.value.__cause__, ValueError)
    assert "in broken" in caught.value.traceback_text


@pytest.mark.no_leak_check  # the thread that is stuck in the user's source is the one thing that may stay
def test_f23_a_source_that_blocks_is_named_in_the_log(caplog, tmp_path):
    """limit(1) completes on item 1; the thread that is stuck in the user's source is logged by name."""
    release, stuck = threading.Event(), tmp_path / "stuck"

    def blocked():
        yield 1
        stuck.touch()
        release.wait()

    def when_it_blocks(number):
        wait_until(stuck.exists)
        return number

    began = time.monotonic()
    assert Pipeline(blocked, start_method="fork").task(when_it_blocks).limit(1).wait_for_result() == [1]
    assert time.monotonic() - began < 5
    release.set()
    assert "stuck" in caplog.text


@pytest.mark.parametrize("method", METHODS)
def test_f24_an_endless_source_with_limit_ends(method):
    """Upstream is drawn no further than the bounds, and its workers are stopped."""
    drawn = []

    def count():
        for k in itertools.count():
            drawn.append(k)
            yield k

    pipeline = Pipeline(count, start_method=method, queue_size=4).task(abs, 2).limit(5)
    with pipeline.start() as run:
        assert list(run) == [0, 1, 2, 3, 4]
        wait_until(lambda: not worker_pids(run))
    assert len(drawn) <= 40


@pytest.mark.filterwarnings("ignore:zip pairs by position")
@pytest.mark.parametrize("engine", ["process", "thread", "inline"])
def test_f25_zero_items_pass_every_kind_of_stage(engine):
    """[] everywhere; reduce gives its initial value."""
    empty = Pipeline([], engine=engine, start_method="fork")
    left, right = empty.split(lambda x: (x, x), 2)
    stages = [
        empty.task(abs, 2).batch(3).window(2),
        empty.filter(abs).explode(list).unique().enumerate(),
        left.zip(right),
        empty.task(abs).rejoin(empty.task(str)),
        empty.gather(empty.task(abs)),
        empty.shuffle().skip(1).limit(3),
    ]
    for stage in stages:
        assert stage.wait_for_result() == []
    assert empty.reduce(7, lambda item, total: total + item).wait_for_result() == [7]


@pytest.mark.parametrize("method", METHODS)
def test_f26_very_large_items_pass_alone(method):
    """100 MB items pass, though they are above the bound on bytes."""
    source = Pipeline(range(4), start_method=method, queue_bytes=1 << 20)
    results = source.task(lambda x: bytes([x]) * 10**8).task(lambda item: (len(item), item[0], item[-1])).wait_for_result()
    assert results == [(10**8, x, x) for x in range(4)]


@pytest.mark.slow
def test_f26_an_item_of_a_gigabyte_passes():
    """1 GiB through two stages."""
    source = Pipeline(range(2), start_method="fork")
    results = source.task(lambda x: bytearray(1 << 30)).task(len).wait_for_result()
    assert results == [1 << 30] * 2


@pytest.mark.skipif(not os.environ.get("OLYMPIPE_NG_TEST_HUGE"), reason="needs 20 GB of memory and minutes: set OLYMPIPE_NG_TEST_HUGE")
def test_f26_an_item_of_more_than_4_gigabytes_passes():
    """Lengths have 64 bits."""
    size = (1 << 32) + 5
    assert Pipeline([size], start_method="fork").task(bytes).task(len).wait_for_result() == [size]


def test_f27_leaving_the_loop_closes_the_source():
    """The generator's finally runs before the line behind the loop."""
    closed = threading.Event()

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.set()

    for item in Pipeline(endless, start_method="fork").task(abs):
        if item == 10:
            break
    assert closed.wait(2.0)


def test_f28_a_slow_consumer_bounds_what_is_drawn():
    """A consumer that waits at item 1: with queue_size=4 and two stages at most a few are drawn."""
    drawn = []

    def source():
        for k in range(20_000):
            drawn.append(k)
            yield k

    with Pipeline(source, start_method="fork", queue_size=4).task(abs).task(abs).start() as run:
        items = iter(run)
        assert next(items) == 0
        settled = len(drawn)
        while True:  # until nothing more is drawn for a while
            time.sleep(0.2)
            if len(drawn) == settled:
                break
            settled = len(drawn)
        assert settled <= 20


def test_f29_running_twice():
    """A re-iterable source runs again; a used-up iterator says so, it never gives []."""
    again = Pipeline(range(5), start_method="fork").task(abs)
    assert again.wait_for_result() == again.wait_for_result() == [0, 1, 2, 3, 4]
    once = Pipeline(iter(range(5)), start_method="fork").task(abs)
    assert once.wait_for_result() == [0, 1, 2, 3, 4]
    with pytest.raises(SourceConsumed):
        once.wait_for_result()


@pytest.mark.parametrize("method", METHODS)
def test_what_was_delivered_can_be_taken_after_the_run_is_over(method):
    """Large items lie in shared memory; they are there until they were taken, though all processes are gone."""
    large = Pipeline(range(12), start_method=method).task(lambda x: bytes([x]) * 100_000)
    other = large.task(lambda item: item)
    with large.start([other]) as run:
        first, second = run.iterate(large), run.iterate(other)
        assert next(first)[0] == 0
        assert [item[0] for item in second] == list(range(12))
        assert [item[-1] for item in first] == list(range(1, 12))
