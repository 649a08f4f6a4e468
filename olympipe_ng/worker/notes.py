"""Failures in words: what a worker writes down of an exception, so that whoever reads it elsewhere knows what happened and where.

    exception ──► make_note ──► Note: stage, line, item, summary, traceback from the user's code on, and the exception where it can travel
"""

from __future__ import annotations

import os
import traceback
from dataclasses import replace
from typing import Any

from ..errors import StreamTimeout
from ..failures import Failure, Kind, Note, carry, in_caller, to_error
from .spec import Codec, StageSpec

__all__ = ["failure_without_exception", "failure_without_objects", "make_note", "shortened_traceback", "summarise"]

TRACEBACK_LENGTH = 65_536  # characters; beyond it head and tail are kept, for the cause stands at either end


def failure_without_exception(failure: Failure[Any], note: Note) -> Failure[Any]:
    """Let an error of ours stand for an exception that cannot cross."""
    exception = failure.exception if note.exception is not None else to_error(note, None, [])
    return carry(replace(failure, exception=exception), note.exception)


def failure_without_objects(failure: Failure[Any], note: Note) -> Failure[Any]:
    """Give the text of an item that cannot cross either."""
    return carry(replace(failure_without_exception(failure, note), item=note.item_repr), note.exception)


def make_note(
    spec: StageSpec, codec: Codec, error: BaseException, kind: str, index: int | None = None, item_repr: str | None = None
) -> Note:
    """Write down a failure: where, over what, and the exception itself if it can be rebuilt."""
    if isinstance(error, StreamTimeout):
        kind = Kind.STREAM_TIMEOUT
    late = kind == Kind.TIMEOUT
    return Note(
        kind=kind,
        stage=spec.title,
        declared_at=spec.declared_at,
        index=index,
        item_repr=item_repr,
        summary=str(error) if late else summarise(error),
        traceback=shortened_traceback(error),
        exception=None if late else codec.dump_exception(error),
        pid=os.getpid(),
        node=spec.plan.number,
    )


def shortened_traceback(error: BaseException) -> str:
    """Return the traceback's text, from the user's code on."""
    trace = _own_frames_off(error)
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except in_caller():  # the user's exception is asked whether it is true, and for its notes
        lines = [*traceback.format_tb(trace), summarise(error)]
    return _shortened("".join(lines))


def summarise(error: BaseException) -> str:
    """Return ``OSError: image file is truncated``, whatever the exception's ``__str__`` does."""
    try:
        text = str.__str__(str(error))  # of a class of its own it could not travel
    except in_caller() as failure:  # the user's __str__: its failure must not hide the failure that is being described
        text = f"<str() of it raised {type(failure).__name__}>"
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    return _shortened(f"{name}: {text}" if text else name)


def _own_frames_off(error: BaseException) -> Any:
    """Let the traceback begin in the user's code, not in this worker's loop."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(__package__):
        trace = trace.tb_next
    return trace


def _shortened(text: str) -> str:
    half = TRACEBACK_LENGTH // 2
    return text if len(text) <= TRACEBACK_LENGTH else f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"

