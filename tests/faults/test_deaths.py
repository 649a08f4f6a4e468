"""F1 to F7: a worker dies, by a signal, an exit or a crash: what it had in hand fails or is run again, and nothing else is touched."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from olympipe_ng import Pipeline, StageError, StageTimeout, TooManyFailures, WorkerDied
from olympipe_ng.transport.wire import Channel
from tests.faults import menu
from tests.faults.helpers import double_unless, doubled_without, numbers, wait_until, worker_pids

METHODS = ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]


def held_back(event, upto):
    """A source that gives its items once the event is set."""
    event.wait()
    yield from range(upto)


@pytest.mark.parametrize("method", METHODS)
def test_f01_sigkill_of_an_idle_worker_is_mended_silently(method):
    """An idle worker that is killed is replaced, no item fails, and the source is not waited for."""
    release = threading.Event()
    with Pipeline(lambda: held_back(release, 20), start_method=method).task(lambda x: 2 * x, count=2).start() as run:
        before = wait_until(lambda: len(worker_pids(run)) == 2 and worker_pids(run))
        os.kill(before[0], signal.SIGKILL)
        after = wait_until(lambda: len(worker_pids(run)) == 2 and before[0] not in worker_pids(run) and worker_pids(run))
        assert before[1] in after
        release.set()
        assert list(run) == doubled_without()
        assert not run.errors


@pytest.mark.parametrize("method", METHODS)
def test_f02_sigkill_while_processing_fails_that_item_alone(method):
    """The culprit fails with WorkerDied that names stage, item and signal; all others are there, in order."""
    results = Pipeline(range(20), start_method=method).task(double_unless(menu.sigkill_self), 2, on_error="collect").wait_for_result()
    assert results == doubled_without(5)
    (text,) = results.errors
    assert "item 5 5" in text
    assert "SIGKILL" in text
    assert "Out of memory?" in text


def test_f02_the_death_is_raised_in_its_place():
    """Earlier results come out, then WorkerDied."""
    seen: list[int] = []
    with pytest.raises(WorkerDied, match=r"item 5 5: .*SIGKILL") as caught:
        seen.extend(Pipeline(range(20), start_method="fork").task(double_unless(menu.sigkill_self), 2))
    assert seen == [0, 2, 4, 6, 8]
    assert caught.value.index == 5
    assert caught.value.worker_pid


def test_f02_an_item_that_kills_only_once_goes_through(tmp_path):
    """An item that was in hand at one death is no culprit: it is run once more, alone."""

    def kill_once(x):
        if x == 5 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * x

    results = Pipeline(range(20), start_method="fork").task(kill_once, count=2).wait_for_result()
    assert results == doubled_without()
    assert not results.errors


def test_f02_redeliver_false_fails_what_had_started(tmp_path):
    """A stage with side effects is never called twice for an item."""

    def pay(x):
        with open(tmp_path / "payments", "a") as file:
            file.write(f"{x}\n")
        return menu.sigkill_self(x) if x == 5 else 2 * x

    results = Pipeline(range(20), start_method="fork").task(pay, 2, redeliver=False, on_error="collect").wait_for_result()
    paid = [int(line) for line in (tmp_path / "payments").read_text().split()]
    assert sorted(paid) == list(range(20))
    assert 10 not in results
    assert len(results) + len(results.errors) == 20


def test_f02_deaths_are_retried_like_other_failures(tmp_path):
    """retries= counts for deaths too."""

    def kill_thrice(x):
        attempts = tmp_path / f"{x}-{len(list(tmp_path.glob(f'{x}-*')))}"
        if x == 5 and len(list(tmp_path.glob("5-*"))) < 3:
            attempts.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * x

    assert Pipeline(range(20), start_method="fork").task(kill_thrice, retries=3).wait_for_result() == doubled_without()


@pytest.mark.parametrize("method", METHODS)
def test_f02_an_item_that_had_given_some_of_its_outputs_is_not_run_again(method):
    """What an ``explode`` gave before its worker was killed stays, each output once, and the failure tells how many."""

    def explode(x):
        for k in range(60_000):
            if (x, k) == (1, 50_000):
                os.kill(os.getpid(), signal.SIGKILL)
            yield x, k

    good, bad = Pipeline(range(3), start_method=method).explode(explode, on_error="branch")
    given, [failure] = Pipeline.wait_for_all_results([good, bad])
    assert isinstance(failure.exception, WorkerDied)
    assert (failure.item, failure.index) == (1, 1)
    assert 0 < failure.emitted <= 50_000
    whole = range(60_000)
    assert given == [(0, k) for k in whole] + [(1, k) for k in range(failure.emitted)] + [(2, k) for k in whole]


@pytest.mark.parametrize("kind", ["reduce", "scan", "checkpoint", "unique", "bucket", "class_task"])
def test_f02_the_death_of_a_stage_that_holds_state_fails_the_run(kind):
    """Nothing can repeat what reduce, scan, checkpoint or a stateful class had gathered: WorkerDied, naming the stage, and saying so."""

    class Model:
        def add(self, x):
            return fold(x, 0)

    def fold(x, total):
        return menu.sigkill_self(x) if x == 5 else x + total

    source = Pipeline(range(20), start_method="fork", on_error="skip")
    stages = {
        "reduce": lambda: source.reduce(0, fold),
        "scan": lambda: source.scan(0, fold),
        "checkpoint": lambda: source.checkpoint(0, fold, lambda state: [state]),
        "unique": lambda: source.unique(lambda x: fold(x, 0)),
        "bucket": lambda: source.bucket(lambda x: fold(x, 0), 3),
        "class_task": lambda: source.class_task(Model, Model.add, stateful=True),
    }
    with pytest.raises(WorkerDied, match=r"(?s)stage 1.*What the stage had gathered is gone with it"):
        stages[kind]().wait_for_result()


def test_f02_a_class_task_gets_a_fresh_instance():
    """A worker of a class_task that dies is replaced with a fresh instance, and a warning."""

    class Model:
        def double(self, x):
            return menu.sigkill_self(x) if x == 5 else 2 * x

    results = Pipeline(range(20), start_method="fork").class_task(Model, Model.double, on_error="collect").wait_for_result()
    assert results == doubled_without(5)
    (warning,) = results.report.statistics.warnings
    assert warning.startswith("Model.double: a worker died, and with it what its instance held; another goes on with a fresh one")


@pytest.mark.parametrize(
    ("fault", "kind"), [("sigkill_self", "WorkerDied"), ("hang", "StageTimeout"), ("unpicklable_result", "TypeError")]
)
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_f02_a_function_may_replace_what_a_dead_worker_held(method, fault, kind):
    """``on_error`` is called with the item and the error, also where the worker that had it is gone."""
    act = getattr(menu, fault)
    stage = Pipeline(range(8), start_method=method).task(
        lambda x: act(x) if x == 5 else x, 2, timeout=0.3, on_error=lambda item, error: (item, type(error).__name__)
    )
    assert stage.wait_for_result() == [0, 1, 2, 3, 4, (5, kind), 6, 7]


class Cursed:
    """An item whose loading does something to whoever loads it, where it is the third."""

    def __init__(self, number, curse):
        self.number, self.curse = number, curse

    def __reduce__(self):
        return self.curse if self.number == 3 else (Cursed, (self.number, self.curse))


def curse(fault):
    return {"exits": (os._exit, (3,)), "hangs": (time.sleep, (60,))}[fault]


@pytest.mark.parametrize(("fault", "kind"), [("exits", WorkerDied), ("hangs", StageTimeout)])
@pytest.mark.parametrize("policy", ["skip", "collect", "branch"])
def test_f02_an_item_whose_loading_ends_the_worker_fails_alone(fault, kind, policy):
    """It cannot even be looked at to be judged: the stage's policy is applied without that, and the others come through."""
    cursed = Pipeline(range(6), start_method="fork").task(lambda x: Cursed(x, curse(fault)))
    numbers = cursed.task(lambda item: item.number, on_error=policy, timeout=0.3)
    if policy != "branch":
        results = numbers.wait_for_result()
        assert results == [0, 1, 2, 4, 5]
        assert [("item 3 <not shown" in text) for text in results.errors] == [True] * (policy == "collect")
        return
    good, [failure] = Pipeline.wait_for_all_results(numbers)
    assert good == [0, 1, 2, 4, 5]
    assert (failure.index, type(failure.exception)) == (3, kind)
    assert "not shown" in failure.item


def look_at(item):
    return item.number


def exit_at_three(x):
    return x if x != 3 else os._exit(3)


@pytest.mark.parametrize(
    ("make", "task", "policy"),
    [
        (lambda x: Cursed(x, curse("exits")), look_at, "raise"),
        (lambda x: Cursed(x, curse("exits")), look_at, lambda item, exception: 3),
        (abs, exit_at_three, lambda item, exception: exit_at_three(item)),
    ],
    ids=["loading", "loading for on_error", "on_error"],
)
def test_f02_an_item_that_cannot_be_judged_is_named_by_its_index(make, task, policy):
    """Where an item, or what on_error= does with it, ends the worker, its error still says which it is, in its place."""
    seen: list[int] = []
    with pytest.raises(WorkerDied, match=r"item 3 <not shown.*exited with code 3") as caught:
        seen.extend(Pipeline(range(6), start_method="fork").task(make).task(task, on_error=policy))
    assert seen == [0, 1, 2]
    assert caught.value.index == 3


def test_f02_deaths_count_in_the_budget():
    deadly = Pipeline(range(8), start_method="fork").task(
        lambda x: menu.sigkill_self(x) if x in (2, 4) else x, on_error="skip", max_failures=1
    )
    with pytest.raises(TooManyFailures):
        deadly.wait_for_result()


def test_f03_sigkill_while_holding_a_lock_costs_only_that_worker():
    """No lock is shared among siblings: four workers, of which one is killed stopped in the middle of reading, lose nothing."""

    def slow(x):
        time.sleep(0.002)
        return 2 * x

    with Pipeline(range(300), start_method="fork").task(slow, count=4).start() as run:
        victim = wait_until(lambda: len(worker_pids(run)) == 4 and worker_pids(run))[0]
        os.kill(victim, signal.SIGSTOP)  # wherever it is: waiting, reading, working, writing
        os.kill(victim, signal.SIGKILL)
        assert list(run) == doubled_without(upto=300)


def test_f04_sigkill_while_writing_a_100_mb_result(tmp_path):
    """A worker that dies in the middle of sending leaves half a message, which counts as nothing: its item is run again."""

    def large(x):
        (tmp_path / str(os.getpid())).touch()
        return bytes(10**8) if x == 1 else b"small"

    killed = threading.Thread(target=lambda: [os.kill(pid, signal.SIGKILL) for pid in wait_until(lambda: numbers(tmp_path))])
    killed.start()
    results = Pipeline(range(3), start_method="fork").task(large).wait_for_result()
    killed.join()
    assert [len(item) for item in results] == [5, 10**8, 5]


@pytest.mark.parametrize("size", [3_000, 10**8])
def test_f04_sigkill_in_the_middle_of_a_frame(tmp_path, monkeypatch, size):
    """Half a message is written, then the worker is killed: it counts as nothing, and the item is run again."""
    whole, due = Channel._write, []

    def half(self, flags):
        if due and not (tmp_path / "cut").exists():
            (tmp_path / "cut").touch()
            data = b"".join(bytes(piece) for piece in self._out)
            self._sock.sendall(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        whole(self, flags)

    monkeypatch.setattr(Channel, "_write", half)

    def work(x):
        if x == 5:
            due.append(x)  # in this worker only
        return bytes(size) if x == 5 else b""

    results = Pipeline(range(20), start_method="fork").task(work).wait_for_result()
    assert (tmp_path / "cut").exists()
    assert [len(item) for item in results] == [size if x == 5 else 0 for x in range(20)]


@pytest.mark.parametrize("method", METHODS)
def test_f05_os_exit_0_in_a_task_is_a_death(method):
    """Any exit that was not ordered is a death, code 0 too."""
    results = Pipeline(range(20), start_method=method).task(double_unless(menu.os_exit_0), 2, on_error="collect").wait_for_result()
    assert results == doubled_without(5)
    assert "exited with code 0" in results.errors[0]


def test_f06_sys_exit_in_a_task_is_an_error_of_its_item():
    """The caller never ends quietly with a cut result."""
    with pytest.raises(StageError, match="item 5 5: SystemExit: 0"):
        Pipeline(range(20), start_method="fork").task(double_unless(menu.sys_exit)).wait_for_result()


@pytest.mark.parametrize("fault", ["segfault", "sigbus"])
@pytest.mark.parametrize("method", METHODS)
def test_f07_a_crash_in_native_code_shows_the_python_stack(method, fault, capfd):
    """The error has the signal and the text of faulthandler, and nothing is printed."""
    source = Pipeline(range(20), start_method=method)
    with pytest.raises(WorkerDied, match="item 5 5") as caught:
        source.task(double_unless(getattr(menu, fault)), count=2).wait_for_result()
    name = {"segfault": "SIGSEGV", "sigbus": "SIGBUS"}[fault]
    assert name in str(caught.value)
    assert "Fatal Python error" in caught.value.traceback_text
    assert f"in {fault}" in caught.value.traceback_text
    assert "Fatal Python error" not in capfd.readouterr().err
