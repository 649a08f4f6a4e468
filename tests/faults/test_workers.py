"""F8 to F10: a worker hangs, leaks, or cannot be set up."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

import psutil
import pytest

from olympipe_ng import Pipeline, StageError, StageTimeout, WorkerDied
from olympipe_ng.engines.process.children import own_rss
from tests.faults import menu
from tests.faults.helpers import double_unless, doubled_without, wait_until

METHODS = ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]


@pytest.mark.parametrize("fault", ["hang", "hang_in_c"])
@pytest.mark.parametrize("method", METHODS)
def test_f08_a_hung_task_is_killed_after_its_timeout(method, fault):
    """The item fails with StageTimeout, the others go on."""
    source = Pipeline(range(20), start_method=method)
    results = source.task(double_unless(getattr(menu, fault)), 2, timeout=0.3, on_error="collect").wait_for_result()
    assert results == doubled_without(5)
    assert "longer than timeout=0.3" in results.errors[0]


def test_f08_the_timeout_is_raised_as_a_timeout_error():
    """StageTimeout is a TimeoutError that names the item."""
    with pytest.raises(StageTimeout, match="item 5 5") as caught:
        Pipeline(range(20), start_method="fork").task(double_unless(menu.hang), timeout=0.3).wait_for_result()
    assert isinstance(caught.value, TimeoutError)


def test_f08_the_items_of_other_threads_are_run_again():
    """A hung thread takes its worker with it; what its siblings held is not lost."""
    source = Pipeline(range(20), start_method="fork")
    results = source.task(double_unless(menu.hang), threads=4, timeout=0.5, on_error="collect").wait_for_result()
    assert results == doubled_without(5)


def test_f09_a_leaking_worker_is_recycled_after_so_many_items():
    """max_items_per_worker: between items, in order, nothing lost, set up anew."""
    pids = Pipeline(range(20), start_method="fork").task(lambda x: (x, os.getpid()), max_items_per_worker=5).wait_for_result()
    assert [x for x, _ in pids] == list(range(20))
    assert max(Counter(pid for _, pid in pids).values()) <= 5


def test_f09_a_leaking_worker_is_recycled_when_it_is_too_large():
    """max_rss_per_worker: bytes, looked at between items."""
    hoard = []

    def leak(x):
        hoard.append(bytearray(os.urandom(1)) * (8 << 20))
        return x, os.getpid()

    limit = psutil.Process().memory_info().rss + (64 << 20)
    pids = Pipeline(range(40), start_method="fork").task(leak, max_rss_per_worker=limit).wait_for_result()
    assert [x for x, _ in pids] == list(range(40))
    assert len({pid for _, pid in pids}) >= 2


@pytest.mark.parametrize("kind", ["task", "explode", "coroutine"])
def test_f09_a_worker_that_grows_suddenly_is_recycled_between_two_items(kind):
    """The rest of its frame is given back: items that were cheap when the frame was dealt, and are not any more, are not all run first."""
    hoard = []

    def leak(x):
        if x >= 20_000:
            hoard.append(bytearray(os.urandom(1)) * (8 << 20))
            time.sleep(0.006)
            return x, own_rss()
        return x, 0

    async def leak_in_coroutine(x):
        return leak(x)

    limit = psutil.Process().memory_info().rss + (64 << 20)
    source = Pipeline(range(20_100), start_method="fork")
    stages = {
        "task": lambda: source.task(leak, max_rss_per_worker=limit),
        "explode": lambda: source.explode(lambda x: [leak(x)], max_rss_per_worker=limit),
        "coroutine": lambda: source.task(leak_in_coroutine, concurrency=1, max_rss_per_worker=limit),
    }
    results = stages[kind]().wait_for_result()
    assert [x for x, _ in results] == list(range(20_100))
    assert limit < max(rss for _, rss in results) < limit + 10 * (8 << 20)


def test_f09_recycled_instances_are_closed_and_constructed(tmp_path):
    """A class_task's instances are closed and made anew."""

    class Model:
        def __init__(self):
            (tmp_path / f"made-{os.getpid()}").touch()

        def double(self, x):
            return 2 * x

        def close(self):
            (tmp_path / f"closed-{os.getpid()}").touch()

    source = Pipeline(range(20), start_method="fork")
    results = source.class_task(Model, Model.double, None, Model.close, max_items_per_worker=6).wait_for_result()
    assert results == doubled_without()
    made, closed = list(tmp_path.glob("made-*")), list(tmp_path.glob("closed-*"))
    assert len(made) == len(closed) >= 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", ["raise_error", "sys_exit"])
def test_f10_a_set_up_that_fails_is_told_once_with_its_traceback(method, fault, caplog):
    """One error, not one per worker, with what the constructor raised."""

    class Model:
        def __init__(self):
            getattr(menu, fault)("model")

        def double(self, x):
            return 2 * x

    with pytest.raises(StageError, match="set-up failed") as caught:
        Pipeline(range(20), start_method=method).class_task(Model, Model.double, count=3).wait_for_result()
    assert fault in caught.value.traceback_text
    assert len(caught.value.errors) == 1


def test_f10_a_set_up_that_keeps_dying_fails_the_run_once():
    """A constructor that kills its process is not started for ever."""
    with pytest.raises(WorkerDied, match=r"stage 1 .*SIGKILL"):
        Pipeline(range(20), start_method="fork").task(abs, 2, initializer=lambda: menu.sigkill_self(0)).wait_for_result()


def test_f10_a_set_up_that_hangs_is_bounded():
    """setup_timeout: the run fails, naming the stage and the limit."""
    with pytest.raises(StageTimeout, match=r"stage 1 .*set-up .*setup_timeout=0\.3"):
        Pipeline(range(20), start_method="fork").task(abs, initializer=lambda: menu.hang(0), setup_timeout=0.3).wait_for_result()


def test_f10_the_others_are_torn_down(tmp_path):
    """close_method runs in the stages that were set up."""

    class Model:
        def double(self, x):
            return 2 * x

        def close(self):
            (tmp_path / "closed").touch()

    def fail_when_the_other_is_ready():
        wait_until((tmp_path / "ready").exists)
        raise ValueError("no")

    first = Pipeline(range(20), start_method="fork").class_task(
        Model, Model.double, None, Model.close, initializer=(tmp_path / "ready").touch
    )
    with pytest.raises(StageError, match="set-up failed: ValueError: no"):
        first.task(abs, initializer=fail_when_the_other_is_ready).wait_for_result()
    assert (tmp_path / "closed").exists()


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_f10_a_stage_that_cannot_be_loaded_says_why(method):
    """What a function carries fails to load in the worker: one error, with that traceback."""
    carried = menu.CannotBeLoaded()
    with pytest.raises(StageError, match=r"stage 1 'mine'.*set-up failed: ValueError: will not be loaded"):
        Pipeline(range(5), start_method=method).task(lambda x: (x, carried), 2, name="mine").wait_for_result()


def test_f08_what_other_threads_had_in_hand_is_run_again(tmp_path):
    """Three items hang beside the late one, begun later than it: each is called a second time, and only the late one fails."""

    def source():
        yield from range(6)
        wait_until((tmp_path / "5-0").exists)
        time.sleep(0.5)  # their time is up later than that of item 5
        yield from range(6, 9)

    def work(x):
        attempt = len(list(tmp_path.glob(f"{x}-*")))
        (tmp_path / f"{x}-{attempt}").touch()
        if x == 5 or (x > 5 and not attempt):
            time.sleep(1000)
        return 2 * x

    results = Pipeline(source, start_method="fork").task(work, threads=4, timeout=1.0, on_error="collect").wait_for_result()
    assert results == [2 * x for x in range(9) if x != 5]
    assert len(results.errors) == 1
    assert sorted(path.name for path in tmp_path.glob("*-1")) == ["6-1", "7-1", "8-1"]


def test_f08_timeouts_are_retried(tmp_path):
    def work(x):
        tried = len(list(tmp_path.iterdir()))
        if x == 5 and tried < 2:
            (tmp_path / str(tried)).touch()
            time.sleep(1000)
        return x

    results = Pipeline(range(8), start_method="fork").task(work, timeout=0.3, retries=2).wait_for_result()
    assert results == list(range(8))
    assert results.report.stages[1].retried == 2


@pytest.mark.parametrize("engine", ["process", "thread", "inline"])
def test_a_hung_coroutine_is_cancelled(engine, tmp_path):
    """Its finally runs, its worker lives on, the others are not run again."""
    async def work(x):
        (tmp_path / f"{x}-{len(list(tmp_path.glob(f'{x}-*')))}").touch()
        try:
            if x == 5:
                await asyncio.sleep(1000)
        finally:
            if x == 5:
                (tmp_path / "cancelled").touch()
        return x

    results = Pipeline(range(20), engine=engine, start_method="fork").task(work, timeout=0.3, on_error="collect").wait_for_result()
    assert results == [x for x in range(20) if x != 5]
    assert "longer than timeout=0.3" in results.errors[0]
    assert (tmp_path / "cancelled").exists()
    assert not list(tmp_path.glob("*-1"))


def test_a_coroutine_that_blocks_its_loop_costs_its_worker():
    """The loop does not answer: the worker is killed, the others are run again."""

    async def work(x):
        if x == 5:
            time.sleep(1000)
        return x

    with pytest.raises(StageTimeout, match="longer than timeout"):
        Pipeline(range(20), start_method="fork").task(work, timeout=0.3, concurrency=4).wait_for_result()
