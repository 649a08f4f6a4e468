"""Processes that a task forked: they end with their worker, never go on as it, and hide no death of it."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from olympipe_ng import Pipeline, WorkerDied
from tests.faults import menu
from tests.faults.helpers import doubled_without, gone_within, numbers, wait_until

METHODS = ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]


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
