"""What the fault tests share: waiting for something, tasks that fail for one item, scripts in processes whose leavings can be found.

    script = Script(tmp_path, code).start()     every process that it leaves carries its mark in the environment
    script.line("ready")                        waits for a line of its output
    script.left()                               what is still alive, in /dev/shm, or in the script's temporary folder
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["LOOP", "ROOT", "WORK", "Script", "double_unless", "doubled_without", "gone_within", "numbers", "wait_until", "worker_pids"]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0  # seconds for anything that is sure to come; more than a loaded machine needs

WORK = """
import os, signal, sys, time, threading, faulthandler
from olympipe_ng import Pipeline
method = sys.argv[1]

def endless():
    k = 0
    try:
        while True:
            yield k
            k += 1
    finally:
        print("source closed\\n", end="", flush=True)  # in one piece: another thread may be saying something

def work(x):
    time.sleep(0.001)
    return x

def say_when_running(run):
    while len([1 for stage in run.statistics().stages for worker in stage.workers]) < 2:
        time.sleep(0.005)
    print("ready", *[worker.pid for stage in run.statistics().stages for worker in stage.workers], flush=True)

pipeline = Pipeline(endless, start_method=method).task(work, 2)
"""
"""How a script begins that is to be interrupted: its pipeline has no end, and it says when it runs, with the pids of its workers."""

LOOP = WORK + """
with pipeline.start() as run:
    say_when_running(run)
    for item in run:
        pass
"""
"""Such a script as a whole."""


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Return what ``condition`` gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.002)
    return value


def worker_pids(run: Any, stage: int = 1) -> list[int]:
    """Return the pids of a stage's workers that are set up."""
    return [worker.pid for worker in run.statistics().stages[stage].workers]


def numbers(folder: Path) -> list[int]:
    """Return the numbers that name the files of a folder: tasks leave their pids there."""
    return [int(file.name) for file in folder.iterdir() if file.name.isdigit()]


def double_unless(fault: Callable[[int], Any], at: int = 5) -> Callable[[int], Any]:
    """Return a task that doubles its items, but for one, for which the fault happens."""
    return lambda x: fault(x) if x == at else 2 * x


def doubled_without(*left_out: int, upto: int = 20) -> list[int]:
    """Return what the items give of which these have failed."""
    return [2 * x for x in range(upto) if x not in left_out]


def gone_within(pids: list[int], seconds: float) -> list[int]:
    """Wait until these processes have ended; return those that have not in time."""
    deadline = time.monotonic() + seconds
    left = []
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ready = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]
            if not ready:
                left.append(pid)
        finally:
            os.close(fd)
    return left


class Script:
    """A Python program in a process (and session) of its own."""

    def __init__(self, folder: Path, code: str, *arguments: str, **options: Any) -> None:
        self.mark = uuid.uuid4().hex
        self.said = ""
        self.temporary = folder / f"tmp-{self.mark[:8]}"
        self.temporary.mkdir()
        self.file = folder / f"script_{self.mark[:8]}.py"
        self.file.write_text(code)
        self.shm = set(os.listdir("/dev/shm"))
        environment = {**os.environ, "FAULT_MARK": self.mark, "TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)}
        environment.update(options.pop("env", {}))
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True, **options}
        self.process = subprocess.Popen([sys.executable, str(self.file), *arguments], env=environment, text=True, **options)

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *error: object) -> None:
        for pid in self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def line(self, start: str) -> str:
        """Wait for the line of its output that begins so; return the rest of it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            line = _read_line(self.process.stdout.fileno())
            self.said += line
            if line.startswith(start):
                return line[len(start) :].strip()
            if not line:
                raise AssertionError(f"the script ended without saying {start!r}:\n{self.process.communicate()[1]}")
        raise AssertionError(f"the script never said {start!r}")

    def end(self, seconds: float = PATIENCE) -> tuple[int, str, str]:
        """Wait for its end; return exit status, output and errors."""
        output, errors = self.process.communicate(timeout=seconds)
        return self.process.returncode, self.said + (output or ""), errors or ""

    def alive(self) -> list[int]:
        """Find the processes that carry its mark, but the script itself."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) not in (os.getpid(), self.process.pid):
                with contextlib.suppress(OSError):
                    if self.mark.encode() in Path(f"/proc/{entry}/environ").read_bytes():
                        found.append(int(entry))
        return found

    def left(self, seconds: float = 2.0) -> list[str]:
        """Say what is left of it after so many seconds."""
        late = [f"process {pid} {command_of(pid)}" for pid in gone_within(self.alive(), seconds)]
        shared = [f"/dev/shm/{name}" for name in set(os.listdir("/dev/shm")) - self.shm if "pym-" not in name]
        return late + shared + [str(path) for path in self.temporary.iterdir()]


def _read_line(fd: int) -> str:
    """Read a line, and no more: what a stream of Python's has read beyond it, ``communicate`` does not see."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(fd, 1)):
        line += byte
    return line.decode()


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "?"
