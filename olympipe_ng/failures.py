"""A failure on its way: made where it happened, carried as plain data, raised where the user is.

    worker: exception ──► Note (marshal-able) ──► scheduler (never looks inside) ──► caller: ItemError, or Failure, or one line in .errors

``Note`` holds texts and, if it pickles *and* unpickles, the exception itself as bytes; so an exception that cannot be rebuilt still
arrives with its type's name and its whole text.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from . import errors

__all__ = ["Failure", "Kind", "Note", "RemoteTraceback", "carry", "describe_item", "goes_on", "in_caller", "is_recorded", "to_error"]

T = TypeVar("T")

REPR_LENGTH = 120  # characters of an item's repr in messages


class Kind:
    """How it failed; plain strings, since notes travel as plain data."""

    RAISED = "raised"
    TIMEOUT = "timeout"
    DIED = "died"
    SERIALIZATION = "serialization"
    SOURCE = "source"
    CONSUMED = "consumed"
    STREAM_TIMEOUT = "stream timeout"
    TOO_MANY = "too many"
    SETUP = "setup"
    CLOSE = "close"
    INTERNAL = "internal"


_CLASSES: dict[str, type[errors.PipelineError]] = {
    Kind.RAISED: errors.StageError,
    Kind.TIMEOUT: errors.StageTimeout,
    Kind.DIED: errors.WorkerDied,
    Kind.SERIALIZATION: errors.SerializationError,
    Kind.SOURCE: errors.SourceError,
    Kind.CONSUMED: errors.SourceConsumed,
    Kind.STREAM_TIMEOUT: errors.StreamTimeout,
    Kind.TOO_MANY: errors.TooManyFailures,
    Kind.SETUP: errors.StageError,
    Kind.CLOSE: errors.StageError,
    Kind.INTERNAL: errors.InternalError,
}


class Note(NamedTuple):
    """A failure as plain data: what every error says, and what rebuilds it."""

    kind: str
    stage: str = ""  # "2 'resize'"
    declared_at: str = ""
    index: int | None = None  # type: ignore[assignment]  # the item's index in its source
    item_repr: str | None = None
    summary: str = ""  # "OSError: image file is truncated"
    traceback: str = ""
    exception: bytes | None = None  # pickled, if that can be undone
    attempts: int = 1
    emitted: int = 0
    pid: int | None = None
    hint: str = ""
    node: int = -1

    def in_words(self) -> Note:
        """Return it without the exception: of the many that are collected only the texts are kept."""
        return self._replace(exception=None)

    def text(self) -> str:
        """Return the message: *stage 2 'resize' (app.py:41), item 1204 'img/7.jpg': OSError: image file is truncated*."""
        where = f"stage {self.stage}" if self.stage else ""
        if self.declared_at:
            where += f" ({self.declared_at})"
        if self.index is not None:
            where += f", item {self.index}"
        if self.item_repr is not None:
            where += f" {self.item_repr}"
        what = {Kind.SETUP: "set-up failed: ", Kind.CLOSE: "closing failed: "}.get(self.kind, "") + self.summary
        parts = [part for part in (where, what) if part]
        if self.attempts > 1:
            parts[-1] += f" (after {self.attempts} attempts)"
        return ": ".join(parts) + (f"\n{self.hint}" if self.hint else "")


def goes_on(on_error: str) -> bool:
    """Say whether a stage's policy lets the run go on behind an item that could not be handed on or loaded: nothing can replace that."""
    return on_error in ("skip", "collect")


def is_recorded(on_error: str) -> bool:
    """Say whether such a failure is told of, beside being counted."""
    return on_error == "collect"


def in_caller() -> tuple[type[BaseException], ...]:
    """Say what of the user's code is a failure where it may run in the caller's own thread: whatever was just raised, but
    ``KeyboardInterrupt``, the user's own Ctrl-C."""
    return () if isinstance(sys.exc_info()[1], KeyboardInterrupt) else (BaseException,)


class RemoteTraceback(Exception):
    """Carry a worker's traceback into the caller's: shown by Python above the exception (as ``concurrent.futures`` does)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


@dataclass(frozen=True)
class Failure(Generic[T]):
    """An item that failed, as ``on_error="branch"`` hands it out: to write, count or repair.

    >>> from olympipe_ng import Pipeline
    >>> good, bad = Pipeline([4, 0, 2], engine="inline").task(lambda x: 8 // x, on_error="branch")
    >>> good, bad = Pipeline.wait_for_all_results([good, bad])
    >>> good, [(failure.item, failure.index, failure.exception) for failure in bad]
    ([2, 4], [(0, 1, ZeroDivisionError('integer division or modulo by zero'))])

    ``item`` is the input of the stage, ``index`` its index in the source, ``stage`` the stage's number and name, ``exception`` what the
    function raised, ``traceback`` its text, ``attempts`` how often it was tried, ``emitted`` how many outputs an ``explode`` gave before.
    """

    item: T
    index: int | None
    stage: str
    exception: BaseException
    traceback: str
    attempts: int = 1
    emitted: int = 0

    def __reduce__(self) -> Any:
        values = (self.item, self.index, self.stage, self.exception, self.traceback, self.attempts, self.emitted)
        carried = getattr(self, "_carried", None)
        if carried is None:
            return type(self), values
        return _rebuild, (type(self), carried, *values[:3], *values[4:])


def carry(failure: Failure[T], exception: bytes | None) -> Failure[T]:
    """Have a failure travel with its exception as these bytes: they are known to load, which its own pickling is not."""
    object.__setattr__(failure, "_carried", exception)
    return failure


def _rebuild(kind: Any, carried: bytes, item: Any, index: int | None, stage: str, traceback: str, attempts: int, emitted: int) -> Any:
    exception = pickle.loads(carried)
    return carry(kind(item, index, stage, exception, traceback, attempts, emitted), carried)


def describe_item(item: Any) -> str:
    """Return a shortened ``repr`` of a user's item, whatever its ``__repr__`` does."""
    try:
        text = str.__str__(repr(item))  # of a class of its own it could not travel
    except in_caller() as error:  # the user's __repr__: its failure must not hide the failure that is being described
        return f"<{type(item).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= REPR_LENGTH else f"{text[: REPR_LENGTH - 20]}...{text[-17:]}"


def to_error(note: Note, cause: BaseException | None, recorded: list[str]) -> errors.PipelineError:
    """Make the error that the user sees; ``cause`` is the rebuilt exception, if there is one."""
    if isinstance(cause, errors.PipelineError) and note.kind in (Kind.SOURCE, Kind.CONSUMED):
        return cause  # raised by a pipeline inside the source: it says everything already
    error = _CLASSES[note.kind](
        note.text(),
        stage=note.stage or None,
        index=note.index,
        item_repr=note.item_repr,
        declared_at=note.declared_at or None,
        worker_pid=note.pid,
        traceback_text=note.traceback or None,
        errors=[*recorded, note.text()],
    )
    if cause is not None and note.traceback and cause.__traceback__ is None:
        BaseException.__setattr__(cause, "__cause__", RemoteTraceback(note.traceback))  # a class of its own may allow no change
    error.__cause__ = cause if cause is not None else (RemoteTraceback(note.traceback) if note.traceback else None)
    return error
