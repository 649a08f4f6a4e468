"""F1 to F10: a worker dies, hangs, leaks, or cannot be set up."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest

from olympipe_ng import Pipeline, StageError, StageTimeout, TooManyFailures, WorkerDied
from olympipe_ng.engines.process.children import own_rss
from olympipe_ng.transport.wire import Channel
from tests.faults import menu
from tests.faults.helpers import gone_within, numbers, wait_until, worker_pids

METHODS = ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]


def double_unless(fault, at=5):
    return lambda x: fault(x) if x == at else 2 * x


def doubled_without(*left_out, upto=20):
    return [2 * x for x in range(upto) if x not in left_out]


def held_back(event, upto):
    """A source that gives its items once the event is set."""
    event.wait()
    yield from range(upto)


@pytest.mark.parametrize("method", METHODS)
def test_f01_sigkill_of_an_idle_worker_is_mended_silently(method):
    """An idle worker that is killed is replaced, no item fails, and the source is not waited for."""
    release = threading.Event()
    with Pipeline(lambda: held_back(release, 20), start_method=method).task(lambda x: 2 * x, count=2).start() as run:
        before = wait_until(lambda: len(worker_pids(run)) == 2 and worker_pids(run))
        os.kill(before[0], signal.SIGKILL)
        after = wait_until(lambda: len(worker_pids(run)) == 2 and before[0] not in worker_pids(run) and worker_pids(run))
        assert before[1] in after
        release.set()
        assert list(run) == doubled_without()
        assert not run.errors


@pytest.mark.parametrize("method", METHODS)
def test_f02_sigkill_while_processing_fails_that_item_alone(method):
    """The culprit fails with WorkerDied that names stage, item and signal; all others are there, in order."""
    results = Pipeline(range(20), start_method=method).task(double_unless(menu.sigkill_self), 2, on_error="collect").wait_for_result()
    assert results == doubled_without(5)
    (text,) = results.errors
    assert "item 5 5" in text
    assert "SIGKILL" in text
    assert "Out of memory?" in text


def test_f02_the_death_is_raised_in_its_place():
    """Earlier results come out, then WorkerDied."""
    seen: list[int] = []
    with pytest.raises(WorkerDied, match=r"item 5 5: .*SIGKILL") as caught:
        seen.extend(Pipeline(range(20), start_method="fork").task(double_unless(menu.sigkill_self), 2))
    assert seen == [0, 2, 4, 6, 8]
    assert caught.value.index == 5
    assert caught.value.worker_pid


def test_f02_an_item_that_kills_only_once_goes_through(tmp_path):
    """An item that was in hand at one death is no culprit: it is run once more, alone."""

    def kill_once(x):
        if x == 5 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * x

    results = Pipeline(range(20), start_method="fork").task(kill_once, count=2).wait_for_result()
    assert results == doubled_without()
    assert not results.errors


def test_f02_redeliver_false_fails_what_had_started(tmp_path):
    """A stage with side effects is never called twice for an item."""

    def pay(x):
        with open(tmp_path / "payments", "a") as file:
            file.write(f"{x}\n")
        return menu.sigkill_self(x) if x == 5 else 2 * x

    results = Pipeline(range(20), start_method="fork").task(pay, 2, redeliver=False, on_error="collect").wait_for_result()
    paid = [int(line) for line in (tmp_path / "payments").read_text().split()]
    assert sorted(paid) == list(range(20))
    assert 10 not in results
    assert len(results) + len(results.errors) == 20


def test_f02_deaths_are_retried_like_other_failures(tmp_path):
    """retries= counts for deaths too."""

    def kill_thrice(x):
        attempts = tmp_path / f"{x}-{len(list(tmp_path.glob(f'{x}-*')))}"
        if x == 5 and len(list(tmp_path.glob("5-*"))) < 3:
            attempts.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * x

    assert Pipeline(range(20), start_method="fork").task(kill_thrice, retries=3).wait_for_result() == doubled_without()


@pytest.mark.parametrize("method", METHODS)
def test_f02_an_item_that_had_given_some_of_its_outputs_is_not_run_again(method):
    """What an ``explode`` gave before its worker was killed stays, each output once, and the failure tells how many."""

    def explode(x):
        for k in range(60_000):
            if (x, k) == (1, 50_000):
                os.kill(os.getpid(), signal.SIGKILL)
            yield x, k

    good, bad = Pipeline(range(3), start_method=method).explode(explode, on_error="branch")
    given, [failure] = Pipeline.wait_for_all_results([good, bad])
    assert isinstance(failure.exception, WorkerDied)
    assert (failure.item, failure.index) == (1, 1)
    assert 0 < failure.emitted <= 50_000
    whole = range(60_000)
    assert given == [(0, k) for k in whole] + [(1, k) for k in range(failure.emitted)] + [(2, k) for k in whole]


@pytest.mark.parametrize("kind", ["reduce", "scan", "checkpoint", "unique", "bucket", "class_task"])
def test_f02_the_death_of_a_stage_that_holds_state_fails_the_run(kind):
    """Nothing can repeat what reduce, scan, checkpoint or a stateful class had gathered: WorkerDied, naming the stage, and saying so."""

    class Model:
        def add(self, x):
            return fold(x, 0)

    def fold(x, total):
        return menu.sigkill_self(x) if x == 5 else x + total

    source = Pipeline(range(20), start_method="fork", on_error="skip")
    stages = {
        "reduce": lambda: source.reduce(0, fold),
        "scan": lambda: source.scan(0, fold),
        "checkpoint": lambda: source.checkpoint(0, fold, lambda state: [state]),
        "unique": lambda: source.unique(lambda x: fold(x, 0)),
        "bucket": lambda: source.bucket(lambda x: fold(x, 0), 3),
        "class_task": lambda: source.class_task(Model, Model.add, stateful=True),
    }
    with pytest.raises(WorkerDied, match=r"(?s)stage 1.*What the stage had gathered is gone with it"):
        stages[kind]().wait_for_result()


def test_f02_a_class_task_gets_a_fresh_instance():
    """A worker of a class_task that dies is replaced with a fresh instance, and a warning."""

    class Model:
        def double(self, x):
            return menu.sigkill_self(x) if x == 5 else 2 * x

    results = Pipeline(range(20), start_method="fork").class_task(Model, Model.double, on_error="collect").wait_for_result()
    assert results == doubled_without(5)
    (warning,) = results.report.statistics.warnings
    assert warning.startswith("Model.double: a worker died, and with it what its instance held; another goes on with a fresh one")


def test_f03_sigkill_while_holding_a_lock_costs_only_that_worker():
    """No lock is shared among siblings: four workers, of which one is killed stopped in the middle of reading, lose nothing."""

    def slow(x):
        time.sleep(0.002)
        return 2 * x

    with Pipeline(range(300), start_method="fork").task(slow, count=4).start() as run:
        victim = wait_until(lambda: len(worker_pids(run)) == 4 and worker_pids(run))[0]
        os.kill(victim, signal.SIGSTOP)  # wherever it is: waiting, reading, working, writing
        os.kill(victim, signal.SIGKILL)
        assert list(run) == doubled_without(upto=300)


def test_f04_sigkill_while_writing_a_100_mb_result(tmp_path):
    """A worker that dies in the middle of sending leaves half a message, which counts as nothing: its item is run again."""

    def large(x):
        (tmp_path / str(os.getpid())).touch()
        return bytes(10**8) if x == 1 else b"small"

    killed = threading.Thread(target=lambda: [os.kill(pid, signal.SIGKILL) for pid in wait_until(lambda: numbers(tmp_path))])
    killed.start()
    results = Pipeline(range(3), start_method="fork").task(large).wait_for_result()
    killed.join()
    assert [len(item) for item in results] == [5, 10**8, 5]


@pytest.mark.parametrize("method", METHODS)
def test_f05_os_exit_0_in_a_task_is_a_death(method):
    """Any exit that was not ordered is a death, code 0 too."""
    results = Pipeline(range(20), start_method=method).task(double_unless(menu.os_exit_0), 2, on_error="collect").wait_for_result()
    assert results == doubled_without(5)
    assert "exited with code 0" in results.errors[0]


def test_f06_sys_exit_in_a_task_is_an_error_of_its_item():
    """The caller never ends quietly with a cut result."""
    with pytest.raises(StageError, match="item 5 5: SystemExit: 0"):
        Pipeline(range(20), start_method="fork").task(double_unless(menu.sys_exit)).wait_for_result()


@pytest.mark.parametrize("fault", ["segfault", "sigbus"])
@pytest.mark.parametrize("method", METHODS)
def test_f07_a_crash_in_native_code_shows_the_python_stack(method, fault, capfd):
    """The error has the signal and the text of faulthandler, and nothing is printed."""
    source = Pipeline(range(20), start_method=method)
    with pytest.raises(WorkerDied, match="item 5 5") as caught:
        source.task(double_unless(getattr(menu, fault)), count=2).wait_for_result()
    name = {"segfault": "SIGSEGV", "sigbus": "SIGBUS"}[fault]
    assert name in str(caught.value)
    assert "Fatal Python error" in caught.value.traceback_text
    assert f"in {fault}" in caught.value.traceback_text
    assert "Fatal Python error" not in capfd.readouterr().err


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


def test_what_a_killed_worker_leaves_behind_is_ended(tmp_path):
    """A child of a killed worker (ffmpeg, a nested pool) is ended too."""

    def leave_a_child(x):
        pid = os.fork()
        if not pid:
            time.sleep(1000)
        Path(tmp_path / str(pid)).touch()
        menu.sigkill_self(x)

    with pytest.raises(WorkerDied):
        Pipeline([1], start_method="fork").task(leave_a_child, redeliver=False).wait_for_result()
    assert not gone_within(numbers(tmp_path), 2.0)


def come_back_twice(x):
    """A script that forks where its author thinks of nothing else."""
    pid = os.fork()
    if not pid:
        return np.full(100_000, -1)
    os.waitpid(pid, 0)
    return np.full(100_000, x)


async def come_back_twice_async(x):
    return come_back_twice(x)


@pytest.mark.parametrize(
    ("task", "options"),
    [(come_back_twice, {}), (come_back_twice, {"threads": 2}), (come_back_twice_async, {})],
    ids=["one lane", "threads", "async"],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_process_that_a_task_forked_never_goes_on_as_the_worker(capfd, method, task, options):
    """Nothing is given twice, nobody waits, and the worker's arrays are its own; it is said that there was such a process."""
    results = Pipeline(range(4), start_method=method).task(task, name="twice", **options).wait_for_result()
    assert [set(result) for result in results] == [{0}, {1}, {2}, {3}]
    assert capfd.readouterr().err.count("stage 1 'twice': a process that it forked came back from it") == 4


def print_in_a_process_of_its_own(x):
    process = multiprocessing.get_context("fork").Process(target=talk, args=(x,))
    process.start()
    process.join()
    return process.exitcode


def talk(x):
    print("printed", x)
    logging.getLogger("talker").warning("logged %d", x)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_process_prints_that_a_task_forked_never_gets_between_what_the_worker_sends(capfd, method):
    """It has the descriptors, and neither the socket nor the lock, which another of the worker's threads may hold."""
    results = Pipeline(range(2), start_method=method).task(print_in_a_process_of_its_own, threads=2).wait_for_result()
    assert results == [0, 0]
    said = capfd.readouterr()
    assert sorted(said.out.split("\n")) == ["", "printed 0", "printed 1"]
    logged = [line for line in said.err.split("\n") if "talker" in line]  # from Python 3.12 on a fork beside threads is warned of, too
    assert sorted(logged) == ["WARNING:talker:logged 0", "WARNING:talker:logged 1"]


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_f10_a_stage_that_cannot_be_loaded_says_why(method):
    """What a function carries fails to load in the worker: one error, with that traceback."""
    carried = menu.CannotBeLoaded()
    with pytest.raises(StageError, match=r"stage 1 'mine'.*set-up failed: ValueError: will not be loaded"):
        Pipeline(range(5), start_method=method).task(lambda x: (x, carried), 2, name="mine").wait_for_result()


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_what_two_killed_workers_leave_behind_is_ended_while_the_run_goes_on(tmp_path, method):
    """Also what is left by one that died while the successor of the other was being born."""
    release = threading.Event()

    def source():
        yield from (0, 1)
        release.wait()
        yield 2

    def leave(x):
        if x < 2:
            pid = os.fork()
            if not pid:
                time.sleep(1000)
            (tmp_path / str(pid)).touch()
            wait_until(lambda: len(numbers(tmp_path)) == 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    with Pipeline(source, start_method=method).task(leave, 2, redeliver=False, on_error="skip").start() as run:
        pids = wait_until(lambda: len(numbers(tmp_path)) == 2 and numbers(tmp_path))
        left = gone_within(pids, 3.0)
        release.set()
        assert list(run) == [2]
    assert not left


def test_f02_a_child_of_the_worker_that_holds_its_socket_hides_nothing(tmp_path):
    """A process that a C library forked keeps every descriptor open: the worker's own end tells."""

    def leave(x):
        if x == 5:
            pid = ctypes.CDLL(None).fork()  # no hook of Python's closes anything in this child
            if not pid:
                ctypes.CDLL(None).sleep(60)
                os._exit(0)
            (tmp_path / str(pid)).touch()
            menu.sigkill_self(x)
        return 2 * x

    with Pipeline(range(20), start_method="fork").task(leave, redeliver=False, on_error="collect").start() as run:
        assert list(run) == doubled_without(5)
        assert not gone_within(numbers(tmp_path), 2.0)
        assert "SIGKILL" in run.errors[0]


@pytest.mark.parametrize("size", [3_000, 10**8])
def test_f04_sigkill_in_the_middle_of_a_frame(tmp_path, monkeypatch, size):
    """Half a message is written, then the worker is killed: it counts as nothing, and the item is run again."""
    whole, due = Channel._write, []

    def half(self, flags):
        if due and not (tmp_path / "cut").exists():
            (tmp_path / "cut").touch()
            data = b"".join(bytes(piece) for piece in self._out)
            self._sock.sendall(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        whole(self, flags)

    monkeypatch.setattr(Channel, "_write", half)

    def work(x):
        if x == 5:
            due.append(x)  # in this worker only
        return bytes(size) if x == 5 else b""

    results = Pipeline(range(20), start_method="fork").task(work).wait_for_result()
    assert (tmp_path / "cut").exists()
    assert [len(item) for item in results] == [size if x == 5 else 0 for x in range(20)]


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


@pytest.mark.parametrize(
    ("fault", "kind"), [("sigkill_self", "WorkerDied"), ("hang", "StageTimeout"), ("unpicklable_result", "TypeError")]
)
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_f02_a_function_may_replace_what_a_dead_worker_held(method, fault, kind):
    """``on_error`` is called with the item and the error, also where the worker that had it is gone."""
    act = getattr(menu, fault)
    stage = Pipeline(range(8), start_method=method).task(
        lambda x: act(x) if x == 5 else x, 2, timeout=0.3, on_error=lambda item, error: (item, type(error).__name__)
    )
    assert stage.wait_for_result() == [0, 1, 2, 3, 4, (5, kind), 6, 7]


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


def test_f02_deaths_count_in_the_budget():
    deadly = Pipeline(range(8), start_method="fork").task(
        lambda x: menu.sigkill_self(x) if x in (2, 4) else x, on_error="skip", max_failures=1
    )
    with pytest.raises(TooManyFailures):
        deadly.wait_for_result()
