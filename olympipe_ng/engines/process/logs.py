"""What workers log and print, brought to the caller's own loggers and streams, without ever holding up data.

    worker: logging ──► RelayHandler ─┐                                        ┌─► the caller's logger of that name
    worker: print   ──► LineStream ───┴─ LOG, PRINT ─► supervisor ─► LogDesk ──┴─► the caller's sys.stdout, sys.stderr

Lines travel whole. The desk is bounded, and a thread of its own works it off: a handler that is slow loses records, which are counted, but
never delays an item. Where the caller's stream is the process's own and a file, workers write to it directly, a line at a time.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import stat
import sys
import threading
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

from ... import screen
from ...lazy import lazy
from ...worker.notes import summarise
from . import protocol as p

logging = lazy("logging")
numbers = lazy("numbers")

__all__ = ["LogDesk", "handler_class", "is_own_stream", "relay", "say_directly"]

DESK = 10_000  # records that may wait; more holds more memory behind a slow handler, less drops sooner
CLOSE_SECONDS = 1.0  # for what waits at the end of a run
LINE = 1 << 16  # characters of a line that never ends, before they are passed on
PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
TOLD = "name msg args levelname levelno pathname filename module lineno funcName exc_info exc_text stack_info"
ELSEWHERE = frozenset(TOLD.split())  # of a record's attributes: they travel by themselves, or are made of others

Send = Callable[..., object]


# ----------------------------------------------------------------------------------------------------------- in the worker


def relay(send: Send, own_streams: tuple[bool, bool]) -> None:
    """Have this worker's records and lines go to the caller."""
    handler = handler_class()(send)
    for logger in [logging.getLogger(), *list(logging.getLogger().manager.loggerDict.values())]:
        if getattr(logger, "handlers", None):
            logger.handlers = []
        if getattr(logger, "propagate", True) is False:
            logger.handlers = [handler]
    logging.getLogger().handlers = [handler]
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is not None:
            lines = _lines_to(number, send, _encoding_of(stream), own=own_streams[number - 1])
            lines.name = f"<{name}>"
            setattr(sys, name, lines)


def _lines_to(number: int, send: Send, encoding: str, *, own: bool) -> LineStream:
    """Make a worker's standard stream. A file takes what is written at once, and whole; a pipe or a terminal that nobody reads would hold
    up data, and tears long lines."""
    if own and _is_file(number):
        return LineStream(lambda text: _write_whole(number, text, encoding), number, encoding)
    return LineStream(lambda text: send((p.PRINT, number, text)), number if own else None, encoding)


def _encoding_of(stream: Any) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def _is_file(number: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(number).st_mode)
    except OSError:
        return False


def _write_whole(number: int, text: str, encoding: str) -> None:
    data = text.encode(encoding, "backslashreplace")
    while data:
        data = data[os.write(number, data) :]


def say_directly(header: tuple[Any, ...]) -> None:
    """Write a line or a log record to this process's own descriptor, where nobody passes it on."""
    number, text = header[1:] if header[0] == p.PRINT else (2, f"{logging.getLevelName(header[2])}:{header[1]}:{header[5]}\n")
    _write_whole(number, text, _encoding_of(sys.stdout if number == 1 else sys.stderr))


@cache
def handler_class() -> Any:
    """Make the class late: its base comes with logging."""

    class RelayHandler(logging.Handler):  # type: ignore[misc,name-defined]
        """Sends records as plain data: the texts, not the objects."""

        def __init__(self, send: Send) -> None:
            super().__init__()
            self._send = send

        def handle(self, record: Any) -> Any:
            """Take a record without the lock that other handlers hold meanwhile: whoever sends, and logs in the middle of that (the garbage
            collector may), must not wait for one who holds it and waits to send."""
            passed = self.filter(record)
            if passed:
                self.emit(record if passed is True else passed)  # a filter may give another record
            return passed

        def emit(self, record: Any) -> None:
            try:
                self._send((p.LOG, *plain_record(record)))
            except Exception:  # as every handler: what is wrong with a record must not fail the item
                self.handleError(record)

    return RelayHandler


def plain_record(record: Any) -> tuple[Any, ...]:
    """Return the parts of a record that every handler of the caller may ask for, as plain data; what ``extra=`` gave it among them."""
    text = record.getMessage()
    failure = record.exc_text or (logging.Formatter().formatException(record.exc_info) if record.exc_info else None)
    attributes = {name: _told(value) for name, value in vars(record).items() if name not in ELSEWHERE} | {"exc_text": failure}
    name, level = _plain(record.name), int.__int__(record.levelno)
    return name, level, record.pathname, record.lineno, _plain(text), record.funcName, record.stack_info, attributes


def _told(value: Any) -> Any:
    try:
        return _plain(value)
    except Exception:  # the user's object has no text, or holds itself: nobody may ask for it, the record arrives all the same
        return f"<{type(value).__name__}>"


def _plain(value: Any) -> Any:
    """Return a value of a record as plain data: numbers and texts of a class of their own (a member of an enumeration, one of NumPy's) as
    Python's, and what is neither as its text."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is dict:
        return {_plain(key): _plain(each) for key, each in value.items()}
    if kind in (list, tuple):
        return kind(map(_plain, value))
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else str.__str__(value if isinstance(value, str) else str(value))


class LineStream(io.TextIOBase):
    """A text stream whose lines are passed on, whole. ``number``: the descriptor for whoever asks for it, if it is the caller's own;
    ``encoding``: the caller's."""

    errors = "backslashreplace"
    name = ""  # as Python calls the stream that it stands for

    def __init__(self, pass_on: Callable[[str], object], number: int | None, encoding: str) -> None:
        self._pass_on = pass_on
        self._number = number
        self._encoding = encoding
        self._rests: dict[int, str] = {}  # by thread: the line that it has begun

    def __reduce__(self) -> tuple[Any, ...]:
        """Be the receiver's own stream of this name, as the caller's is the worker's."""
        return getattr, (sys, self.name.strip("<>"))

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def writable(self) -> bool:
        return True

    def reconfigure(self, **options: object) -> None:
        """Change nothing: lines are passed on whole, as text; how they are written is the caller's stream's affair."""

    def fileno(self) -> int:
        return super().fileno() if self._number is None else self._number

    @cached_property
    def buffer(self) -> Any:
        """The descriptor, for bytes; they go there directly."""
        return io.BufferedWriter(io.FileIO(self.fileno(), "w", closefd=False))

    def write(self, text: str) -> int:
        waiting = self._rests.pop(threading.get_ident(), "") + text
        whole, newline, rest = waiting.rpartition("\n")
        if len(rest) > LINE:
            whole, newline, rest = waiting, "", ""
        if rest:
            self._rests[threading.get_ident()] = rest
        if whole or newline:
            self._pass_on(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Pass on what there is of a line: of this thread's, and of those that have ended."""
        going_on = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
        for ident in [*self._rests]:
            rest = "" if ident in going_on else self._rests.pop(ident, "")
            if rest:
                self._pass_on(rest)
        if "buffer" in self.__dict__:
            self.buffer.flush()


# ----------------------------------------------------------------------------------------------------------- in the caller


def is_own_stream(stream: Any, number: int) -> bool:
    """Say whether a stream writes to the process's own descriptor, which workers inherit (nothing else knows its lines)."""
    try:
        return stream is None or (stream in (sys.__stdout__, sys.__stderr__) and stream.fileno() == number)
    except (AttributeError, OSError, ValueError):
        return False


class LogDesk:
    """Takes records and lines as they come, and works them off in a thread of its own."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(DESK)
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._refused = 0
        self._refusal = ""  # what the handler or the stream raised first
        self._finishing = False
        self._closed = False

    def take(self, header: tuple[Any, ...]) -> bool:
        """Take a message that is a record or a line; ``False`` for any other."""
        if header[0] == p.LOG:
            self._put(lambda: _handle(header[1:]))
        elif header[0] == p.PRINT:
            self._put(lambda: _write(header[1], header[2]))
        return header[0] in (p.LOG, p.PRINT)

    def works_on(self, thread: threading.Thread) -> bool:
        """Say whether this is the thread that hands out what came."""
        return thread is self._thread

    def finish(self) -> None:
        """Let the thread end when it has worked off what waits; nothing comes any more."""
        if self._thread is not None and not self._finishing:
            self._finishing = True
            with contextlib.suppress(queue.Full):
                self._waiting.put(None, timeout=CLOSE_SECONDS)

    def close(self) -> None:
        """Work off what waits, for a while."""
        self.finish()
        if self._thread is None:
            while not self._closed and not self._waiting.empty():  # no thread could be begun
                self._do(self._waiting.get())
            return
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_SECONDS)
        self._closed = True
        self._dropped += max(0, self._waiting.qsize() - 1) if self._thread.is_alive() else 0
        self._thread = None
        self._say_dropped()

    def _say_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        refused, self._refused = self._refused, 0
        warn = logging.getLogger("olympipe_ng").warning
        if dropped:
            warn("%d lines and log records of workers were dropped: the handlers are too slow", dropped)
        if refused:
            warn("%d lines and log records of workers were dropped: the handler or the stream raised %s", refused, self._refusal)

    def _put(self, act: Callable[[], None]) -> None:
        if self._thread is None:
            self._begin()
        try:
            self._waiting.put_nowait(act)
        except queue.Full:
            self._dropped += 1

    def _begin(self) -> None:
        thread = threading.Thread(target=self._work, name="olympipe_ng log", daemon=True)
        with contextlib.suppress(RuntimeError):  # there are too many, or the interpreter ends (3.12): ``close`` works off what waits
            thread.start()
            self._thread = thread

    def _work(self) -> None:
        while not self._closed and (act := self._waiting.get()) is not None:
            self._do(act)

    def _do(self, act: Callable[[], None] | None) -> None:
        try:
            if act is not None:
                screen.make_room()
                act()
        except Exception as error:  # the user's handler or stream: no line may end this thread
            self._refused += 1
            self._refusal = self._refusal or summarise(error)


def _handle(plain: tuple[Any, ...]) -> None:
    name, level, path, line, text, function, stack, attributes = plain
    record = logging.getLogRecordFactory()(name, level, path, line, text, None, None, function, stack)
    record.__dict__.update(attributes, msg=text, args=None)  # the factory may have changed them: in the worker it has done so already
    if type(record).getMessage is not logging.LogRecord.getMessage:  # as has this
        record.getMessage = text.__str__
    logger = logging.getLogger(name)
    if logger.isEnabledFor(level):
        logger.handle(record)


def _write(number: int, text: str) -> None:
    stream = sys.stdout if number == 1 else sys.stderr
    if stream is not None:
        try:
            stream.write(text)
        except UnicodeEncodeError:  # a letter that the stream cannot write costs no line, as where a worker writes to a file itself
            encoding = _encoding_of(stream)
            stream.write(text.encode(encoding, LineStream.errors).decode(encoding))
        if hasattr(stream, "flush"):  # many objects that are printed to have none
            stream.flush()
