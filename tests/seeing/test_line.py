from __future__ import annotations

import fcntl
import io
import logging
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable

import pytest

from olympipe_ng import Pipeline
from olympipe_ng.caller import _log as say
from olympipe_ng.engines.process import protocol as p
from olympipe_ng.engines.process.logs import LogDesk
from olympipe_ng.progress import LineTeller, Pace, PlainLines, RefreshedLine, describe, summarize
from olympipe_ng.scheduler.messages import Counts
from olympipe_ng.screen import make_room
from tests.seeing.hand_made import StillRun, Terminal, at, load, record, still_run


def shown(run: StillRun, pace: Pace | None = None) -> str:
    pace = Pace() if pace is None else pace
    pace.add(run.statistics())
    return describe(run.statistics(), pace)


# ---------------------------------------------------------------------------------------------------------------- the line


def test_a_line_tells_done_rate_eta_and_failures() -> None:
    """1 000 of 5 000 items took 10 seconds: 40 more are to come."""
    run = still_run(1000, elapsed=10)
    run.unaccounted = 3
    assert shown(run) == "1 000/5 000 items, 100/s, ETA 40 s, 3 failed"


def test_without_a_total_there_is_no_eta() -> None:
    """Nobody knows when a generator ends."""
    assert shown(still_run(1000, elapsed=10, source=iter([]))) == "1 000 items, 100/s"


def test_a_total_that_was_told_gives_an_eta() -> None:
    """``total=`` stands for the length that a generator has not."""
    assert shown(still_run(1000, elapsed=10, source=iter([]), total=2000)) == "1 000/2 000 items, 100/s, ETA 10 s"


def test_a_total_that_was_told_too_low_gives_no_eta() -> None:
    """The estimate never becomes negative."""
    assert shown(still_run(1000, elapsed=10, source=iter([]), total=7)) == "1 000/7 items, 100/s"


@pytest.mark.parametrize("elapsed", [0.0, 5.0])
def test_a_run_that_did_nothing_yet_has_no_eta(elapsed: float) -> None:
    """Nothing is divided by nothing."""
    assert shown(still_run(0, elapsed=elapsed)) == "0/5 000 items, 0/s"


def test_results_are_counted_where_they_are_not_the_items() -> None:
    """A filter makes fewer results than items, and both are of interest."""
    records = [record(0, 100, 100), record(1, 100, 10, counts=Counts(passed=10, filtered=90)), record(2, 10, 10)]
    assert shown(StillRun([Pipeline(range(200)).filter(load)], *records)) == "100/200 items, 10 results, 10/s, ETA 10 s"


def test_one_item_that_makes_many_results_shows_their_rate() -> None:
    """The source's only item is done at the very end; meanwhile results tell that it goes on."""
    records = [record(0, 1, 1), record(1, 1, 500, counts=Counts()), record(2, 500, 500)]
    assert shown(StillRun([Pipeline([1]).explode(load)], *records)) == "0/1 items, 500 results, 50/s results"


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """A slow start is forgotten: 100/s is what it does now."""
    run, pace = still_run(), Pace()
    done = 0
    for second in range(60):
        done += 1 if second < 30 else 100
        run.clock.advance(1)
        run.engine.records = at(done)
        pace.add(run.statistics())
    assert pace.items == pytest.approx(100)
    assert shown(run, pace).endswith("100/s, ETA 20 s")


def test_the_last_line_says_how_long_it_took() -> None:
    """No ETA any more: the mean over the whole run."""
    run = still_run(5000, elapsed=50).finish()
    run.unaccounted = 2
    assert summarize(run.statistics()) == "5 000 items in 50 s, 100/s, 2 failed"
    assert summarize(still_run().finish().statistics()) == "0 items in 0 s, 0/s"


# ------------------------------------------------------------------------------------------------------------ the terminal


def test_a_line_is_written_over() -> None:
    """A shorter line leaves nothing of the longer one before it, and the last ends with a newline."""
    terminal = Terminal()
    line = RefreshedLine(terminal, width=lambda: 80)
    line.show("a long line")
    line.show("short")
    assert terminal.screen == ["short"]
    line.last("end")
    assert terminal.screen == ["end", ""]


def test_a_line_is_cut_to_the_terminal() -> None:
    """A line that wraps could not be written over."""
    terminal = Terminal()
    RefreshedLine(terminal, width=lambda: 10).last("0123456789abc")
    assert terminal.screen == ["012345678", ""]


def test_the_width_is_that_of_the_terminal_which_shows_the_line() -> None:
    """A line that is shown on the standard error's terminal does not wrap where the standard output is a file, which has no width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 10, 0, 0))
    with open(theirs, "w") as stream:
        RefreshedLine(stream).last("0123456789abc")
        shown = os.read(ours, 100)
    os.close(ours)
    assert shown == b"\r012345678\r\n"


def test_what_is_printed_afterwards_stands_on_its_own_line() -> None:
    """A traceback begins where a line begins."""
    terminal = Terminal()
    line = RefreshedLine(terminal)
    line.show("5 items")
    line.last("9 items")
    print("Traceback (most recent call last):", file=terminal)
    assert terminal.screen[1] == "Traceback (most recent call last):"


def test_of_two_runs_one_has_the_line() -> None:
    """Two runs at once do not write over each other; the line is free again afterwards."""
    terminal = Terminal()
    first, second = RefreshedLine(terminal), RefreshedLine(terminal)
    first.show("first")
    second.show("second")
    assert terminal.screen == ["first"]
    first.last("first")
    second.last("second")
    assert terminal.screen == ["first", "second", ""]


def logged() -> None:
    say("a line that %s", "stays")


def printed_by_a_worker() -> None:
    desk = LogDesk()
    desk.take((p.PRINT, 1, "a line that stays\n"))
    desk.close()


@pytest.mark.parametrize("bring", [logged, printed_by_a_worker])
def test_a_line_that_stays_is_not_put_behind_the_one_that_is_written_over(
    bring: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what a run logs and what workers print and log all is read in lines of its own, with nothing of the progress in them."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(terminal))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    line = RefreshedLine(terminal, width=lambda: 80)
    line.show("500/1 000 items, 50/s, ETA 10 s")
    bring()
    line.last("1 000 items")
    bring()
    assert terminal.screen == ["a line that stays", "1 000 items", "a line that stays", ""]


def test_a_forked_process_wipes_nothing_of_its_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may print while the line of another run is shown, or be forked in the middle of that."""
    terminal = Terminal()
    line = RefreshedLine(terminal, width=lambda: 80)
    line.show("500 items")
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    make_room()
    monkeypatch.undo()
    line.last("501 items")
    assert terminal.screen == ["501 items", ""]
    assert "     " not in terminal.getvalue()


@pytest.mark.parametrize("error", [BrokenPipeError, ValueError])
def test_a_closed_stream_is_left_alone(error: type[Exception]) -> None:
    """Nobody reads any more: that does not harm the run."""

    class Closed(Terminal):
        attempts = 0

        def write(self, text: str) -> int:
            self.attempts += 1
            raise error

    stream = Closed()
    lines = PlainLines(stream)
    lines.show("a")
    lines.show("b")
    assert stream.attempts == 1


def test_a_line_teller_is_quiet_about_a_run_that_was_short() -> None:
    """What took less than a second needs no line."""
    stream = io.StringIO()
    LineTeller(PlainLines(stream), 1, 1).end(still_run(elapsed=0.5).statistics())
    assert stream.getvalue() == ""
