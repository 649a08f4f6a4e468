"""How workers come into the world: whose children they are, and what they hold of each other."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from olympipe_ng import GraphError, InternalError, Pipeline, StageTimeout, WorkerDied, keep_warm
from olympipe_ng.engines.process import children, client, record, starting
from olympipe_ng.engines.process.deaths import death_note
from olympipe_ng.engines.process.poller import Poller
from olympipe_ng.transport.wire import channel_pair

TIMEOUT = 20
FDS = "/proc/self/fd"


def held_sockets():
    """Return the sockets that this process holds."""
    links = set()
    for name in os.listdir(FDS):
        try:
            links.add(os.readlink(f"{FDS}/{name}"))
        except FileNotFoundError:
            continue  # the listing's own
    return {link for link in links if link.startswith("socket:")}


def look(seen):
    """Add who runs this, whose child that is and which sockets it holds."""
    time.sleep(0.005)  # so that one worker does not run all
    return [*seen, (os.getpid(), psutil.Process().parent().name(), held_sockets())]


@pytest.mark.skipif(not os.path.isdir(FDS), reason="descriptors are listed in /proc")
def test_a_fork_that_is_refused_at_once_leaves_no_descriptor(monkeypatch):
    """Who asks is refused again and again, as long as the system has no room."""

    def refuse():
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(children, "_fork_quietly", refuse)
    before = os.listdir(FDS)
    with pytest.raises(OSError, match="no more processes"):
        children.fork_grandchildren([end_with(0)])
    assert os.listdir(FDS) == before


@pytest.mark.skipif(not os.path.isdir(FDS), reason="descriptors are listed in /proc")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_worker_holds_no_socket_of_another_process(method):
    """Else that one's end would be hidden by whoever holds its socket too."""
    before = held_sockets()
    sockets: dict[int, set[str]] = {}
    parents = set()
    for seen in Pipeline(([] for _ in range(4000)), start_method=method, progress=False).task(look, count=4).task(look, count=2):
        for pid, parent, held in seen:
            sockets[pid] = held - before
            parents.add(parent)
        if len(sockets) == 6:
            break
    assert len(sockets) == 6
    assert parents == {"olympipe_ng"}
    assert all(sockets.values())
    together = [socket for held in sockets.values() for socket in held]
    assert len(together) == len(set(together))


def test_a_killed_template_is_replaced(tmp_path):
    """A worker that dies afterwards has a successor, though another stage's, which that template forked too, still lives."""

    def source():
        yield from range(10)
        (template,) = [one for one in psutil.Process().children(recursive=True) if one.name() == "olympipe forks"]
        template.kill()
        yield from range(10, 20)

    def die_once(x):
        if x == 15 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    pipeline = Pipeline(source, start_method="forkserver", queue_size=4, progress=False)
    assert pipeline.task(die_once).task(str).wait_for_result() == [str(x) for x in range(20)]


ODD_MODULE = """
import os, signal
if os.getpid() != int(os.environ["CALLER"]):
    {act}
def same(x):
    return x
"""
ODD_ACTS = {
    "ignores children": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "forks": "(pid := os.fork()) and os.waitpid(pid, 0)",
}


@pytest.mark.parametrize("act", ODD_ACTS)
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_module_may_ignore_its_children_and_fork_as_it_is_imported(method, act, tmp_path, monkeypatch):
    """Where workers are waited for that is known by other means; and a process that comes back from the import is no second worker."""
    name = f"odd_{method}_{list(ODD_ACTS).index(act)}"
    (tmp_path / f"{name}.py").write_text(ODD_MODULE.format(act=ODD_ACTS[act]))
    monkeypatch.setenv("CALLER", str(os.getpid()))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(name)
    began = time.monotonic()
    assert Pipeline(range(3), start_method=method).task(module.same, 2).wait_for_result() == [0, 1, 2]
    assert time.monotonic() - began < TIMEOUT


@pytest.mark.parametrize(("method", "how"), [("forkserver", "was never born"), ("spawn", "exited with code 3")])
def test_a_module_that_exits_as_it_is_imported_is_told_of(method, how, tmp_path, monkeypatch):
    """Also where that ends the template, before there is a worker."""
    (tmp_path / f"exits_elsewhere_{method}.py").write_text(ODD_MODULE.format(act="os._exit(3)"))
    monkeypatch.setenv("CALLER", str(os.getpid()))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(f"exits_elsewhere_{method}")
    with pytest.raises(WorkerDied, match=how):
        Pipeline(range(3), start_method=method).task(module.same).wait_for_result()


SLOW_MODULE = """
import os, time
if os.getpid() != int(os.environ["CALLER"]):
    time.sleep(60)
def same(x):
    return x
"""


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_module_that_hangs_in_a_clean_process_is_bounded_by_setup_timeout(method, tmp_path, monkeypatch):
    """Also where that is the template, before there is a worker to be killed."""
    (tmp_path / f"hangs_elsewhere_{method}.py").write_text(SLOW_MODULE)
    monkeypatch.setenv("CALLER", str(os.getpid()))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(f"hangs_elsewhere_{method}")
    began = time.monotonic()
    with pytest.raises(StageTimeout, match="setup_timeout"):
        Pipeline(range(3), start_method=method, progress=False).task(module.same, setup_timeout=0.5).wait_for_result()
    assert time.monotonic() - began < 30


def test_an_interrupt_does_not_end_an_interpreter_of_ours_that_is_starting():
    """Ctrl-C goes to the whole group; what it means is the caller's to decide."""
    ours, theirs = channel_pair()
    child = starting.exec_child("supervisor", theirs.fileno(), tuple(sys.path))
    child.send_signal(signal.SIGINT)
    theirs.close()
    ours.close()
    assert child.wait(TIMEOUT) == 1  # nobody was there to say what to supervise


class TooLate(Exception):
    """What the handler of a program's alarm raises."""


@contextlib.contextmanager
def late_alarms():
    """Have an alarm raise ``TooLate``."""

    def late(number, frame):
        raise TooLate

    before = signal.signal(signal.SIGALRM, late)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGALRM, TooLate)], ids=["Ctrl-C", "alarm"])
def test_an_interrupt_while_the_supervisor_is_being_born_leaves_no_process(monkeypatch, method, warm, number, error):
    """It comes in as soon as it is, and who it is must be known by then: it is waited for (the leak check sees to that)."""

    def interrupted(begin):
        def begin_and_interrupt(*given, **more):
            born = begin(*given, **more)
            if born:  # in the parent
                os.kill(os.getpid(), number)
            return born

        return begin_and_interrupt

    with keep_warm() if warm else contextlib.nullcontext(), late_alarms(), monkeypatch.context() as patch:
        patch.setattr(children, "_fork_quietly", interrupted(children._fork_quietly))
        patch.setattr(subprocess, "Popen", interrupted(subprocess.Popen))
        with pytest.raises(error):
            Pipeline(range(3), start_method=method, progress=False).task(abs).wait_for_result()


@pytest.mark.parametrize("stands_for_it", ["a pidfd", "nothing"])
def test_a_child_of_the_users_that_was_forked_meanwhile_does_not_hide_the_supervisors_end(monkeypatch, stands_for_it):
    """Another thread may fork between two steps of a start; its child holds the run's socket."""
    if stands_for_it == "nothing":
        monkeypatch.setattr(Poller, "watch_pid", lambda *more: None)  # as on macOS
    children_of_mine = []

    def fork_and_go_on(*given):
        pid = os.fork()
        if not pid:
            signal.pause()
        children_of_mine.append(pid)
        return take_settings(*given)

    take_settings = client.take_settings
    monkeypatch.setattr(client, "take_settings", fork_and_go_on)
    try:
        with Pipeline(itertools.count, start_method="fork", progress=False).task(abs).start() as run:
            items = iter(run)
            next(items)
            os.kill(run._core.engine._pid, signal.SIGKILL)
            with pytest.raises(InternalError, match="died"):
                list(items)
    finally:
        for pid in children_of_mine:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_fork_by_another_thread_waits_until_an_interpreter_of_ours_is_started(monkeypatch):
    """``subprocess`` waits for the end of a pipe, which the other thread's child would hold for as long as it lives."""
    forked, held_up, pipe = threading.Event(), [], os.pipe

    def fork_aside():
        pid = children._fork_quietly()
        if not pid:
            time.sleep(2.0)
            os._exit(0)
        forked.set()
        os.waitpid(pid, 0)

    def pipe_and_fork_aside():
        monkeypatch.setattr(os, "pipe", pipe)
        ends = pipe()
        thread.start()
        held_up.append(not forked.wait(0.2))
        return ends

    thread = threading.Thread(target=fork_aside)
    monkeypatch.setattr(os, "pipe", pipe_and_fork_aside)
    ours, theirs = channel_pair()
    child = starting.exec_child("supervisor", theirs.fileno(), tuple(sys.path))
    theirs.close()
    ours.close()
    assert child.wait(TIMEOUT) == 1
    thread.join(TIMEOUT)
    assert held_up == [True]
    assert forked.is_set()


def end_with(status):
    """Return what a child does: end at once."""
    return lambda: status


def test_grandchildren_become_those_of_the_subreaper():
    """Three that are asked for together, in the order in which they were, none of them a zombie of somebody else's."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            children.be_supervisor()
            born = children.fork_grandchildren([end_with(3), end_with(4), end_with(5)])
            ends = [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in born]
            os.write(writing, repr(ends).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with open(reading, "rb") as answer:
        assert answer.read() == b"[3, 4, 5]"


def test_a_fork_that_is_refused_is_an_error(monkeypatch):
    """Not a worker with the number 0, which would be everybody when it is killed."""
    forks = [children._fork_quietly]

    def refuse_the_third():
        forks.append(forks[0])
        if len(forks) > 3:
            raise OSError(errno.EAGAIN, "no more processes")
        return forks[0]()

    monkeypatch.setattr(children, "_fork_quietly", refuse_the_third)
    monkeypatch.setattr(children.traceback, "print_exc", lambda: None)
    with pytest.raises(OSError, match="1 of 2 workers could not be forked") as caught:
        children.fork_grandchildren([end_with(0), end_with(0)])
    assert caught.value.errno == errno.EAGAIN


@pytest.mark.skipif(not os.path.isdir(FDS), reason="descriptors are listed in /proc")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_run_that_cannot_be_begun_leaves_no_socket_to_the_garbage_collector(method, monkeypatch):
    """A function that cannot be sent, or a fork that is refused."""

    def refuse():
        raise OSError(errno.EAGAIN, "no more processes")

    lock = threading.Lock()
    monkeypatch.setattr(children, "_fork_quietly", refuse)
    before = held_sockets()
    gc.disable()
    try:
        with pytest.raises((GraphError, OSError)):
            Pipeline([1], start_method=method).task(lambda x: (lock, x)).wait_for_result()
        assert held_sockets() == before
    finally:
        gc.enable()


def test_a_worker_whose_end_was_told_to_somebody_else_did_not_exit_with_0():
    """Nobody knows how it ended, and nobody says so."""
    mine, theirs = channel_pair()
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    os.waitpid(pid, 0)
    worker = record.WorkerRecord(1, 1, mine, pid, 1)
    mine.close()
    theirs.close()
    assert worker.reap()
    assert worker.status is None
    assert "told somebody else" in str(death_note(pid, worker.status, worker.peak, "").summary)


def test_a_worker_that_takes_its_time_to_die_is_looked_at_again_later(monkeypatch):
    """The kernel may be busy with its memory: until it is through there is nothing to look at, and the supervisor sleeps."""
    mine, theirs = channel_pair()
    pid, kills = os.getpid(), []
    monkeypatch.setattr(record, "kill", kills.append)
    monkeypatch.setattr(record.os, "wait4", lambda pid, options: (0, 0, None))
    worker = record.WorkerRecord(1, 1, mine, pid, 1)
    worker.lost_at = time.monotonic() - 1
    assert not worker.reap()
    assert kills == [pid]
    assert worker.alarm > time.monotonic()
    mine.close()
    theirs.close()
