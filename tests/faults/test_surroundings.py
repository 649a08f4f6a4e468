"""F33 to F44: start methods, nesting, output, limits, scale (F37 with signals: see ``test_signals``, F44: see ``test_ends``)."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from olympipe_ng import GraphError, Pipeline, StageTimeout
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


@pytest.mark.parametrize("method", ALL)
def test_f38_printed_lines_arrive_whole(tmp_path, method):
    """10 000 lines of two workers, in each worker's order, none torn."""
    code = """
import os, sys
from olympipe_ng import Pipeline
def say(x):
    for k in range(100):
        print("worker", os.getpid(), "line", x * 100 + k, "x" * (k % 50), "end")
Pipeline(range(100), start_method=sys.argv[1]).task(say, 2).wait_for_completion()
"""
    with Script(tmp_path, code, method) as script:
        status, output, errors = script.end()
        assert not script.left()
    assert status == 0, errors
    lines = output.splitlines()
    assert len(lines) == 10_000
    assert all(line.startswith("worker ") and line.endswith(" end") for line in lines)
    for pid in {line.split()[1] for line in lines}:
        mine = [int(line.split()[3]) for line in lines if line.split()[1] == pid]
        assert all(mine[at : at + 100] == list(range(mine[at], mine[at] + 100)) for at in range(0, len(mine), 100))


@pytest.mark.parametrize("method", ALL)
def test_f38_records_reach_the_callers_handlers(method, caplog):
    """Under every start method, with text, level, process and traceback."""

    def work(x):
        try:
            1 // x
        except ZeroDivisionError:
            logging.getLogger("mine.deep").exception("failed for %s", x)
        return x

    with caplog.at_level(logging.INFO):
        Pipeline(range(2), start_method=method).task(work).wait_for_completion()
    (record,) = [record for record in caplog.records if record.name == "mine.deep"]
    assert record.getMessage() == "failed for 0"
    assert record.process != os.getpid()
    assert "ZeroDivisionError" in record.exc_text


def test_f38_prints_reach_a_redirected_stream():
    """redirect_stdout, capsys and notebooks see what workers print."""
    target = io.StringIO()
    with contextlib.redirect_stdout(target):
        Pipeline(range(3), start_method="fork").task(print).wait_for_completion()
    assert target.getvalue() == "0\n1\n2\n"


async def print_a_piece_async(x):
    print(x, end="")


def reconfigure(x):
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    print("é", x)


def test_f38_a_worker_may_reconfigure_its_streams():
    """As modules do that want UTF-8, or lines at once."""
    target = io.StringIO()
    with contextlib.redirect_stdout(target):
        Pipeline(range(2), start_method="fork").task(reconfigure).wait_for_completion()
    assert target.getvalue() == "é 0\né 1\n"


class Bare:
    """All that ``print`` asks of a stream."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def replace_the_stream(x):
    sys.stdout = Bare()
    return x


@pytest.mark.parametrize("method", METHODS)
def test_f38_a_worker_ends_as_a_worker_whatever_its_task_made_of_the_streams(tmp_path, method):
    """It never goes on as a copy of the caller's program, though what stands for ``sys.stdout`` cannot be flushed."""
    here, caller = tmp_path / "who is here", os.getpid()
    try:
        Pipeline(range(4), start_method=method).task(replace_the_stream).wait_for_completion()
    finally:
        with here.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if os.getpid() != caller:
            os._exit(1)
    assert here.read_text() == f"{caller}\n"


@pytest.mark.parametrize("method", METHODS)
def test_f38_a_program_may_print_to_an_object_that_cannot_be_flushed(monkeypatch, caplog, method):
    """As one that writes to two streams; the lines of workers are among the others, and none is said to be lost."""
    stream = Bare()
    monkeypatch.setattr(sys, "stdout", stream)
    Pipeline(range(2), start_method=method).task(print).wait_for_completion()
    assert stream.text == "0\n1\n"
    assert not caplog.messages


def print_a_piece(x):
    print(x, end="")


@pytest.mark.parametrize(
    ("function", "options"),
    [(print_a_piece, {}), (print_a_piece, {"threads": 2}), (print_a_piece_async, {})],
    ids=["one lane", "threads", "async"],
)
def test_f38_what_never_became_a_line_is_printed_in_the_end(function, options):
    """Whichever of the worker's threads printed it."""
    target = io.StringIO()
    with contextlib.redirect_stdout(target):
        Pipeline(range(5), start_method="fork").task(function, **options).wait_for_completion()
    assert sorted(target.getvalue()) == list("01234")


def test_f38_a_slow_handler_never_holds_up_data(caplog):
    """A handler that blocks loses records, which are counted; the items go on."""
    release = threading.Event()

    class Blocked(logging.Handler):
        def emit(self, record):
            release.wait(30)

    handler = Blocked()
    noisy = logging.getLogger("noisy")
    noisy.propagate = False
    noisy.addHandler(handler)

    def work(x):
        for k in range(200):
            logging.getLogger("noisy").warning("%d %d %s", x, k, "x" * 100)
        return x

    try:
        assert list(Pipeline(range(100), start_method="fork").task(work, 2)) == list(range(100))
    finally:
        release.set()
        wait_until(lambda: "olympipe_ng log" not in [thread.name for thread in threading.enumerate()])
        noisy.removeHandler(handler)
        noisy.propagate = True
    assert "dropped" in caplog.text


def test_f39_a_full_dev_shm_is_not_needed(tmp_path):
    """With 1 MB of /dev/shm items of 3 MB pass (large buffers lie in memory without a name)."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root and unshare to mount a small /dev/shm")
    code = """
from olympipe_ng import Pipeline
print([len(item) for item in Pipeline(range(4), start_method="fork").task(lambda x: bytes(3_000_000)).task(lambda b: b)])
"""
    (tmp_path / "small.py").write_text(code)
    mount = f"mount -t tmpfs -o size=1m none /dev/shm && exec {sys.executable} {tmp_path / 'small.py'}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", mount], text=True, capture_output=True, timeout=60, cwd=ROOT)
    if "permission denied" in done.stderr.lower() or "not permitted" in done.stderr.lower():
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[3000000, 3000000, 3000000, 3000000]"


@pytest.fixture
def few_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_descriptors")
def test_f40_too_few_descriptors_are_told_before_anything_starts():
    """How many are needed, how many there are; nothing is half started."""
    pipeline = Pipeline(range(3), start_method="fork")
    for _ in range(30):
        pipeline = pipeline.task(abs)
    with pytest.raises(GraphError, match=r"30 workers needs \d+ file descriptors, and the limit is 64"):
        pipeline.wait_for_result()
    assert Pipeline(range(3), start_method="fork").task(abs, 2).wait_for_result() == [0, 1, 2]


@pytest.mark.parametrize("method", METHODS)
def test_f40_as_many_descriptors_as_were_asked_for_are_enough(tmp_path, method):
    """Twenty stages of arrays run under the very limit that the error names."""
    code = """
import re, resource, sys
import numpy as np
from olympipe_ng import GraphError, Pipeline
pipeline = Pipeline(range(30), start_method=sys.argv[1], progress=False).task(lambda x: np.full(100_000, x))
for _ in range(19):
    pipeline = pipeline.task(lambda a: a + 1)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (70, hard))
try:
    pipeline.wait_for_result()
except GraphError as error:
    needed = int(re.search(r"needs (\\d+)", str(error)).group(1))
resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
assert [int(a[0]) for a in pipeline.wait_for_result()] == list(range(19, 49))
"""
    with Script(tmp_path, code, method) as script:
        status, _, errors = script.end()
        assert not script.left()
    assert status == 0, errors


@pytest.mark.slow
def test_f41_two_hundred_stages():
    """200 stages of a process each."""
    pipeline = Pipeline(range(20), start_method="fork")
    for _ in range(200):
        pipeline = pipeline.task(lambda x: x + 1)
    assert pipeline.wait_for_result() == list(range(200, 220))


def test_f41_a_thousand_stages_are_refused_clearly():
    """A graph built in a loop by mistake, and more workers than are supported, are a GraphError."""
    pipeline = Pipeline(range(20), start_method="fork")
    for _ in range(1100):
        pipeline = pipeline.task(abs)
    with pytest.raises(GraphError, match="1101 stages"):
        pipeline.wait_for_result()
    with pytest.raises(GraphError, match="workers"):
        Pipeline(range(20)).task(abs, 600).wait_for_result()


@pytest.mark.slow
def test_f41_sixty_four_workers():
    """One stage of 64 processes, in order."""
    results = Pipeline(range(2000), start_method="fork").task(lambda x: (x, os.getpid()), 64).wait_for_result()
    assert [x for x, _ in results] == list(range(2000))


def test_f42_a_slow_stage_leaves_the_others_waiting_not_spinning():
    """Upstream and supervisor use next to no processor time while one stage sleeps; the report names it."""
    with Pipeline(range(8), start_method="fork").task(abs).task(lambda x: time.sleep(0.25) or x, name="slow").start() as run:
        supervisor = psutil.Process(run._core.engine._pid)
        items = iter(run)
        next(items)
        before = supervisor.cpu_times()
        rest = list(items)
        after = supervisor.cpu_times() if supervisor.is_running() and supervisor.status() != "zombie" else before
        report = str(run.report())
    assert rest == list(range(1, 8))
    assert after.user + after.system - before.user - before.system < 0.5
    assert "slow" in report


@pytest.mark.parametrize("method", METHODS)
def test_f43_a_huge_closure_is_carried_once_and_named(method, caplog):
    """Above 10 MB the variable is named with the size (under fork it is not carried at all)."""
    big = np.ones(25_000_000)
    results = Pipeline(range(3), start_method=method).task(lambda x: x + big[x], 2).wait_for_result()
    assert results == [1.0, 2.0, 3.0]
    if method != "fork":
        assert "200 MB" in caplog.text
        assert "'big'" in caplog.text


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


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("closed", ["0", "1", "2", "012"])
def test_closed_standard_streams(tmp_path, method, closed):
    """A caller without standard streams runs all the same."""
    code = """
import os, sys
for fd in sys.argv[2]:
    os.close(int(fd))
from olympipe_ng import Pipeline
def work(x):
    print("out", x)
    return x
try:
    results = Pipeline(range(5), start_method=sys.argv[1]).task(work, 2).wait_for_result()
except BaseException as error:
    results = repr(error)
with open(sys.argv[3], "w") as file:
    file.write(repr(list(results)))
os._exit(0)
"""
    with Script(tmp_path, code, method, closed, str(tmp_path / "result")) as script:
        script.end()
        assert not script.left()
    assert (tmp_path / "result").read_text() == "[0, 1, 2, 3, 4]"


@pytest.mark.parametrize("engine", ["process", "thread"])
def test_a_stall_is_told_once_and_the_run_goes_on(engine, caplog):
    """Stage, worker, item in hand and what waits are named."""
    pipeline = Pipeline(range(4), engine=engine, start_method="fork", stall_timeout=0.3)
    results = pipeline.task(lambda x: time.sleep(1.2) or x if x == 2 else x, name="sluggish").wait_for_result()
    assert results == [0, 1, 2, 3]
    (text,) = [record.getMessage() for record in caplog.records if "nothing has moved" in record.getMessage()]
    assert "stage 1 'sluggish'" in text
    assert "item 2" in text
    assert "wait before it" in text


@pytest.mark.parametrize("engine", ["process", "thread"])
def test_a_consumers_pause_is_no_stall(engine, caplog):
    """Nobody is told of a consumer that takes its time."""
    with Pipeline(range(500), engine=engine, start_method="fork", stall_timeout=0.1, queue_size=2).task(abs).start() as run:
        items = iter(run)
        next(items)
        time.sleep(0.5)
        assert len(list(items)) == 499
    assert "nothing has moved" not in caplog.text


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


FULL = """
import os, sys
from olympipe_ng import Pipeline
def say(x):
    for k in range(100):
        print("x" * 100)
    return x
print("ready", flush=True)
results = Pipeline(range(100), start_method=sys.argv[1], progress=False).task(say, 2).wait_for_result()
with open(sys.argv[2], "w") as file:
    file.write(str(len(results)))
os._exit(0)
"""


@pytest.mark.parametrize("method", METHODS)
def test_f38_a_standard_output_that_nobody_reads_never_holds_up_data(tmp_path, method):
    """A megabyte is printed into a pipe that takes 64 KiB: the run ends all the same."""
    with Script(tmp_path, FULL, method, str(tmp_path / "result")) as script:
        script.line("ready")  # and nothing is read any more
        wait_until((tmp_path / "result").exists)


LONG = """
import os, sys
from olympipe_ng import Pipeline
def say(x):
    print("worker", os.getpid(), "x" * 20_000, "end")
Pipeline(range(200), start_method=sys.argv[1], progress=False).task(say, 4).wait_for_completion()
"""


@pytest.mark.parametrize("stream", ["pipe", "file"])
@pytest.mark.parametrize("method", METHODS)
def test_f38_long_lines_arrive_whole(tmp_path, method, stream):
    """Lines of 20 KB, which a pipe would tear, from four workers at once."""
    with open(tmp_path / "printed", "w") as file, Script(
        tmp_path, LONG, method, **({"stdout": file} if stream == "file" else {})
    ) as script:
        status, output, errors = script.end()
    assert status == 0, errors
    lines = (output if stream == "pipe" else (tmp_path / "printed").read_text()).splitlines()
    assert len(lines) == 200
    assert all(re.fullmatch(r"worker \d+ x{20000} end", line) for line in lines)


class Carried:
    """Counts how often it is pickled."""

    pickled = 0

    def __init__(self):
        self.data = list(range(10))
        self.ballast = bytes(12_000_000)

    def __getstate__(self):
        Carried.pickled += 1
        return {"data": self.data, "ballast": self.ballast}


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_f43_a_huge_closure_is_pickled_once(method, monkeypatch):
    """For three workers too."""
    monkeypatch.setattr(Carried, "pickled", 0)
    large = Carried()
    assert Pipeline(range(3), start_method=method).task(lambda x: x + large.data[x], 3).wait_for_result() == [0, 2, 4]
    assert Carried.pickled == 1
