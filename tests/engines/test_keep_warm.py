"""``keep_warm``: an interpreter that stays between runs, and nothing else of them."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import resource
import signal
import sys
import threading
import time

import psutil
import pytest

import olympipe_ng
from olympipe_ng import Pipeline, StageError
from olympipe_ng.engines.process import nursery
from olympipe_ng.engines.process import protocol as p
from tests.faults.helpers import Script, wait_until

TIMEOUT = 20
WAYS = {"start_method": "forkserver", "progress": False}


def family(_):
    """Return who runs this, and the names of those above it."""
    me = psutil.Process()
    return os.getpid(), [each.name() for each in me.parents()]


def run(function, items=(1,), **options):
    return Pipeline(list(items), **{**WAYS, **options}).task(function).wait_for_result()


def warm_pid():
    kept = nursery._keeping.nursery
    return None if kept is None else kept._process.pid


def test_runs_share_an_interpreter_and_nothing_else():
    """Two runs have one nursery above them, each workers of its own; leaving ends it (the leak check sees to that)."""
    with olympipe_ng.keep_warm():
        (first, above), (second, above_too) = run(family)[0], run(family)[0]
        assert first != second
        assert "olympipe warm" in above
        assert "olympipe warm" in above_too
        warm = warm_pid()
    assert not psutil.pid_exists(warm)
    assert "olympipe warm" not in run(family)[0][1]


def test_the_end_of_a_run_is_told_once(monkeypatch):
    """A second word would wait until the nursery has imported what the run needed."""
    told = []
    ask = nursery.Nursery.ask

    def note_and_ask(self, header, fds=()):
        told.append(header[0])
        return ask(self, header, fds)

    monkeypatch.setattr(nursery.Nursery, "ask", note_and_ask)
    with olympipe_ng.keep_warm():
        run(family)
        run(family)
    assert told.count(p.REAP) == 2


def remember(x):
    """Keep something in a module of the worker's."""
    kept = vars(sys.modules["json"]).setdefault("kept_by_a_test", [])
    kept.append(x)
    return list(kept)


def test_what_a_run_left_in_modules_is_gone():
    """State that a worker keeps in a module is its own, and not the next run's."""
    with olympipe_ng.keep_warm():
        assert run(remember, [1, 2]) == [[1], [1, 2]]
        assert run(remember, [3]) == [[3]]


def test_each_run_has_the_callers_surroundings(tmp_path, monkeypatch):
    """Folder, environment, arguments, module path and log level are those of the moment; modules found there are imported."""

    def around(_):
        import named_by_a_test

        return os.getcwd(), os.environ.get("A_TEST"), sys.argv, logging.getLogger().level, named_by_a_test.VALUE

    with olympipe_ng.keep_warm():
        for k in range(2):
            folder = tmp_path / str(k)
            folder.mkdir()
            (folder / "named_by_a_test.py").write_text(f"VALUE = {k}\n")
            monkeypatch.chdir(folder)
            monkeypatch.setenv("A_TEST", str(k))
            monkeypatch.setattr(sys, "argv", ["me", str(k)])
            monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
            monkeypatch.setattr(logging.getLogger(), "level", logging.ERROR + k)
            assert run(around) == [(str(folder), str(k), ["me", str(k)], logging.ERROR + k, k)]


def allowed(_):
    mask = os.umask(0o077)
    os.umask(mask)
    return mask, resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE)


def test_each_run_has_the_rights_and_limits_that_the_program_has_then():
    """What a program gave up between two runs, the workers of the second do not have: the files that they write are as private."""
    mask, (soft, hard) = os.umask(0o022), resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        with olympipe_ng.keep_warm():
            assert run(allowed) == [allowed(1)]
            warm = warm_pid()
            os.umask(0o077)
            assert run(allowed) == [allowed(1)]
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
            assert run(allowed) == [allowed(1)]
            assert warm_pid() != warm
            warm = warm_pid()
            assert run(allowed) == [allowed(1)]
            assert warm_pid() == warm
    finally:
        os.umask(mask)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_changed_function_takes_effect():
    """A function that was defined again is the one that runs."""
    with olympipe_ng.keep_warm():
        for k in range(3):
            assert run(lambda x, k=k: x + k, [10]) == [10 + k]


def test_a_changed_module_takes_effect(tmp_path, monkeypatch):
    """A module whose file has changed, and that the caller has loaded again, is imported anew by the next run."""
    source = tmp_path / "changed_by_a_test.py"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with olympipe_ng.keep_warm():
        for k in range(3):
            source.write_text(f"def function(x):\n    return x + {k}\n")
            os.utime(source, (k, k))
            monkeypatch.delitem(sys.modules, "changed_by_a_test", raising=False)
            module = __import__("changed_by_a_test")
            assert run(module.function, [10]) == [10 + k]


CHANGES_MEANWHILE = """
import os
with open("/proc/self/comm") as name:
    if name.read().startswith("olympipe warm"):
        with open(__file__, "w") as file:
            file.write("def function(x):\\n    return x + 1\\n")
        os.utime(__file__, (9, 9))
def function(x):
    return x
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the interpreter that is kept is known by its name in /proc")
def test_a_module_that_changes_while_it_is_imported_between_runs_takes_effect(tmp_path, monkeypatch):
    """What was read before it changed is not taken for what is there now."""
    source = tmp_path / "changing_for_a_test.py"
    source.write_text(CHANGES_MEANWHILE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with olympipe_ng.keep_warm():
        assert run(__import__("changing_for_a_test").function, [10]) == [10]
        wait_until(lambda: source.stat().st_mtime == 9)
        monkeypatch.delitem(sys.modules, "changing_for_a_test")
        assert run(__import__("changing_for_a_test").function, [10]) == [11]


def test_an_unchanged_module_is_imported_between_runs(tmp_path, monkeypatch):
    """What a run referred to by name is there before the next one begins: its import is not waited for again."""
    (tmp_path / "slow_for_a_test.py").write_text("import os\nIMPORTED_BY = os.getpid()\ndef function(x):\n    return IMPORTED_BY\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = __import__("slow_for_a_test").function
    with olympipe_ng.keep_warm():
        assert run(function) != [warm_pid()]
        assert run(function) == [warm_pid()]


def test_a_dead_nursery_is_replaced():
    """Killed between two runs, it is started again, and nobody notices but by the time."""
    with olympipe_ng.keep_warm():
        assert run(abs, [-1]) == [1]
        dead = warm_pid()
        os.kill(dead, signal.SIGKILL)
        assert run(abs, [-2]) == [2]
        assert warm_pid() != dead


CLOSED_FOLDER = """
import ctypes, os, struct, sys
import olympipe_ng
os.chdir(sys.argv[1])
os.chmod(".", 0)
if not os.geteuid():  # to root no folder is closed, but to one that has given up its capabilities
    assert not ctypes.CDLL(None).capset(struct.pack("Ii", 0x20080522, 0), bytes(24))
with olympipe_ng.keep_warm():
    for _ in range(2):
        print(olympipe_ng.Pipeline(range(3), start_method="forkserver", progress=False).task(lambda x: x + 1).wait_for_result())
"""


def test_a_folder_that_may_not_be_read_is_no_hindrance(tmp_path):
    """As that of root is for the user to whom it gave its rights up (``sudo -u``)."""
    closed = tmp_path / "closed"
    closed.mkdir()
    with Script(tmp_path, CLOSED_FOLDER, str(closed)) as script:
        status, output, errors = script.end()
    assert (status, output) == (0, "[1, 2, 3]\n" * 2), errors


def test_a_failed_run_leaves_it_warm():
    """A run that ended by an error, and one that was stopped, leave the next one as quick and as right."""
    with olympipe_ng.keep_warm():
        warm = None
        for _ in range(2):
            with pytest.raises(StageError):
                run(lambda x: 1 // x, [0])
            with Pipeline(range(100), **WAYS).task(abs).start() as begun:
                next(iter(begun))
            assert run(abs, [-1]) == [1]
            warm = warm or warm_pid()
        assert warm_pid() == warm


def test_a_run_that_nobody_holds_leaves_nothing_of_its_supervisor():
    """Nobody is there to close it: whoever hears of its end sees to that, and not the end of what is kept."""
    drawn = threading.Event()

    def numbers():
        for number in itertools.count():
            drawn.set()
            yield number

    with olympipe_ng.keep_warm():
        dropped = Pipeline(numbers, **WAYS).task(abs).start()
        assert drawn.wait(TIMEOUT)
        above = psutil.Process(warm_pid())
        assert above.children()
        del dropped
        gc.collect()
        wait_until(lambda: not above.children())


def test_the_outermost_counts():
    """Within itself it changes nothing."""
    with olympipe_ng.keep_warm():
        run(abs)
        warm = warm_pid()
        with olympipe_ng.keep_warm():
            run(abs)
        run(abs)
        assert warm_pid() == warm is not None
    assert warm_pid() is None


def test_a_run_outlives_the_with():
    """Leaving ``with`` ends what is kept, not a run that is still going."""
    with olympipe_ng.keep_warm():
        begun = Pipeline(range(1000), **WAYS).task(abs).start()
        results = iter(begun)
        assert next(results) == 0
    assert sum(1 for _ in results) == 999
    begun.wait()


def test_a_forked_child_of_the_user_has_no_part_in_it():
    """What the user forks neither uses the nursery nor ends it."""
    with olympipe_ng.keep_warm():
        run(abs)
        child = os.fork()
        if not child:
            os._exit(0 if warm_pid() is None and nursery._keeping.depth == 0 else 1)
        assert os.waitpid(child, 0)[1] == 0
        warm = warm_pid()
        run(abs)
        assert warm_pid() == warm


def test_an_interrupted_question_spoils_no_other(monkeypatch):
    """Ctrl-C while a nursery is asked: the next run starts another one, and takes no answer that was meant for the first."""
    with olympipe_ng.keep_warm():
        run(abs)
        warm = warm_pid()
        with monkeypatch.context() as patch:
            patch.setattr(nursery._keeping.nursery._channel, "receive", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run(abs)
        assert run(abs, [-3]) == [3]
        assert warm_pid() != warm


def interrupt():
    raise KeyboardInterrupt


def test_modules_of_a_failed_run_are_left_alone(tmp_path, monkeypatch):
    """Only what a run that worked has imported is imported for the next one."""
    (tmp_path / "failing_for_a_test.py").write_text("import os\nIMPORTED_BY = os.getpid()\ndef function(x):\n    return IMPORTED_BY // x\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = __import__("failing_for_a_test").function
    with olympipe_ng.keep_warm():
        with pytest.raises(StageError):
            run(function, [0])
        assert run(function) != [warm_pid()]


def add_one(x):
    return x + 1


def test_the_second_run_begins_in_milliseconds():
    """Three stages and one item, from start to end: under 30 ms where nothing else runs, and a quarter of a first run at least here."""
    took = []
    with olympipe_ng.keep_warm():
        for _ in range(10):
            began = time.perf_counter()
            assert Pipeline([0], **WAYS).task(add_one).task(add_one).task(add_one).wait_for_result() == [3]
            took.append(time.perf_counter() - began)
    assert min(took[1:]) < max(0.030, took[0] / 4)
