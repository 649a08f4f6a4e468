"""Systems that lack what others have: no /proc, no pidfd, no list of children. What is missing is missing in every process of a script."""

from __future__ import annotations

import os
import signal

import pytest

from tests.faults.helpers import ROOT, Script

METHODS = ["auto", "fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]

NO_FILES = """
import builtins, errno, io, os
def without(call):
    def refused(path, *more, **options):
        if isinstance(path, str) and path.{which}:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return call(path, *more, **options)
    return refused
builtins.open, io.FileIO = without(open), without(io.FileIO)
"""
NO_PROC = NO_FILES.format(which='startswith("/proc")') + "os.listdir, os.stat = without(os.listdir), without(os.stat)\n"
NO_CHILDREN = NO_FILES.format(which='endswith("/children")')


class Elsewhere(Script):
    """A script on a system that ``missing`` makes of this one, in each interpreter that it starts."""

    def __init__(self, folder, missing, code, *arguments):
        bootstrap = folder / "bootstrap"
        bootstrap.mkdir()
        (bootstrap / "sitecustomize.py").write_text(missing)
        super().__init__(folder, code, *arguments, env={"PYTHONPATH": f"{bootstrap}:{ROOT}"})


def run(folder, missing, code, method):
    """Run such a script to its end, which leaves nothing; return its status, its output and its errors."""
    with Elsewhere(folder, missing, code, method) as script:
        ended = script.end()
        assert not script.left()
    return ended


ORDINARY = """
import os, sys
import numpy as np
from olympipe_ng import Pipeline
def work(x):
    if x == 5:
        os.kill(os.getpid(), 9)
    return x
source = Pipeline(range(20), start_method=sys.argv[1], progress=False, on_error="collect")
with source.task(work, 2, max_rss_per_worker=1 << 40).task(lambda x: np.full(1 << 16, x)).start() as run:
    results = list(run)
    run.statistics()
print([x for x in range(20) if x != 5] == [int(a[0]) for a in results], len(run.errors), run.errors[0])
"""


@pytest.mark.parametrize("method", METHODS)
def test_without_proc_everything_works(tmp_path, method):
    """Names of processes, threads of others, used memory: what cannot be told is not told."""
    status, output, errors = run(tmp_path, NO_PROC, ORDINARY, method)
    assert status == 0, errors
    assert output.startswith("True 1 "), output
    assert "SIGKILL" in output
    assert "Traceback" not in errors


LEAVERS = """
import subprocess, sys, os
from olympipe_ng import Pipeline
def work(x):
    subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if x == 2:
        os.kill(os.getpid(), 9)
    return x
print(Pipeline(range(4), start_method=sys.argv[1], progress=False).task(work, on_error="skip").wait_for_result())
"""


@pytest.mark.parametrize("method", METHODS)
def test_what_workers_leave_is_ended_where_the_kernel_keeps_no_list_of_children(tmp_path, method):
    """CONFIG_PROC_CHILDREN is an option of the kernel: without it who has whom for a parent is asked for each process."""
    status, output, errors = run(tmp_path, NO_CHILDREN, LEAVERS, method)
    assert (status, output) == (0, "[0, 1, 3]\n"), errors


NO_PRCTL = """
import sys
sys.modules["ctypes"] = sys.modules["_ctypes"] = None
"""


@pytest.mark.parametrize("method", METHODS)
def test_without_ctypes_and_so_without_prctl_everything_works(tmp_path, method):
    """Pythons are built without it, where libffi was not there; other systems have no such thing to be called."""
    status, output, errors = run(tmp_path, NO_PRCTL, ORDINARY, method)
    assert status == 0, errors
    assert output.startswith("True 1 "), output
    assert "SIGKILL" in output


BUSY = """
import os, sys, time
from olympipe_ng import Pipeline
def work(x):
    print("ready", os.getppid(), flush=True)
    time.sleep(100)
Pipeline(range(4), start_method=sys.argv[1], progress=False).task(work).wait_for_result()
"""


@pytest.mark.parametrize("method", METHODS)
def test_without_prctl_a_busy_worker_ends_with_its_supervisor(tmp_path, method):
    """No signal of the kernel tells it: it looks for itself."""
    with Elsewhere(tmp_path, NO_PRCTL, BUSY, method) as script:
        os.kill(int(script.line("ready")), signal.SIGKILL)
        script.end()
        assert not script.left()


NO_PIDFD = "import os; del os.pidfd_open"

HELD = """
import os, subprocess, sys
from olympipe_ng import Pipeline
def is_socket(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    except OSError:
        return False
def work(x):
    if x == 5:
        subprocess.Popen(["sleep", "60"], pass_fds=[fd for fd in range(3, 100) if is_socket(fd)])
        os.kill(os.getpid(), 9)
    return x
results = Pipeline(range(10), start_method=sys.argv[1], progress=False).task(work, on_error="collect").wait_for_result()
print(results, len(results.errors), "SIGKILL" in results.errors[0])
"""


@pytest.mark.parametrize("method", METHODS)
def test_without_pidfd_a_death_is_heard_of_though_the_workers_socket_lives_on(tmp_path, method):
    """What it started holds the socket, and no descriptor stands for the process: the supervisor hears of its children's ends."""
    status, output, errors = run(tmp_path, NO_PIDFD, HELD, method)
    assert (status, output) == (0, "[0, 1, 2, 3, 4, 6, 7, 8, 9] 1 True\n"), errors


NO_MEMFD = "import errno, os; os.memfd_create = lambda *more: os.close(-1)"

CRASH = """
import os, signal, sys
from olympipe_ng import Pipeline
def work(x):
    if x == 300:
        os.kill(os.getpid(), signal.SIGSEGV)
    return x
source = Pipeline(range(400), start_method=sys.argv[1], progress=False)
good, bad = source.task(work, redeliver=False, on_error="branch")
results, failures = Pipeline.wait_for_all_results([good, bad])
print(results == [x for x in range(400) if x != 300], [failure.item for failure in failures], "in work" in failures[0].traceback)
"""


@pytest.mark.parametrize("method", METHODS)
def test_without_memfd_it_is_known_which_item_a_worker_died_at_and_where_it_was(tmp_path, method):
    """The control page is a file without a name then: a crash tells its stack, and the items that had not begun are run."""
    status, output, errors = run(tmp_path, NO_MEMFD, CRASH, method)
    assert (status, output) == (0, "True [300] True\n"), errors


ONE_PROCESS = """
import errno, os, subprocess
fork, begin, forks = os.fork, subprocess.Popen.__init__, []
def refuse(whether):
    if whether:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
def one():
    forks.append(refuse(forks))
    return fork()
def none(self, command, *more, **options):
    refuse("import worker" in command[-1])
    begin(self, command, *more, **options)
os.fork, subprocess.Popen.__init__ = one, none
"""

MANY = """
import sys
from olympipe_ng import Pipeline, WorkerDied
try:
    Pipeline(range(20), start_method=sys.argv[1], progress=False).task(abs, 4).wait_for_result()
except WorkerDied as error:
    print(error)
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_on_processes_is_told_by_its_name(tmp_path, method):
    """As ulimit -u, or a container's pids.max: the system refuses what the stage needs, and no bug of ours is to be reported."""
    status, output, errors = run(tmp_path, ONE_PROCESS, MANY, method)
    assert (status, errors) == (0, "")
    assert output.startswith("stage 1 'abs'"), output
    assert "was never born: [Errno 11] " in output
    assert "ulimit -u" in output
