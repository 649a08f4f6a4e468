"""Progress while a run goes on: one refreshed line on a terminal, a plain line now and then elsewhere, or a function of the user's.

    every 0.2 s ──► make_statistics ──► LineTeller: "1 204/5 000 items, 98/s, ETA 39 s, 3 failed" ──► RefreshedLine | PlainLines
                                    └─► CallTeller: function(statistics)

One daemon thread, which an event wakes at the end. The inline engine's scheduler belongs to the thread that turns it and may not be read
from another: there no thread is made, and whoever turns the engine calls ``turn``, which looks at the clock.

Considered and refused: a snapshot that the inline engine copies at every step for another thread to show (it would cost each item, and a
line that another thread writes would tear the prompt of ``pdb``).
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TextIO

from . import screen, units
from .lazy import lazy
from .statistics import Statistics, known_total, make_statistics

shutil = lazy("shutil")

__all__ = ["LineTeller", "Pace", "PlainLines", "Progress", "RefreshedLine", "describe", "make_progress"]

QUIET_SECONDS = 1.0  # a run that is over sooner shows nothing
REFRESH_SECONDS = 0.2  # more is calmer, less is livelier
PLAIN_SECONDS = 10.0  # between lines that stay
CALL_SECONDS = 0.5
PACE_SECONDS = 10.0  # the rate is that of the last so many; more is steadier, less follows faster
JOIN_SECONDS = 2.0  # for a user's function that is being called at the end
log = logging.getLogger("olympipe_ng")


class Teller(Protocol):
    """What shows the progress: again and again, and once more at the end."""

    first: float
    """Seconds from the beginning of the run to the first time."""
    interval: float
    shows_workers: bool

    def tell(self, statistics: Statistics) -> None: ...

    def end(self, statistics: Statistics) -> None: ...


def make_progress(core: Any, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> Progress | None:
    """Show the progress of the run that ``core`` holds, as its ``progress=`` says; ``None`` where nothing is to be shown."""
    teller = _make_teller(core.config.progress, sys.stderr if stream is None else stream)
    if teller is None:
        return None
    progress = Progress(core, teller, clock)
    if core.engine.threaded:
        progress.start()
    return progress


def _make_teller(wanted: Any, stream: TextIO | None) -> Teller | None:
    if wanted is False:
        return None
    if callable(wanted):
        return CallTeller(wanted)
    if stream is None or getattr(stream, "closed", False) is True:  # python without a console; a program that has closed it
        return None
    number = None if wanted is True or wanted == "auto" else float(wanted)
    if _is_live(stream):
        return LineTeller(RefreshedLine(stream), QUIET_SECONDS, REFRESH_SECONDS if number is None else max(REFRESH_SECONDS, number))
    if wanted == "auto":
        return None
    interval = PLAIN_SECONDS if number is None else number
    return LineTeller(PlainLines(stream), interval, interval)


def _is_live(stream: TextIO) -> bool:
    """Say whether a line may be refreshed there: on a terminal, or in a notebook."""
    return bool(getattr(stream, "isatty", bool)()) or _in_notebook()


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class Progress:
    """Has a teller tell, until it is closed, or the run that it shows is held by nobody any more."""

    def __init__(self, core: Any, teller: Teller, clock: Callable[[], float]) -> None:
        self._core = weakref.ref(core)
        self._teller = teller
        self._clock = clock
        self._total = known_total(core)
        self._due = core.began + teller.first
        self._latest: Statistics | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False

    def start(self) -> None:
        """Tell from a thread of its own."""
        self._thread = threading.Thread(target=self._loop, name="olympipe_ng progress", daemon=True)
        self._thread.start()

    def turn(self) -> None:
        """Tell if it is time to, from the thread that calls this."""
        if not self._ended and self._clock() >= self._due:
            self._tell()

    def close(self) -> None:
        """Tell for the last time, and end; a user's function that calls this (by stopping the run) is left to return."""
        self._closed.set()
        if self._thread is None:
            self._end()
        elif self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)
            if self._thread.is_alive():
                log.warning("progress= is still busy in the user's function and was left behind")

    def tells_on(self, thread: threading.Thread) -> bool:
        """Say whether this is the thread that the progress is told from."""
        return thread is self._thread

    def _loop(self) -> None:
        while not self._closed.wait(min(threading.TIMEOUT_MAX, max(0.0, self._due - self._clock()))) and self._goes_on():
            self._tell()
        self._end()

    def _goes_on(self) -> bool:
        """Say whether somebody will close this: a run that is dropped while it runs is stopped, and ends without a word."""
        core = self._core()
        return core is not None and not (core.finished and core.stopping)

    def _tell(self) -> None:
        self._due = self._clock() + self._teller.interval  # before too: a function that turns the engine must not be called from itself
        statistics = self._statistics()
        if statistics is not None:
            self._teller.tell(statistics)
        self._due = self._clock() + self._teller.interval

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            statistics = self._statistics()
            if statistics is not None:
                self._teller.end(statistics)

    def _statistics(self) -> Statistics | None:
        """Return what is known now; of a run that is gone, what was known last."""
        core = self._core()
        if core is not None:
            with suppress(RuntimeError):  # the tables of an engine of threads changed while they were read: what was known before will do
                records = core.final if core.finished else core.engine.statistics()
                now, workers = self._clock(), self._teller.shows_workers
                self._latest = make_statistics(core, records, total=self._total, workers=workers, now=now)
        return self._latest


# ---------------------------------------------------------------------------------------------------------------- tellers


class CallTeller:
    """Calls a function of the user's."""

    first = interval = CALL_SECONDS
    shows_workers = True

    def __init__(self, function: Callable[[Statistics], object]) -> None:
        self._function = function
        self._raised = False

    def tell(self, statistics: Statistics) -> None:
        try:
            self._function(statistics)
        except Exception as error:  # the user's function: what only looks must not harm the run
            if not self._raised:
                self._raised = True
                log.warning("progress= raised %s; it is called again, and not reported again", type(error).__name__, exc_info=error)

    def end(self, statistics: Statistics) -> None:
        self.tell(statistics)


class Output(Protocol):
    """Where lines go."""

    def show(self, line: str) -> None: ...

    def last(self, line: str) -> None: ...


class LineTeller:
    """Writes a line, unless the run was over before anybody could wonder."""

    shows_workers = False

    def __init__(self, output: Output, first: float, interval: float) -> None:
        self.first = first
        self.interval = interval
        self._output = output
        self._pace = Pace()
        self._told = False

    def tell(self, statistics: Statistics) -> None:
        self._told = True
        self._pace.add(statistics)
        self._output.show(describe(statistics, self._pace))

    def end(self, statistics: Statistics) -> None:
        if self._told or statistics.elapsed >= QUIET_SECONDS:
            self._output.last(summarize(statistics))


class Pace:
    """How fast it goes, over the last few seconds."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, int, int]] = deque([(0.0, 0, 0)])

    def add(self, statistics: Statistics) -> None:
        """Take note of a moment."""
        self._past.append((statistics.elapsed, statistics.done, statistics.results))
        while len(self._past) > 2 and self._past[1][0] <= statistics.elapsed - PACE_SECONDS:
            self._past.popleft()

    @property
    def items(self) -> float:
        """Return the items of the source per second."""
        return self._per_second(1)

    @property
    def results(self) -> float:
        """Return the results per second."""
        return self._per_second(2)

    def _per_second(self, column: int) -> float:
        first, last = self._past[0], self._past[-1]
        passed = last[0] - first[0]
        return (last[column] - first[column]) / passed if passed > 0 else 0.0


def describe(statistics: Statistics, pace: Pace) -> str:
    """Return the line: ``1 204/5 000 items, 98/s, ETA 39 s, 3 failed``."""
    words = [_amount(statistics)]
    if not statistics.one_to_one:
        words.append(f"{units.exact(statistics.results)} results")
    words.append(units.rate(pace.items) if pace.items or not pace.results else f"{units.rate(pace.results)} results")
    words += [_eta(statistics, pace), _failed(statistics)]
    return ", ".join(word for word in words if word)


def summarize(statistics: Statistics) -> str:
    """Return the last line: ``5 000 items in 51 s, 98/s, 3 failed``."""
    words = [f"{units.exact(statistics.done)} items in {units.seconds(statistics.elapsed)}"]
    words += [] if statistics.one_to_one else [f"{units.exact(statistics.results)} results"]
    mean = statistics.done / statistics.elapsed if statistics.elapsed > 0 else 0.0
    return ", ".join(word for word in (*words, units.rate(mean), _failed(statistics)) if word)


def _amount(statistics: Statistics) -> str:
    of = "" if statistics.total is None else f"/{units.exact(statistics.total)}"
    return f"{units.exact(statistics.done)}{of} items"


def _eta(statistics: Statistics, pace: Pace) -> str:
    if statistics.total is None or pace.items <= 0 or statistics.done >= statistics.total:
        return ""
    return f"ETA {units.seconds(math.ceil((statistics.total - statistics.done) / pace.items))}"


def _failed(statistics: Statistics) -> str:
    return f"{units.exact(statistics.failed)} failed" if statistics.failed else ""


# ---------------------------------------------------------------------------------------------------------------- outputs


class PlainLines:
    """Lines that stay."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open = True

    def show(self, line: str) -> None:
        self.write(f"{line}\n")

    last = show

    def write(self, text: str) -> None:
        """Write in one piece; where nobody listens any more, never again."""
        if self._open:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # closed, or the reader is gone
                self._open = False


class RefreshedLine(PlainLines):
    """One line that is written over, and ended with a newline; of several runs at once the first to show one has it."""

    def __init__(self, stream: TextIO, width: Callable[[], int] | None = None) -> None:
        super().__init__(stream)
        self._width = partial(_terminal_width, stream) if width is None else width
        self._shown = 0
        self._mine = False
        self._lock = threading.RLock()  # who shows it and who wipes it are two; a signal handler may come in between

    def show(self, line: str) -> None:
        self._mine = self._mine or screen.claim(self)
        if self._mine:
            with self._lock:
                self.write(f"\r{self._padded(line)}")

    def wipe(self) -> None:
        """Leave the terminal's line empty."""
        with self._lock:
            if self._shown:
                self.write(f"\r{self._padded('')}\r")

    def last(self, line: str) -> None:
        self.show(line)
        if self._mine:
            self.write("\n")
            self._mine = False
            screen.release(self)

    def _padded(self, line: str) -> str:
        """Cut to the terminal, and cover with spaces what the line before had more (a notebook knows no escape codes)."""
        line = line[: max(1, self._width() - 1)]
        padded = line.ljust(min(self._shown, max(1, self._width() - 1)))
        self._shown = len(line)
        return padded


def _terminal_width(stream: TextIO) -> int:
    """Return the columns of the terminal that a stream writes to: the standard output may be a file, or another one."""
    with suppress(AttributeError, OSError, TypeError, ValueError):  # a notebook's stream, or a user's, which is no file
        columns = os.get_terminal_size(stream.fileno()).columns
        if columns > 0:
            return columns
    return int(shutil.get_terminal_size().columns)
