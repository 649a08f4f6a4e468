"""What a worker has of the caller: the same under every start method."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import subprocess
import sys
import warnings

import pytest

from olympipe_ng import Pipeline
from tests.engines.kinds import everywhere, in_processes, in_threads


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """Change all that a worker is to find as it is here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMISED", "7")
    monkeypatch.setattr(sys, "argv", ["program", "--fast"])
    monkeypatch.setattr(sys, "path", [*sys.path, "/promised"])


@pytest.mark.usefixtures("surroundings")
@everywhere
def test_workers_have_the_callers_environment_folder_path_and_arguments(where):
    """``os.environ``, the working directory, ``sys.path`` and ``sys.argv`` are those of the moment in which the run began."""

    def look(_):
        return os.environ["PROMISED"], os.getcwd(), sys.path[-1], sys.argv

    assert Pipeline([0], **where).task(look).wait_for_result() == [("7", os.getcwd(), "/promised", ["program", "--fast"])]


@everywhere
def test_a_path_object_in_the_callers_module_path_goes_along(where, monkeypatch, tmp_path):
    """It is no text, as Python would have it, and still no reason not to start."""
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path])
    assert Pipeline([0], **where).task(lambda _: os.fspath(sys.path[-1])).wait_for_result() == [str(tmp_path)]


@everywhere
def test_a_module_found_by_a_relative_path_is_found_after_a_change_of_folder(where, monkeypatch, tmp_path):
    """``sys.path.append("lib")``, an import, ``os.chdir("data")``: here the module is there, and so it is in workers."""
    for folder in ("lib", "data"):
        (tmp_path / folder).mkdir()
    name = f"found_by_a_relative_path_{where.get('start_method', where.get('engine'))}"
    (tmp_path / "lib" / f"{name}.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, "lib"])
    monkeypatch.delitem(sys.path_importer_cache, "lib", raising=False)
    found = importlib.import_module(name)
    monkeypatch.chdir("data")
    assert Pipeline([3], **where).task(found.double).wait_for_result() == [6]


@everywhere
def test_workers_have_the_callers_warning_filters(where):
    """Filters by category, message, module and line, and in their order: the last one that was set comes first."""

    def heard(_):
        found = []
        for text, kind in (("loud", UserWarning), ("quiet please", UserWarning), ("old", FutureWarning), ("fatal", UserWarning)):
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.warn(text, kind, stacklevel=1)
                found += [str(each.message) for each in caught]
            except UserWarning as error:
                found.append(f"raised {error}")
        return found

    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", message="QUIET")
        warnings.filterwarnings("ignore", category=FutureWarning, module=__name__.replace(".", r"\."))
        warnings.filterwarnings("error", message="fatal$")
        assert Pipeline([0], **where).task(heard).wait_for_result() == [["loud", "raised fatal"]]


@everywhere
def test_workers_have_the_callers_log_levels(where):
    """Of the root and of every logger, those that are switched off, and ``logging.disable``."""

    def levels(_):
        names = ("promised.errors", "promised.all", "promised.nothing")
        return [logging.getLogger(name).isEnabledFor(level) for name in names for level in (logging.INFO, logging.ERROR)]

    errors, everything, nothing = (logging.getLogger(f"promised.{name}") for name in ("errors", "all", "nothing"))
    errors.setLevel(logging.ERROR)
    everything.setLevel(logging.DEBUG)
    nothing.disabled = True
    assert Pipeline([0], **where).task(levels).wait_for_result() == [[False, True, True, True, False, False]]
    logging.disable(logging.INFO)
    try:
        assert Pipeline([0], **where).task(levels).wait_for_result() == [[False, True, False, True, False, False]]
    finally:
        logging.disable(logging.NOTSET)


SETTING = ["as it was imported"]


@in_processes
def test_module_state_that_changed_at_run_time_is_seen_only_under_fork(where):
    """A clean start imports the module anew."""
    SETTING.append("changed")
    try:
        got = Pipeline([0], **where).task(read_setting).wait_for_result()
    finally:
        SETTING.pop()
    assert got == [2 if where["start_method"] == "fork" else 1]


def read_setting(_):
    return len(SETTING)


@in_threads
def test_what_a_tap_or_a_task_does_to_the_callers_objects_stays_in_the_worker_of_a_process(where):
    """In a process a list of the caller's stays empty; threads share it."""
    seen = []
    Pipeline([1, 2], **where).tap(seen.append).wait_for_completion()
    assert seen == ([1, 2] if where["engine"] == "thread" else [])


def sockets_of_a_program(x):
    """Return the sockets that a program has which a task starts without closing any descriptor."""
    listing = subprocess.check_output(["ls", "-l", "/proc/self/fd"], close_fds=False, text=True)
    return [line for line in listing.splitlines() if "socket:" in line]


@in_processes
def test_a_program_that_a_task_starts_has_no_socket_of_the_worker(where):
    """As by os.system: it may outlive the worker, whose end would be heard of as late as its own."""
    assert Pipeline(range(1), **where).task(sockets_of_a_program).wait_for_result() == [[]]


@in_processes
def test_signals_that_the_caller_blocks_reach_what_its_tasks_start(where):
    """A program that waits for them by ``sigwait`` blocks them; a task that terminates what it has started must not wait for ever."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        [blocked] = Pipeline([()], **where).task(lambda none: signal.pthread_sigmask(signal.SIG_BLOCK, none)).wait_for_result()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert not {signal.SIGTERM, signal.SIGINT} & blocked
