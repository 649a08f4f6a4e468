"""F33 to F37: start methods, guards, nesting, and what a worker begins with (F37 with the user's handlers: see ``test_signals``)."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from olympipe_ng import Pipeline
from olympipe_ng.engines.process import starting
from olympipe_ng.engines.process.starting import choose_method
from tests.faults.helpers import ROOT, Script, wait_until

METHODS = ["fork", "forkserver"]
ALL = ["fork", "forkserver", "spawn"]


def test_f33_auto_does_not_fork_a_threaded_caller():
    """A thread holds a lock that a forked child would need for ever: auto starts clean, and the run ends."""
    lock, release = threading.Lock(), threading.Event()

    def hold():
        with lock:
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert choose_method("auto") == "forkserver"
        assert Pipeline(range(4)).task(abs, 2).wait_for_result() == [0, 1, 2, 3]
    finally:
        release.set()
        thread.join()


@pytest.mark.parametrize(("look_takes", "looks"), [(0.006, 2), (0.0, starting.LOOKS)])
def test_auto_waits_no_longer_for_a_native_thread_than_one_takes_to_end(look_takes, looks, monkeypatch):
    """Each look reads the process's whole map; and a program whose clock stands (that of its tests) must not wait for ever."""
    now, asked = [100.0], []

    def look():
        now[0] += look_takes
        asked.append(look_takes)
        return ["nobody knows whose"]

    monkeypatch.setattr(starting, "_native_threads", look)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert choose_method("auto") == "forkserver"
    assert len(asked) == looks


def test_auto_does_not_fork_a_program_of_green_threads(monkeypatch):
    """A fork of it would have the loop that its sockets wait in (gevent's, eventlet's), and nobody who turns it."""
    assert choose_method("auto") == "fork"
    green = type("socket", (socket.socket,), {"__module__": "gevent._socket3"})
    monkeypatch.setattr(socket, "socket", green)
    assert choose_method("auto") == "forkserver"


@pytest.mark.parametrize(
    ("threads", "libraries", "method"),
    [
        ([], "libgomp.so", "fork"),
        (["python"], "libopenblas64.so", "fork"),
        (["python", "jemalloc_bg_thd"], "libopenblas.so libarrow.so", "fork"),
        (["python", "AwsEventLoop 1"], "libopenblas.so libarrow.so", "forkserver"),
        (["python"], "libopenblas.so libgomp.so", "forkserver"),
        (["python"], "libc.so", "forkserver"),
    ],
)
def test_f33_auto_forks_beside_native_threads_that_mind_forks_themselves(threads, libraries, method, monkeypatch):
    """OpenBLAS's and Arrow's, which keep the process's name; not one that has given itself a name, or that nobody knows."""
    monkeypatch.setattr(starting, "_native_threads", lambda: threads)
    monkeypatch.setattr(starting, "read", {"/proc/self/maps": libraries, "/proc/self/comm": "python"}.__getitem__)
    assert choose_method("auto") == method


def test_f33_auto_forks_in_a_program_with_numpy():
    """Its real thread pool is known for what it is."""
    code = "import os, numpy as n; n.ones((300, 300)) @ n.ones((300, 300)); from olympipe_ng.engines.process import starting as s; "
    code += "print(len(s._native_threads()) > 0 or os.cpu_count() == 1, s.choose_method('auto'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "fork"]


def test_f33_auto_forks_when_a_run_has_just_ended():
    """Its threads have ended for Python a moment before they have for the kernel: no reason to start an interpreter."""
    code = """
from olympipe_ng import Pipeline
from olympipe_ng.engines.process import client
chosen, choose = [], client.choose_method
client.choose_method = lambda asked: chosen.append(choose(asked)) or chosen[-1]
for _ in range(30):
    Pipeline(range(1)).task(str).wait_for_result()
print(*set(chosen))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert done.stdout.split() == ["fork"]


def test_f33_fork_when_asked_for_works_in_a_threaded_caller():
    """The logging lock is held by another thread at the moment of the fork: workers log all the same."""
    release, held = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, record):
            held.set()
            release.wait(20)

    handler = Slow()
    log = logging.getLogger("slow")
    log.addHandler(handler)
    thread = threading.Thread(target=log.error, args=("held",))
    thread.start()
    held.wait()

    def work(x):
        logging.getLogger("slow").error("from a worker")
        return x

    try:
        with Pipeline(range(3), start_method="fork").task(work).start() as run:
            items = iter(run)
            assert [next(items) for _ in range(3)] == [0, 1, 2]
            release.set()
    finally:
        release.set()
        thread.join()
        log.removeHandler(handler)


GUARDLESS = """
import sys
from olympipe_ng import Pipeline
print("main runs", flush=True)
factor = 3
class Mine:
    def __init__(self, x): self.x = x
def work(x):
    return Mine(factor * x)
results = Pipeline(range(5), start_method=sys.argv[1]).task(work, 2).task(lambda mine: mine).wait_for_result()
assert [mine.x for mine in results] == [0, 3, 6, 9, 12]
assert all(type(mine) is Mine for mine in results)
print("done", flush=True)
"""


@pytest.mark.parametrize("method", ALL)
def test_f34_no_main_guard_is_needed(tmp_path, method):
    """A script without a guard runs once, whatever the start method."""
    with Script(tmp_path, GUARDLESS, method) as script:
        status, output, errors = script.end()
        assert not script.left()
    assert status == 0, errors
    assert output.split("\n") == ["main runs", "done", ""]


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("how", ["-c", "-"])
def test_f35_functions_of_python_c_and_standard_input(method, how, tmp_path):
    """Functions and classes that no worker can import travel by value."""
    command = [sys.executable, "-c", GUARDLESS, method] if how == "-c" else [sys.executable, "-", method]
    done = subprocess.run(command, input=GUARDLESS, text=True, capture_output=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout


@pytest.mark.parametrize("method", ALL)
def test_a_folder_that_was_deleted_is_no_hindrance(tmp_path, method):
    """A session without a script looks for modules where it is: where that is nowhere, there are none."""
    if method != "fork" and sys.version_info[:2] == (3, 13):
        pytest.skip("no interpreter of this version that is started there imports socket: SystemError")
    code = """
import os, sys, tempfile
from olympipe_ng import Pipeline
sys.path.insert(0, "")
os.chdir(tempfile.mkdtemp())
os.rmdir(os.getcwd())
print(Pipeline(range(3), start_method=sys.argv[1]).task(lambda x: x + 1).wait_for_result())
"""
    with Script(tmp_path, code, method) as script:
        status, output, errors = script.end()
    assert (status, output) == (0, "[1, 2, 3]\n"), errors


@pytest.mark.parametrize("method", METHODS)
def test_f36_a_pipeline_in_a_task(method):
    """A pipeline inside a task, of processes too."""

    def nested(x):
        return sum(Pipeline(range(x), start_method="fork").task(lambda y: 2 * y, 2).wait_for_result())

    assert Pipeline(range(4), start_method=method).task(nested, 2).wait_for_result() == [0, 0, 2, 6]


def test_f36_a_pool_and_a_pipeline_in_a_pool(tmp_path):
    """A multiprocessing pool in a task; a pipeline in a pool's (daemonic) worker and in another process's."""
    code = """
import multiprocessing, os
from olympipe_ng import Pipeline
fork = multiprocessing.get_context("fork")
def double(x):
    return 2 * x
def pooled(x):
    with fork.Pool(2) as pool:
        return pool.map(double, range(x))
def piped(x):
    return Pipeline(range(x), start_method="fork").task(double, 2).wait_for_result()
if __name__ == "__main__":
    print(Pipeline([3, 4], start_method="fork").task(pooled).wait_for_result())
    with fork.Pool(2) as pool:
        print(pool.map(piped, [3, 4]))
    process = fork.Process(target=piped, args=(3,), daemon=True)
    process.start()
    process.join()
    print(process.exitcode)
"""
    with Script(tmp_path, code) as script:
        status, output, errors = script.end()
        assert not script.left()
    assert status == 0, errors
    assert output.split("\n")[:3] == ["[[0, 2, 4], [0, 2, 4, 6]]", "[[0, 2, 4], [0, 2, 4, 6]]", "0"]


def test_f36_grandchildren_die_with_the_caller(tmp_path):
    """SIGKILL of the caller ends the nested pipelines of its workers."""
    code = """
import itertools, os, time
from olympipe_ng import Pipeline
def nested(x):
    for item in Pipeline(itertools.count(), start_method="fork").task(lambda y: time.sleep(0.01) or y):
        if item == 3:
            print("ready", flush=True)
for _ in Pipeline([1], start_method="fork").task(nested):
    pass
"""
    with Script(tmp_path, code) as script:
        script.line("ready")
        script.process.kill()
        script.process.wait()
        assert not script.left()


def test_blas_threads_are_capped(monkeypatch):
    """Workers times threads do not exceed the cores; a number that was asked for is kept."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def threads(x):
        np.ones((2, 2)) @ np.ones((2, 2))
        return max([each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"], default=1)

    for method in METHODS:
        assert set(Pipeline(range(4), start_method=method).task(threads, 8).wait_for_result()) == {1}
        assert set(Pipeline(range(2), start_method=method, blas_threads=2).task(threads).wait_for_result()) == {2}


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for its threads")
def test_capping_blas_threads_starts_none(monkeypatch):
    """OpenBLAS begins its threads when it is told a number, and each looks for work for 0.1 s: no worker tells it."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    np.ones((300, 300)) @ np.ones((300, 300))
    assert Pipeline(range(1), start_method="fork").task(lambda x: len(os.listdir("/proc/self/task"))).wait_for_result() == [1]


def test_a_forked_worker_imports_nothing_before_its_items():
    """Neither of ours nor of the user's: ``numpy.random``, which NumPy imports when it is first used, would take each worker 18 ms."""
    code = """
import sys, numpy
from olympipe_ng import Pipeline
before = set(sys.modules)
pipeline = Pipeline(range(1), start_method="fork").task(lambda x: set(sys.modules) - before)
pipeline.wait_for_result()
before = set(sys.modules)
(found,) = pipeline.wait_for_result()
sys.exit(str(found) if found else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_process_that_forks_the_workers_is_replaced_too():
    """SIGKILL of the template: later workers are forked by another."""
    with Pipeline(range(200), start_method="forkserver").task(lambda x: time.sleep(0.01) or x, 2).start() as run:
        supervisor = psutil.Process(run._core.engine._pid)
        children = wait_until(lambda: len(found := supervisor.children()) >= 3 and found)
        for child in children:
            child.kill()
        assert list(run) == list(range(200))


IGNORED = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from olympipe_ng import Pipeline
def work(x):
    if x == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return x
results = Pipeline(range(20), start_method=sys.argv[1], progress=False).task(work, 2, on_error="collect").wait_for_result()
assert results == [x for x in range(20) if x != 5]
assert "SIGKILL" in results.errors[0], results.errors
"""


@pytest.mark.parametrize("method", METHODS)
def test_f37_a_caller_that_ignores_the_end_of_its_children(tmp_path, method):
    """Under an ignored SIGCHLD nobody could be waited for: our processes have theirs back, and know how each worker ended."""
    with Script(tmp_path, IGNORED, method) as script:
        status, _, errors = script.end()
        assert not script.left()
    assert status == 0, errors
