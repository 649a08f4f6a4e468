"""From wherever a pipeline is run, without a main guard: a script, ``python -c``, standard input, a notebook, a thread, another process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from unittest import mock

import pytest

from olympipe_ng import Pipeline, StageError
from tests.engines.kinds import METHODS, everywhere, in_processes

SCRIPT = Path(__file__).with_name("main_script.py")
ROOT = Path(__file__).parents[2]
TIMEOUT = 120


def run(command, method="auto", stdin=None, folder=ROOT, **variables):
    """Run a command to its end; return what it printed, fail with what it complained of."""
    environment = {**os.environ, "METHOD": method, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run(command, input=stdin, env=environment, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def says_all_well_once(printed):
    assert printed.count("begins") == 1, "__main__ was run again in a worker"
    assert printed.endswith("all well\n")
    return True


@pytest.mark.parametrize("method", ["auto", *METHODS, "thread"])
def test_a_script_without_a_main_guard(method):
    """Functions, classes and exceptions of ``__main__`` work in every place, and the script is never run again."""
    assert says_all_well_once(run([sys.executable, SCRIPT, "argument"], method))


@pytest.mark.parametrize("method", METHODS)
def test_a_script_on_standard_input(method):
    """``python < script``."""
    assert says_all_well_once(run([sys.executable, "-"], method, stdin=SCRIPT.read_text()))


@pytest.mark.parametrize("method", METHODS)
def test_a_script_given_with_c(method):
    """``python -c script``."""
    assert says_all_well_once(run([sys.executable, "-c", SCRIPT.read_text()], method))


@pytest.mark.parametrize("method", METHODS)
def test_a_module_given_with_m(method, tmp_path):
    """``python -m module``."""
    (tmp_path / "as_module.py").write_text(SCRIPT.read_text())
    assert says_all_well_once(run([sys.executable, "-m", "as_module"], method, folder=tmp_path))


@pytest.mark.parametrize("method", METHODS)
def test_a_module_that_workers_cannot_import(method, tmp_path):
    """What stands in a module that was loaded from a string, or from a path that is gone, goes by value."""
    script = """
        import os, sys, types
        from olympipe_ng import Pipeline

        made = types.ModuleType("made")
        sys.modules["made"] = made
        exec(compile('''
        class Thing:
            def __init__(self, n): self.n = n
            def __eq__(self, other): return type(other) is Thing and self.n == other.n
        def make(n): return Thing(helper(n))
        def helper(n): return n + 1
        '''.replace("\\n        ", "\\n"), "made.py", "exec"), vars(made))
        came = Pipeline([1, 2], start_method=os.environ["METHOD"]).task(made.make, count=2).task(lambda x: x).wait_for_result()
        assert came == [made.Thing(2), made.Thing(3)], came
        print("all well")
    """
    assert run([sys.executable, "-c", textwrap.dedent(script)], method) == "all well\n"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", [*METHODS, "thread"])
def test_a_module_that_runs_a_pipeline_while_it_is_imported(method, threads, tmp_path):
    """It is imported once: neither do workers import it, and run its pipeline again, nor does a thread wait for its import's end."""
    module = """
        import os
        from olympipe_ng import Pipeline

        print("imported")

        class Thing:
            def __init__(self, n): self.n = n

        def grow(thing): return Thing(thing.n + 1)

        method = os.environ["METHOD"]
        options = {"engine": "thread"} if method == "thread" else {"start_method": method}
        came = Pipeline([Thing(1), Thing(2)], **options).task(grow, threads=int(os.environ["THREADS"])).wait_for_result()
        assert [type(each) is Thing and each.n for each in came] == [2, 3]
    """
    (tmp_path / "within").mkdir()
    (tmp_path / "within" / "__init__.py").write_text("from . import module")
    (tmp_path / "within" / "module.py").write_text(textwrap.dedent(module))
    assert run([sys.executable, "-c", "import within"], method, folder=tmp_path, THREADS=str(threads)) == "imported\n"


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_workers_that_import_a_module_which_runs_a_pipeline_do_so_ten_deep_and_not_without_end(method, tmp_path):
    """The innermost says what is wrong, and that comes up through all of them."""
    module = """
        import os
        from olympipe_ng import Pipeline

        def look(item):
            import without_guard
            return item

        Pipeline([1], start_method=os.environ["METHOD"]).task(look).wait_for_result()
    """
    (tmp_path / "without_guard.py").write_text(textwrap.dedent(module))
    script = """
        try:
            import without_guard
        except RuntimeError as error:
            print(str(error).count("stage 1 'look'"), "begin it under `if __name__" in str(error))
    """
    assert run([sys.executable, "-c", textwrap.dedent(script)], method, folder=tmp_path) == "10 True\n"


def run_myself(item):
    return Pipeline([item], start_method="fork").task(run_myself).wait_for_result()


def test_a_task_that_runs_its_own_pipeline_fails():
    """A run may begin in a worker of another, but not without end."""
    with pytest.raises(StageError, match="does a task run the pipeline that it belongs to"):
        run_myself(1)


@pytest.mark.parametrize("method", METHODS)
def test_in_a_worker_of_multiprocessing(method):
    """A daemonic ``multiprocessing`` worker may run a pipeline, under any start method."""
    script = """
        import multiprocessing, os
        from olympipe_ng import Pipeline

        def count(start):
            return Pipeline(range(start, start + 3), start_method=os.environ["METHOD"]).task(lambda x: x * 2, count=2).wait_for_result()

        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(count, [0, 5]) == [[0, 2, 4], [10, 12, 14]]
        print("all well")
    """
    assert run([sys.executable, "-c", textwrap.dedent(script)], method) == "all well\n"


def test_in_a_worker_of_a_data_loader():
    """A PyTorch ``DataLoader`` whose data set runs a pipeline, in two workers."""
    pytest.importorskip("torch")
    script = """
        import os
        from torch.utils.data import DataLoader, Dataset
        from olympipe_ng import Pipeline

        class Sums(Dataset):
            def __len__(self):
                return 6
            def __getitem__(self, number):
                return sum(Pipeline(range(number), start_method=os.environ["METHOD"]).task(lambda x: x + 1, count=2).wait_for_result())

        print([int(batch) for batch in DataLoader(Sums(), num_workers=2)])
    """
    assert run([sys.executable, "-c", textwrap.dedent(script)], "fork") == "[0, 1, 3, 6, 10, 15]\n"


@in_processes
def test_in_a_worker_of_a_pipeline(where):
    """A task may run a pipeline of its own."""
    def nested(x):
        return sum(Pipeline(range(x), start_method=where["start_method"]).task(lambda y: y + 1).wait_for_result())

    assert Pipeline([2, 3], **where).task(nested).wait_for_result() == [3, 6]


@in_processes
def test_from_threads(where):
    """Several threads run pipelines at once, each its own."""
    results = {}

    def work(k):
        results[k] = Pipeline(range(k, k + 20), **where).task(lambda x: -x).wait_for_result()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: [-x for x in range(k, k + 20)] for k in range(3)}


def test_auto_does_not_fork_beside_another_thread():
    """With another Python thread ``auto`` starts clean, since a forked child might find a lock held for ever."""
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    lock = threading.Lock()
    thread.start()
    try:
        with lock:
            assert Pipeline([1], start_method="auto").task(_take_module_lock).wait_for_result() == ["free"]
    finally:
        leave.set()
        thread.join()


LOCK = threading.Lock()


def _take_module_lock(x):
    return "free" if LOCK.acquire(timeout=5) else "held"


CELLS = [
    """
    import os
    from olympipe_ng import Pipeline, StageError

    class Record:
        def __init__(self, n):
            self.n = n

    class Complaint(Exception):
        pass

    def double(record):
        if record.n < 0:
            raise Complaint("negative")
        return Record(record.n * 2)
    """,
    """
    for method in ("auto", "fork", "forkserver", "spawn"):
        came = Pipeline([Record(1), Record(2)], start_method=method).task(double, count=2).wait_for_result()
        assert [each.n for each in came] == [2, 4] and all(type(each) is Record for each in came), method
        try:
            Pipeline([Record(-1)], start_method=method).task(double).wait_for_result()
        except StageError as error:
            assert type(error.__cause__) is Complaint
        else:
            raise AssertionError("no error came")
    """,
    """
    def double(record):  # defined anew: takes effect in the next run
        return Record(record.n * 200)

    for method in ("fork", "spawn"):
        assert Pipeline([Record(1)], start_method=method).task(double).wait_for_result()[0].n == 200
    """,
    """
    async def triple(x):
        return x * 3

    came = []
    async for item in Pipeline([1, 2]).task(triple):
        came.append(item)
    assert came == [3, 6] == Pipeline([1, 2], engine="inline").task(triple).wait_for_result()
    """,
]


@pytest.mark.timeout(180)
def test_in_a_notebook(tmp_path, monkeypatch):
    """Classes and functions of cells work under every start method, and defining one anew takes effect."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in CELLS])
    asyncio.run(nbclient.NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3").async_execute())
    assert all(cell.execution_count for cell in notebook.cells)


def kill_at_world(word):
    if word == "world":
        os.kill(os.getpid(), signal.SIGKILL)
    return word


@everywhere
def test_in_a_test_of_the_program_that_puts_another_open_in_the_place_of_pythons(where, monkeypatch):
    """What is opened there is for the program alone, which counts it; what we read of the system we read all the same."""
    opened = mock.mock_open(read_data="hello world")
    monkeypatch.setattr("builtins.open", opened)

    def read():
        with open("words") as file:
            return file.read().split()

    words = Pipeline(read, **where, on_error="skip", progress=False)
    deadly = where["engine"] == "process"
    assert words.task(kill_at_world if deadly else str, count="auto").wait_for_result() == ["hello", "world"][: 2 - deadly]
    opened.assert_called_once_with("words")
