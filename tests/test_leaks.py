"""The fixture that watches all other tests: it sees every kind of thing that can be left behind, and says which."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from tests import leaks
from tests.leaks import SHARED, left_behind, look


def test_nothing_is_left_behind_by_nothing():
    """Looking itself leaves nothing."""
    assert left_behind(look()) == []


def test_looking_is_cheap():
    """A look costs well under 3 ms, since every test pays for two."""
    began = time.perf_counter()
    for _ in range(10):
        look()
    assert (time.perf_counter() - began) / 10 < 0.003


def test_a_thread_is_named():
    """A thread that does not end is left behind; one that is ending is waited for."""
    before, leave = look(), threading.Event()
    thread = threading.Thread(target=leave.wait, name="left over")
    thread.start()
    try:
        assert "thread 'left over' is alive" in left_behind(before, patience=0.01)
    finally:
        leave.set()
    assert left_behind(before) == []


def test_a_child_process_is_named_and_so_is_one_that_nobody_reaped():
    """A child counts while it runs and until it is reaped."""
    before = look()
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    running = left_behind(before, patience=0.01)[0]
    assert f"child process {process.pid}" in running
    process.stdin.close()
    assert left_behind(before) == [f"child process {process.pid} has ended and was not reaped (a zombie)"]
    process.wait()
    assert left_behind(before) == []


def test_a_descriptor_is_named_with_what_it_is_open_on():
    """A descriptor is named with its target."""
    before = look()
    with open(__file__) as file:
        assert left_behind(before) == [f"descriptor {file.fileno()} is open: {__file__}"]


@pytest.mark.parametrize("where", ["temporary", "shared memory"])
def test_a_file_is_named(where, monkeypatch, tmp_path):
    """A temporary file, and an entry of shared memory that nobody holds, are named by their path."""
    monkeypatch.setattr(leaks, "SHARED", tmp_path)  # in the machine's, others who look for what they have left would find it
    before = look()
    handle, path = tempfile.mkstemp(dir=tmp_path if where == "shared memory" else None)
    os.close(handle)
    assert left_behind(before) == [f"file {path} exists"]
    os.unlink(path)


HOLD = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 4096)
held = mmap.mmap(fd, 4096)
os.close(fd)
if sys.argv[2] == "orphan" and os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not SHARED.is_dir(), reason="there is no shared memory with names here")
@pytest.mark.parametrize("whose", ["child", "orphan"])
def test_shared_memory_of_another_program_is_not_ours(whose):
    """What only an unrelated process of another session holds is nobody's leak; what a child of ours holds is."""
    before, path = look(), SHARED / f"held-{os.getpid()}"
    command = [sys.executable, "-c", HOLD, str(path), whose]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            holder = int(process.stdout.readline())
            if whose == "orphan":
                process.wait()
            named = [each for each in left_behind(before, patience=0.01) if str(path) in each and not each.startswith("child")]
            assert named == ([f"file {path} exists"] if whose == "child" else [])
        finally:
            path.unlink()
            process.stdin.close()
    wait_for(holder)


@pytest.mark.skipif(not SHARED.is_dir(), reason="there is no shared memory with names here")
def test_what_joblib_leaves_beside_us_is_not_ours():
    """The engine never uses it: a benchmark in another window does, and holds nothing open."""
    before, folder = look(), SHARED / f"joblib_memmapping_folder_{os.getpid()}_test"
    folder.mkdir()
    try:
        assert left_behind(before) == []
    finally:
        folder.rmdir()


def wait_for(pid):
    """Wait for the end of a process that is not ours to reap."""
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        select.select([fd], [], [], 10)
        os.close(fd)
