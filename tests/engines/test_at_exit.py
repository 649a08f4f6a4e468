"""A script that ends while it holds a run: the run ends as one that was stopped, in order."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from olympipe_ng import Pipeline

def numbers():
    try:
        yield from iter(int, 1)  # zeros without end
    finally:
        sys.stdout.write("source closed\\n")

class Model:
    def predict(self, x):
        return x + 1

    def close(self):
        sys.stdout.write("model closed\\n")

held = iter(Pipeline(numbers, engine={engine!r}{method}).class_task(Model, Model.predict, close_method=Model.close))
print(next(held), next(held))
{ending}
"""

WAYS = [("inline", ""), ("thread", ""), ("process", "fork"), ("process", "forkserver"), ("process", "spawn")]
ENDINGS = {"end of the script": "", "sys.exit": "sys.exit(0)", "an exception": "raise ValueError('mine')"}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize(("engine", "method"), WAYS)
def test_a_run_that_is_held_at_the_interpreters_end_closes_its_source_and_its_workers(engine, method, ending):
    """As a generator that is held then runs its ``finally``."""
    script = SCRIPT.format(engine=engine, method=method and f", start_method={method!r}", ending=ending)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    first, *others = done.stdout.splitlines()
    assert first == "1 1"
    assert sorted(others) == ["model closed", "source closed"]
    assert done.returncode == bool("ValueError" in ending)
    assert ("ValueError: mine" in done.stderr) == ("ValueError" in ending)
    assert "Exception ignored" not in done.stderr


def test_an_interpreter_that_ends_waits_for_no_source_that_is_stuck():
    """What hangs in the user's code is left behind, and named."""
    script = (
        "import threading\n"
        "from olympipe_ng import Pipeline\n"
        "def stuck():\n"
        "    yield 1\n"
        "    threading.Event().wait()\n"
        "held = iter(Pipeline(stuck).task(abs))\n"
        "print(next(held))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert done.stdout == "1\n"
    assert "stuck in the user's code" in done.stderr
    assert done.returncode == 0


def test_a_copy_of_the_process_that_ends_leaves_the_run_alone():
    """A forked child inherits the run as it inherits everything; only the caller ends it."""
    script = (
        "import os, sys\n"
        "from olympipe_ng import Pipeline\n"
        "held = iter(Pipeline(range(1000)).task(abs))\n"
        "first = next(held)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    sys.exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "print(first + sum(held))\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == (f"{sum(range(1000))}\n", 0), done.stderr


@pytest.mark.parametrize(("engine", "method"), WAYS)
def test_what_the_script_holds_beside_the_run_is_finalized_while_there_are_modules(engine, method):
    """A ``__del__`` that needs one, as to remove a file, finds it."""
    script = (
        "import os\n"
        "from olympipe_ng import Pipeline\n"
        "class Folder:\n"
        "    def __del__(self):\n"
        "        os.write(1, b'removed\\n')\n"
        "folder = Folder()\n"
        f"run = Pipeline(range(3), engine={engine!r}{method and f', start_method={method!r}'}).task(abs).start()\n"
        "print(list(run), flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[0, 1, 2]\nremoved\n", "")


LOOPS = """
import asyncio, os, sys, threading
from olympipe_ng import Pipeline

came = threading.Event()

async def numbers():
    try:
        yield 1
        await asyncio.sleep({pause})
        yield 2
    finally:
        sys.stdout.write("source closed\\n")

async def read():
    if {late}:
        threading.main_thread().join()
    async for item in Pipeline(numbers, engine={engine!r}{method}).task(abs):
        sys.stdout.write(f"{{item}}\\n")
        came.set()

threading.Thread(target=lambda: asyncio.run(read()), daemon={daemon}).start()
{late} or came.wait()
"""


def run_loops(engine, method, **how):
    script = LOOPS.format(engine=engine, method=method and f", start_method={method!r}", **how)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize(("engine", "method"), WAYS[1:])
def test_an_interpreter_that_ends_does_not_wait_for_what_an_event_loop_in_a_daemon_thread_awaits(engine, method):
    """The run is stopped, as one that such a thread iterates without a loop."""
    done = run_loops(engine, method, pause=1000, late=False, daemon=True)
    assert done.stdout.splitlines()[0] == "1"
    assert done.returncode == 0


DAEMON = """
import asyncio, atexit, itertools, sys, threading
came, through = threading.Event(), threading.Event()
atexit.register(lambda: through.wait(0.3))  # before ours, so called after it: the thread would have been through in no time
from olympipe_ng import Pipeline

def numbers():
    for number in itertools.count():
        if number > 2:
            came.set()
        yield number

endless = Pipeline(numbers, engine={engine!r}{method}).task(abs)

async def iterate():
    async for item in endless:
        pass

def work():
    {work}
    sys.stdout.write("that was all\\n")
    through.set()

threading.Thread(target=work, daemon=True).start()
came.wait()
"""
WORK = {
    "for": "for item in endless: pass",
    "wait_for_result": "endless.wait_for_result()",
    "async for": "asyncio.run(iterate())",
    "wait": "endless.start().wait()",
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
@pytest.mark.parametrize(("engine", "method"), WAYS[:3])
def test_a_daemon_thread_whose_run_the_interpreters_end_cuts_short_does_not_go_on_as_if_it_were_complete(engine, method, work):
    """It stands still as all daemons then do: what it had was not all."""
    script = DAEMON.format(engine=engine, method=method and f", start_method={method!r}", work=work)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="the first releases of 3.12 begin no thread when the main one has ended")
@pytest.mark.parametrize(("engine", "method"), WAYS)
def test_an_event_loop_whose_thread_outlives_the_main_one_iterates_runs(engine, method):
    """As the interpreter goes on until such a thread has ended, so do its runs."""
    done = run_loops(engine, method, pause=0, late=True, daemon=False)
    assert (sorted(done.stdout.splitlines()), done.returncode) == (["1", "2", "source closed"], 0), done.stderr
