"""Where there is no fork, as on Windows: what needs none works, what does says so. The names that Windows lacks are taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

BOOTSTRAP = """
import mmap, os, select, signal, socket, sys
import asyncio, concurrent.futures, ctypes, logging, multiprocessing, psutil, random, sqlite3, subprocess, tempfile  # they ask for a system
LACKING = {
    os: "fork register_at_fork pidfd_open memfd_create posix_fallocate sched_getaffinity wait4 WNOHANG WIFSIGNALED WTERMSIG WEXITSTATUS "
    "sysconf sysconf_names uname pread pwrite fchdir killpg setsid getuid set_blocking",
    signal: "pthread_sigmask SIGKILL SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE SIGALRM setitimer SIG_BLOCK SIG_SETMASK SIG_UNBLOCK",
    socket: "MSG_DONTWAIT MSG_NOSIGNAL MSG_CMSG_CLOEXEC SCM_RIGHTS CMSG_SPACE send_fds recv_fds",
    select: "poll epoll",
    mmap: "MADV_REMOVE MAP_SHARED MAP_PRIVATE PROT_READ PROT_WRITE",
}
for module, names in LACKING.items():
    for name in names.split():
        vars(module).pop(name, None)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
sys.platform = "win32"
"""


def on_windows(tmp_path, code):
    """Run a program there; return what it printed."""
    (tmp_path / "sitecustomize.py").write_text(BOOTSTRAP)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_other_engines_need_no_fork(tmp_path):
    """Import, graphs, order, branches, timeouts and coroutines."""
    code = """
import asyncio
from olympipe_ng import Pipeline
async def later(x):
    await asyncio.sleep(0)
    return x + 1
for engine in ("inline", "thread"):
    numbers = Pipeline(range(8), engine=engine).task(later, concurrency=4).task(lambda x: 2 * x, 2)
    odd, even = numbers.split(lambda x: (None, x) if x % 4 else (x, None), 2)
    print(odd.rejoin(even, missing=0).batch(4).wait_for_result(), numbers.explain() != "")
"""
    expected = "[[(0, 2), (4, 0), (0, 6), (8, 0)], [(0, 10), (12, 0), (0, 14), (16, 0)]] True\n"
    assert on_windows(tmp_path, code) == 2 * expected


def test_processes_are_refused_with_what_is_lacking_and_what_to_use(tmp_path):
    """By a GraphError when the pipeline is run, not by the name of a module or a signal."""
    code = """
from olympipe_ng import GraphError, Pipeline
try:
    Pipeline(range(3)).task(str).wait_for_result()
except GraphError as error:
    print(error)
"""
    said = on_windows(tmp_path, code)
    assert 'engine="process" needs os.fork' in said
    assert 'engine="thread"' in said


def test_what_is_spilled_comes_back_where_there_is_no_pread(tmp_path):
    """As when an arm of ``zip`` is far ahead under engine thread."""
    code = """
from olympipe_ng import Pipeline
arm = Pipeline(range(40), engine="thread", queue_bytes=1 << 16).task(lambda x: bytes([x]) * 20_000)
print([(len(a), a[0], b[0]) for a, b in arm.zip(arm.filter(lambda data: data[0] >= 37)).wait_for_result()])
"""
    assert on_windows(tmp_path, code) == "[(20000, 0, 37), (20000, 1, 38), (20000, 2, 39)]\n"
