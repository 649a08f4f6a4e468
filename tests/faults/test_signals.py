"""Signals: whatever interrupts or kills the caller, the supervisor or all of them, within 2 seconds nothing of the run is left."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.faults.helpers import LOOP, WORK, Script, gone_within, numbers, wait_until

METHODS = ["fork", "forkserver"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("group", [False, True], ids=["caller", "group"])
def test_f30_ctrl_c_gives_one_keyboard_interrupt(tmp_path, method, group):
    """One KeyboardInterrupt in the caller, no traceback of a child, the source's finally has run, nothing is left."""
    with Script(tmp_path, LOOP, method) as script:
        script.line("ready")
        (os.killpg if group else os.kill)(script.process.pid, signal.SIGINT)
        status, output, errors = script.end()
        assert not script.left()
    assert status in (-signal.SIGINT, 130)
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "source closed" in output


@pytest.mark.parametrize("method", METHODS)
def test_f30_ctrl_c_twice_ends_at_once(tmp_path, method):
    """The second interrupt does not wait for what the first began: here for a close_method that takes its time."""
    code = WORK + """
class Slow:
    def work(self, x):
        return x
    def close(self):
        print("closing", flush=True)
        time.sleep(20)

with Pipeline(endless, start_method=method).class_task(Slow, Slow.work, None, Slow.close, count=2).start() as run:
    say_when_running(run)
    for item in run:
        pass
"""
    with Script(tmp_path, code, method) as script:
        script.line("ready")
        os.kill(script.process.pid, signal.SIGINT)
        script.line("closing")
        os.kill(script.process.pid, signal.SIGINT)
        status, _, errors = script.end(5.0)
        assert not script.left()
    assert status in (-signal.SIGINT, 130)
    assert "olympipe_ng I/O" not in errors


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("group", [False, True], ids=["caller", "group"])
def test_f31_sigterm_of_the_caller_leaves_nothing(tmp_path, method, number, group):
    """The default disposition is kept, and everything goes with the caller."""
    with Script(tmp_path, LOOP, method) as script:
        script.line("ready")
        (os.killpg if group else os.kill)(script.process.pid, number)
        status, _, _ = script.end()
        assert not script.left()
    assert status == -number


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_f31_a_signal_to_the_whole_group_lets_a_caller_that_handles_it_finish(tmp_path, method, number):
    """As ``timeout``, systemd and a terminal that closes send it: workers that die of it are replaced, and what was drawn is finished."""
    code = WORK.replace("yield k", "drawn.append(k); yield k") + """
drawn, came = [], []
with pipeline.start() as run:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: run.drain())
    say_when_running(run)
    came += run
print("finished", came == list(range(len(came))) and len(drawn) - len(came), flush=True)
"""
    with Script(tmp_path, code, method) as script:
        script.line("ready")
        os.killpg(script.process.pid, number)
        assert script.line("finished") == "0"
        status, _, errors = script.end()
        assert not script.left()
    assert status == 0, errors


@pytest.mark.parametrize("method", METHODS)
def test_f32_sigkill_of_the_caller_leaves_nothing(tmp_path, method):
    """No orphan after 1 s, busy workers too."""
    code = LOOP.replace("time.sleep(0.001)", "deadline = time.time() + 0.2\n    while time.time() < deadline: pass")
    with Script(tmp_path, code, method) as script:
        script.line("ready")
        script.process.kill()
        assert script.process.wait() == -signal.SIGKILL
        assert not script.left(1.0)


def test_f32_sigkill_of_the_caller_whose_child_holds_the_socket(tmp_path):
    """A child that the caller forked later holds all its descriptors; the run ends with the caller all the same."""
    code = WORK + """
with pipeline.start() as run:
    if not os.fork():
        os.environ.clear()
        print("child", os.getpid(), flush=True)
        time.sleep(60)
    say_when_running(run)
    for item in run:
        pass
"""
    with Script(tmp_path, code, "fork") as script:
        child = int(script.line("child"))
        script.line("ready")
        script.process.kill()
        script.process.wait()
        late = gone_within([pid for pid in script.alive() if pid != child], 1.0)
        os.kill(child, signal.SIGKILL)
        assert not late


@pytest.mark.parametrize("method", METHODS)
def test_sigkill_of_the_supervisor_is_an_error_not_a_hang(tmp_path, method):
    """The run fails with InternalError that names the process, and the workers are gone."""
    code = WORK + """
with pipeline.start() as run:
    say_when_running(run)
    os.kill(run._core.engine._pid, signal.SIGKILL)
    try:
        for item in run:
            pass
    except Exception as error:
        print("error", type(error).__name__, error, flush=True)
    print("children", flush=True)
"""
    with Script(tmp_path, code, method) as script:
        assert "InternalError" in script.line("error")
        status, output, _ = script.end()
        assert not script.left()
    assert status == 0
    assert "source closed" in output


@pytest.mark.parametrize("method", METHODS)
def test_sigkill_of_everything_at_once_leaves_nothing(tmp_path, method):
    """Caller, supervisor and workers killed together: shared memory is owned by the kernel, not by a name."""
    with Script(tmp_path, LOOP.replace("yield k", "yield bytes(1 << 20)"), method) as script:
        script.line("ready")
        for pid in [*script.alive(), script.process.pid]:
            os.kill(pid, signal.SIGKILL)
        script.process.wait()
        assert not script.left()


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_ignores_sigterm_and_sigint_is_ended(tmp_path, method):
    """Neither handlers nor an endless item keep a worker alive after stop()."""
    code = WORK + """
def stubborn(x):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print("busy", flush=True)
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass

run = Pipeline(endless, start_method=method).task(stubborn).start()
sys.stdin.readline()
began = time.time()
run.stop()
print("took", time.time() - began, flush=True)
"""
    with Script(tmp_path, code, method, stdin=-1) as script:
        script.line("busy")
        assert script.process.stdin is not None
        script.process.stdin.write("go\n")
        script.process.stdin.flush()
        assert float(script.line("took")) < 2.5
        script.end()
        assert not script.left()


@pytest.mark.parametrize("method", METHODS)
def test_f37_the_users_signal_handlers_are_neither_stolen_nor_run_in_workers(tmp_path, method):
    """Handlers and wake-up descriptor of the caller stay its own; a worker that we end does not run them."""
    code = WORK + """
import socket
ours, theirs = socket.socketpair()
theirs.setblocking(False)
signal.set_wakeup_fd(theirs.fileno())
def handler(number, frame):
    print("handled in", os.getpid() == caller, flush=True)
caller = os.getpid()
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, handler)
with pipeline.start() as run:
    say_when_running(run)
    for worker in run.statistics().stages[1].workers:
        os.kill(worker.pid, signal.SIGINT)
    items = iter(run)
    for _ in range(50):
        next(items)
assert signal.getsignal(signal.SIGTERM) is handler
assert signal.set_wakeup_fd(-1) == theirs.fileno()
ours.setblocking(False)
try:
    print("woken", ours.recv(10), flush=True)
except BlockingIOError:
    print("not woken", flush=True)
"""
    with Script(tmp_path, code, method) as script:
        status, output, errors = script.end()
        assert not script.left()
    assert status == 0, errors
    assert "handled in" not in output
    assert "not woken" in output


@pytest.mark.parametrize("method", METHODS)
def test_a_signal_handler_may_look_at_the_run_wherever_it_interrupts_the_caller(tmp_path, method):
    """As one that prints the report: in the middle of a question, and of a message that tells what was taken."""
    code = WORK + """
from olympipe_ng.transport.wire import Channel
write, due, looks = Channel._write, [], []

def handler(number, frame):
    looks.append(len(run.report().stages))

def interrupted(channel, flags):
    if due and threading.current_thread() is threading.main_thread():
        signal.raise_signal(due.pop())
    return write(channel, flags)

signal.signal(signal.SIGUSR1, handler)
Channel._write = interrupted
with pipeline.start() as run:
    say_when_running(run)
    due.append(signal.SIGUSR1)
    run.statistics()
    print("asked", len(looks), flush=True)
    due.append(signal.SIGUSR1)
    for item in run:
        if len(looks) == 2:
            break
print("taken", len(looks), flush=True)
"""
    with Script(tmp_path, code, method) as script:
        script.line("ready")
        _, output, _ = script.end(10.0)
        assert not script.left()
    assert "asked 1\n" in output
    assert "taken 2\n" in output


@pytest.mark.parametrize("method", METHODS)
def test_under_asyncio_an_interrupt_and_a_cancellation_are_clean(tmp_path, method):
    """Ctrl-C under asyncio.run, and a cancelled task that iterates, leave nothing."""
    code = WORK + """
import asyncio
async def consume():
    async for item in pipeline:
        if item == 20:
            print("running", flush=True)

async def main():
    task = asyncio.create_task(consume())
    await asyncio.sleep(0.5)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled", flush=True)
    await consume()

asyncio.run(main())
"""
    with Script(tmp_path, code, method) as script:
        script.line("cancelled")
        script.line("running")
        os.kill(script.process.pid, signal.SIGINT)
        status, _, errors = script.end(10.0)
        assert not script.left()
    assert status in (-signal.SIGINT, 130)
    asyncios_own = "Task was destroyed but it is pending!"  # of Python 3.10, which does not wait for what closes an iterator
    text = errors.partition(asyncios_own)[0] if sys.version_info < (3, 11) else errors
    assert text.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.no_leak_check  # the sockets of the messaging library live on
def test_in_a_notebook_an_interrupt_leaves_a_kernel_that_goes_on(tmp_path):
    """The cell ends with one KeyboardInterrupt, no process is left, the next cell runs."""
    client = pytest.importorskip("jupyter_client")
    manager = client.KernelManager(kernel_name="python3")
    manager.kernel_spec_manager.ensure_native_kernel = True
    manager.start_kernel(extra_arguments=[], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    kernel = manager.client()
    kernel.start_channels()
    try:
        kernel.wait_for_ready(timeout=60)
        first = "import itertools, psutil\nfrom olympipe_ng import Pipeline\n"
        loop = "for item in Pipeline(itertools.count()).task(abs, 2):\n    if item == 100: print('running')\n"
        asked = kernel.execute(first + loop, stop_on_error=False)
        wait_until(lambda: kernel.get_iopub_msg(timeout=60)["content"].get("text") == "running\n")  # the code is echoed too
        manager.interrupt_kernel()
        while (reply := kernel.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
            continue
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        heard: list[dict] = []
        answer = kernel.execute_interactive("print('children', len(psutil.Process().children()))", timeout=60, output_hook=heard.append)
        assert answer["content"]["status"] == "ok", answer["content"]
        assert any("children 0" in str(message["content"]) for message in heard)
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("method", METHODS)
def test_close_method_is_called_though_the_caller_is_gone(tmp_path, method, number):
    """Whatever ended the caller: an instance that lives is closed, at its leisure, and then everything is gone."""
    code = WORK + """
class Model:
    def work(self, x):
        return x
    def close(self):
        time.sleep(0.5)
        open(f"{sys.argv[2]}/{os.getpid()}", "w").close()

with Pipeline(endless, start_method=method).class_task(Model, Model.work, None, Model.close, count=2).start() as run:
    say_when_running(run)
    for item in run:
        pass
"""
    (tmp_path / "closed").mkdir()
    with Script(tmp_path, code, method, str(tmp_path / "closed")) as script:
        pids = {int(pid) for pid in script.line("ready").split()}
        os.kill(script.process.pid, number)
        script.process.wait()
        assert not script.left()
    assert set(numbers(tmp_path / "closed")) == pids
