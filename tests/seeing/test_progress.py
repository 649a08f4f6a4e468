from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from olympipe_ng.progress import PLAIN_SECONDS, QUIET_SECONDS, REFRESH_SECONDS, CallTeller, Progress, make_progress
from olympipe_ng.statistics import Statistics
from tests.seeing.hand_made import StillRun, Terminal, at, still_run

PATIENCE = 10  # seconds that a thread is waited for, if all goes wrong


# --------------------------------------------------------------------------------------------------- which progress it is


def teller_of(run: StillRun, stream: io.StringIO) -> Any:
    progress = make_progress(run, stream=stream, clock=run.clock)
    if progress is None:
        return None
    progress.close()
    return progress._teller


def test_auto_shows_nothing_off_a_terminal() -> None:
    """A log file, a pipe and a test see not a byte, and there is no thread."""
    stream = io.StringIO()
    assert make_progress(still_run(), stream=stream) is None
    assert stream.getvalue() == ""


def test_auto_refreshes_a_line_on_a_terminal() -> None:
    """After a second, five times a second."""
    teller = teller_of(still_run(), Terminal())
    assert (teller.first, teller.interval) == (QUIET_SECONDS, REFRESH_SECONDS)


def test_auto_refreshes_a_line_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook is no terminal, and shows a refreshed line."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert teller_of(still_run(), io.StringIO()).interval == REFRESH_SECONDS


def test_auto_is_not_misled_by_ipython_without_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython in a pipe, or imported only, is no notebook."""
    for shell in (None, SimpleNamespace()):
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert teller_of(still_run(), io.StringIO()) is None


@pytest.mark.parametrize(("wanted", "seconds"), [(True, PLAIN_SECONDS), (3, 3.0), (0.5, 0.5)])
def test_asked_for_it_writes_plain_lines_off_a_terminal(wanted: Any, seconds: float) -> None:
    """``True``: every ten seconds; a number: every so many."""
    teller = teller_of(still_run(progress=wanted), io.StringIO())
    assert (teller.first, teller.interval) == (seconds, seconds)


def test_a_number_on_a_terminal_refreshes_so_often() -> None:
    """But never more than five times a second."""
    assert teller_of(still_run(progress=2), Terminal()).interval == 2
    assert teller_of(still_run(progress=0.001), Terminal()).interval == REFRESH_SECONDS


def test_false_shows_nothing() -> None:
    """Not even on a terminal."""
    assert make_progress(still_run(progress=False), stream=Terminal()) is None


def test_without_any_stderr_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program without a console has no stream at all."""
    monkeypatch.setattr(sys, "stderr", None)
    assert make_progress(still_run(progress=True)) is None


@pytest.mark.parametrize("wanted", ["auto", True, 3])
def test_on_a_closed_stderr_nothing_is_shown(wanted: Any) -> None:
    """A program that has closed it, as one that goes into the background, runs its pipelines all the same."""
    stream = io.StringIO()
    stream.close()
    assert make_progress(still_run(progress=wanted), stream=stream) is None


# ------------------------------------------------------------------------------------------------ turned by the caller


def turned(stream: io.StringIO, **options: Any) -> tuple[StillRun, Progress]:
    """Begin to show a run of an engine that the caller turns."""
    run = still_run(threaded=False, engine="inline", **options)
    progress = make_progress(run, stream=stream, clock=run.clock)
    assert progress is not None
    run.progress = progress
    return run, progress


def turn(run: StillRun, seconds: float, done: int) -> None:
    run.clock.advance(seconds)
    run.engine.records[:] = at(done)
    run.step()


@pytest.fixture
def threads() -> Callable[[], list[str]]:
    before = set(threading.enumerate())
    return lambda: [thread.name for thread in threading.enumerate() if thread not in before]


def test_an_inline_run_is_shown_by_the_thread_that_turns_it(threads: Callable[[], list[str]]) -> None:
    """Its scheduler is read by no other thread: there is none."""
    terminal = Terminal()
    run, progress = turned(terminal)
    turn(run, 0.9, 90)
    assert terminal.getvalue() == ""
    turn(run, 0.1, 100)
    assert terminal.screen == ["100/5 000 items, 100/s, ETA 49 s"]
    turn(run, 0.1, 110)
    assert terminal.screen == ["100/5 000 items, 100/s, ETA 49 s"]
    turn(run, 0.1, 120)
    assert terminal.screen == ["120/5 000 items, 100/s, ETA 49 s"]
    assert threads() == []
    assert run.engine.turns == 4
    run.final = at(120)
    run.finish()
    progress.close()
    progress.close()
    assert terminal.screen == ["120 items in 1.2 s, 100/s", ""]


def test_a_short_run_shows_nothing() -> None:
    """Less than a second: not a byte, also at the end."""
    terminal = Terminal()
    run, progress = turned(terminal)
    run.clock.advance(0.5)
    run.step()
    run.finish()
    progress.close()
    assert terminal.getvalue() == ""


def test_plain_lines_stay() -> None:
    """Off a terminal there are no carriage returns, and a line at the end."""
    stream = io.StringIO()
    run, progress = turned(stream, progress=True)
    for _ in range(25):
        run.clock.advance(1)
        run.step()
    run.finish()
    progress.close()
    assert "\r" not in stream.getvalue()
    assert stream.getvalue().splitlines() == ["0/5 000 items, 0/s", "0/5 000 items, 0/s", "0 items in 25 s, 0/s"]


def test_a_function_that_turns_the_engine_is_not_called_from_itself() -> None:
    """A function that stops the run waits for its end, and so turns the engine that calls it."""
    calls: list[Statistics] = []

    def stop(statistics: Statistics) -> None:
        calls.append(statistics)
        run.step()

    run, _ = turned(io.StringIO(), progress=stop)
    run.clock.advance(1)
    run.step()
    assert len(calls) == 1


# ---------------------------------------------------------------------------------------------------------- from a thread


class Calls:
    """A function of the user's that remembers its calls, and by which threads."""

    def __init__(self, error: Exception | None = None) -> None:
        self.statistics: list[Statistics] = []
        self.threads: set[str] = set()
        self.called = threading.Event()
        self._error = error

    def __call__(self, statistics: Statistics) -> None:
        self.statistics.append(statistics)
        self.threads.add(threading.current_thread().name)
        self.called.set()
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        assert self.called.wait(PATIENCE)
        self.called.clear()


def test_a_function_is_called_while_it_runs_and_at_the_end(threads: Callable[[], list[str]]) -> None:
    """In this process, from the progress thread, with ``Statistics``; the thread is gone afterwards."""
    calls = Calls()
    run = still_run(7, elapsed=100, progress=calls)
    progress = make_progress(run, clock=run.clock)
    assert progress is not None
    calls.wait()
    assert threads() == ["olympipe_ng progress"]
    run.finish()
    progress.close()
    assert threads() == []
    assert calls.threads == {"olympipe_ng progress"}
    assert [statistics.done for statistics in calls.statistics] == [7] * len(calls.statistics)
    assert [calls.statistics[0].finished, calls.statistics[-1].finished] == [False, True]


def test_a_run_that_is_over_at_once_calls_the_function_once() -> None:
    """The end is told, however early."""
    calls = Calls()
    run = still_run(progress=calls)
    progress = make_progress(run, clock=run.clock)
    assert progress is not None
    run.finish()
    progress.close()
    assert len(calls.statistics) == 1


def test_a_function_that_raises_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is called again, and its error harms nothing."""
    teller = CallTeller(Calls(ValueError("mine")))
    statistics = still_run().statistics()
    with caplog.at_level(logging.WARNING, "olympipe_ng"):
        teller.tell(statistics)
        teller.tell(statistics)
        teller.end(statistics)
    [logged] = caplog.records
    assert "progress= raised ValueError" in logged.message
    assert logged.exc_info is not None
    assert len(teller._function.statistics) == 3  # type: ignore[attr-defined]


def test_closing_from_the_function_does_not_wait_for_itself(threads: Callable[[], list[str]]) -> None:
    """A function may stop the run that calls it."""
    closed = threading.Event()

    def close(statistics: Statistics) -> None:
        if ready.wait(PATIENCE) and not closed.is_set() and progress is not None:
            progress.close()
            closed.set()

    ready = threading.Event()
    run = still_run(elapsed=100, progress=close)
    progress = make_progress(run, clock=run.clock)
    assert progress is not None
    ready.set()
    assert closed.wait(PATIENCE)
    progress.close()
    assert threads() == []


def test_an_engine_that_changes_while_it_is_read_is_read_again_later() -> None:
    """What was known before is shown once more."""
    calls = Calls()
    run = still_run(elapsed=100, progress=calls, threaded=False)
    progress = make_progress(run, clock=run.clock)
    assert progress is not None
    progress.turn()

    def ask() -> None:
        raise RuntimeError("dictionary changed size during iteration")

    run.engine.ask = ask
    run.clock.advance(1)
    progress.turn()
    assert len(calls.statistics) == 2
    assert calls.statistics[0] is calls.statistics[1]


@pytest.mark.parametrize("gone", [True, False])
def test_the_thread_ends_with_a_run_that_nobody_holds(gone: bool, threads: Callable[[], list[str]]) -> None:
    """A run that is dropped is closed by nobody."""
    terminal = Terminal()
    run = still_run(elapsed=100)
    progress = make_progress(run, stream=terminal, clock=run.clock)
    assert progress is not None
    thread = progress._thread
    assert thread is not None
    if gone:
        del run
    else:
        run.finished = run.stopping = True
    thread.join(PATIENCE)
    assert threads() == []
    assert terminal.screen[-1] == ""


def test_a_line_from_a_thread_ends_with_a_newline() -> None:
    """Whatever came between, the cursor stands at the beginning of a line when the run is over."""
    terminal = Terminal()
    run = still_run(1000, elapsed=10)
    progress = make_progress(run, stream=terminal, clock=run.clock)
    assert progress is not None
    run.finish()
    progress.close()
    assert terminal.screen == ["1 000 items in 10 s, 100/s", ""]
