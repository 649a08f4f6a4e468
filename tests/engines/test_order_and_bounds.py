"""Order for every ``count``, one process per worker and stage, and how far ahead of a slow consumer a source is read."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time

import pytest

from olympipe_ng import Pipeline, current_worker
from tests.engines.kinds import in_processes, in_threads

TIMEOUT = 20


def nap(x):
    time.sleep(random.Random(x).random() / 200)
    return x


def meet(folder, name, others):
    """Sign in, and wait until so many have: nobody takes another item before each has had one."""
    (folder / str(name)).touch()
    until = time.monotonic() + 60
    while len(os.listdir(folder)) < others and time.monotonic() < until:
        time.sleep(0.001)
    return name


@in_processes
def test_four_workers_with_random_sleeps_give_results_in_order(where):
    """``task(count=4)`` keeps the order whatever each item takes."""
    assert Pipeline(range(200), **where).task(nap, count=4).wait_for_result() == list(range(200))


@in_processes
def test_there_is_one_process_per_worker_and_stage(where, tmp_path):
    """``os.getpid()`` shows four workers of one stage, others of the next, and never the caller."""
    pids = Pipeline(range(400), **where).task(lambda x: meet(tmp_path, os.getpid(), 4), count=4)
    pids = pids.task(lambda pid: (pid, os.getpid()), count=2).wait_for_result()
    first, second = {pid for pid, _ in pids}, {pid for _, pid in pids}
    assert len(first) == 4
    assert 1 <= len(second) <= 2
    assert not first & second
    assert os.getpid() not in first | second


@in_threads
def test_a_count_of_auto_keeps_the_order_too(where):
    """However many workers this machine is good for."""
    assert Pipeline(range(200), **where).task(abs, count="auto").wait_for_result() == list(range(200))


@in_threads
def test_without_order_results_come_as_they_finish(where):
    """``ordered=False`` lets a quick item overtake a slow one, and loses none."""
    def wait_if_first(x):
        if x == 0:
            time.sleep(0.2)
        return x

    results = Pipeline(range(50), **where).task(wait_if_first, count=2, ordered=False).wait_for_result()
    assert sorted(results) == list(range(50))
    assert results[0] != 0


@in_threads
def test_workers_are_numbered_from_zero(where, tmp_path):
    """``current_worker().number`` goes from 0 to count-1."""
    numbers = Pipeline(range(100), **where).task(lambda x: meet(tmp_path, current_worker().number, 3), count=3)
    assert set(numbers.wait_for_result()) == {0, 1, 2}


def counted(drawn, until=None):
    """Yield numbers, and tell how many were drawn."""
    for number in itertools.count() if until is None else range(until):
        drawn.append(number)
        yield number


def wait_until_quiet(drawn, run):
    """Wait until nothing can move any more: two looks at the whole run, some messages apart, show the same."""
    before = None
    while (now := (len(drawn), [(s.items_in, s.items_out, s.in_hand) for s in run.statistics().stages])) != before:
        before = now
        threading.Event().wait(0.3)


@pytest.mark.parametrize(("cost", "queue_size", "most"), [(0.001, None, 500), (0.001, 4, 20), (0.0, 4, 20)])
@in_threads
def test_a_source_is_read_only_so_far_ahead_of_a_slow_consumer(where, cost, queue_size, most):
    """At most 500 items ahead where each costs 1 ms in a stage; with ``queue_size=4`` and three stages at most 20."""
    def work(x):
        time.sleep(cost)
        return x

    drawn = []
    pipeline = Pipeline(counted(drawn), queue_size=queue_size, **where).task(work).task(lambda x: x).task(lambda x: x)
    with pipeline.start() as run:
        next(iter(run))
        wait_until_quiet(drawn, run)
        assert 1 <= len(drawn) <= most


@in_threads
def test_a_queue_size_of_one_still_moves(where):
    """The smallest bound slows a run down and stops none."""
    assert Pipeline(range(30), queue_size=1, **where).task(abs, count=2).batch(4).explode().wait_for_result() == list(range(30))


@in_threads
def test_items_larger_than_the_bound_on_bytes_pass_alone(where):
    """A single item may be larger than ``queue_bytes``."""
    sizes = Pipeline(range(6), queue_bytes=1000, **where).task(lambda x: bytes(200_000)).task(len).wait_for_result()
    assert sizes == [200_000] * 6


@in_threads
def test_the_bound_on_bytes_holds_back_the_source(where):
    """With items of 100 kB and ``queue_bytes`` of 1 MB far fewer than a hundred items exist at once."""
    drawn = []

    def large():
        for number in counted(drawn, 500):
            yield number.to_bytes(4, "little") * 25_000

    with Pipeline(large, queue_bytes=1_000_000, **where).task(lambda x: x).task(lambda x: x).start() as run:
        next(iter(run))
        wait_until_quiet(drawn, run)
        assert len(drawn) <= 60
