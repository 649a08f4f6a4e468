"""The ends: whatever ends a run, within 2 seconds nothing of it is left."""

from __future__ import annotations

import signal

import pytest

from olympipe_ng import Pipeline
from tests.faults.helpers import WORK, Script, gone_within
from tests.leaks import left_behind, look

METHODS = ["fork", "forkserver"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("end", ["interrupt", "stop", "limit", "error", "exit"])
def test_f23_a_source_that_blocks_for_ever_holds_nothing_up(tmp_path, method, end):
    """limit completes on its n-th item; an interrupt, stop, an error and sys.exit do not wait for the source."""
    source = "def blocked():\n    yield 1\n    threading.Event().wait()\n"
    ends = {
        "interrupt": "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\nlist(run)",
        "stop": "next(iter(run))\nrun.stop()",
        "limit": "assert list(run) == [1]",
        "error": "list(run)",
        "exit": "next(iter(run))\nsys.exit(3)",
    }
    stage = {"limit": "limit(1)", "error": "task(lambda x: 1 // 0)"}.get(end, "task(abs)")
    code = WORK + source + f"with Pipeline(blocked, start_method=method).{stage}.start() as run:\n    "
    code += ends[end].replace("\n", "\n    ") + "\n"
    with Script(tmp_path, code, method) as script:
        status, _, errors = script.end(10.0)
        assert not script.left()
    wanted = {"interrupt": (-signal.SIGINT, 130), "error": (1,), "exit": (3,)}.get(end, (0,))
    assert status in wanted, errors


def test_f27_leaving_the_loop_ends_everything(tmp_path):
    """break: all workers ended, the source's finally has run, before the next line of the caller."""
    code = WORK + """
for item in pipeline:
    if item == 10:
        break
print("after", flush=True)
import gc
gc.collect()
import psutil
print("children", len(psutil.Process().children(recursive=True)), flush=True)
"""
    with Script(tmp_path, code, "fork") as script:
        status, output, _ = script.end()
        assert not script.left()
    assert status == 0
    assert output.index("source closed") < output.index("after")
    assert "children 0" in output


@pytest.mark.parametrize("method", METHODS)
def test_f44_a_run_that_nobody_holds_is_ended(tmp_path, method):
    """Dropped and collected: everything ends, without waiting for the interpreter's end."""
    code = WORK + """
import gc
run = pipeline.start()
say_when_running(run)
del run
gc.collect()
print("dropped\\n", end="", flush=True)
sys.stdin.read()
"""
    with Script(tmp_path, code, method, stdin=-1) as script:
        pids = [int(word) for word in script.line("ready").split()]
        script.line("dropped")
        assert not gone_within([*pids, *script.alive()], 2.0)
        assert script.process.poll() is None
        assert script.process.stdin is not None
        script.process.stdin.close()
        script.process.stdin = None
        script.end()
        assert not script.left()


@pytest.mark.parametrize("method", METHODS)
def test_f44_a_dropped_run_is_reaped(method):
    """Of a run that nobody holds not even a zombie stays."""
    before = look()
    Pipeline(range(1000), start_method=method).task(abs).start()
    assert not left_behind(before)


def test_f44_a_run_that_is_alive_at_the_end_of_the_interpreter(tmp_path):
    """Nothing is left, and nothing is printed."""
    with Script(tmp_path, WORK + "run = pipeline.start()\nsay_when_running(run)\n", "fork") as script:
        status, _, errors = script.end()
        assert not script.left()
    assert status == 0
    assert errors == ""


@pytest.mark.parametrize("method", METHODS)
def test_close_method_is_called_where_the_worker_lives(tmp_path, method):
    """Stopping gives close_method its time."""
    code = WORK + """
class Model:
    def work(self, x):
        return x
    def close(self):
        time.sleep(0.3)
        print("closed", os.getpid(), flush=True)

with Pipeline(endless, start_method=method).class_task(Model, Model.work, None, Model.close, count=2).start() as run:
    say_when_running(run)
    next(iter(run))
"""
    with Script(tmp_path, code, method) as script:
        pids = set(script.line("ready").split())
        status, output, errors = script.end()
        assert not script.left()
    assert status == 0, errors
    assert {line.split()[1] for line in output.splitlines() if line.startswith("closed")} == pids


def test_sys_exit_in_the_callers_loop_keeps_its_status(tmp_path):
    """sys.exit(7) in the loop body ends the run and the program, with status 7."""
    with Script(tmp_path, WORK + "for item in pipeline:\n    sys.exit(7)\n", "fork") as script:
        status, _, errors = script.end()
        assert not script.left()
    assert status == 7
    assert errors == ""
