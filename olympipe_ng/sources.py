"""What is read: any iterable, an iterator, an async iterable, an indexable, or a callable that returns one of those.

    Pipeline(data) ──► building/source.py      checked on the user's line, nothing is opened
                            │ Source
    the source thread ──► open_source(source) ──► Reader: take(n), iterate, close, all on that thread; interrupt from any

A re-iterable source is opened anew in every run. A one-shot iterator is handed out once: its ``Memory`` holds one ticket, and who finds it
gone gets ``SourceConsumed``. So does who gives one to another pipeline when it was at its end, where that shows: of a generator, of what
iterates a list or text, of ``map`` or ``zip`` around such. ``peeked`` takes the ticket, looks at some items, and puts the reader back with
those items before it.

Only what we opened ourselves is closed (an iterator that we asked for, what a callable returned), and the user's generators, which nobody
could go on with; never the user's file.

Considered and refused: deciding what is one-shot by calling ``iter`` (opening a source at build time may cost, and may fail);
remembering which iterators were read to their end (a file is wound back, a cursor executed again, and both have items once more).
"""

from __future__ import annotations

import reprlib
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

from .errors import SourceConsumed
from .graph import Source
from .options import RunConfig
from .readers import AsyncReader, IteratorReader, LoopReader, Reader, SliceReader

__all__ = ["Opener", "hint", "on_loop", "open_source", "peeked", "under"]

Awaiting = Callable[[Any], Reader]  # makes the reader of an async iterable: on which loop is for whoever opens it to say
SEQUENTIAL = frozenset(map(type, map(iter, ([], (), "", "\u20ac", b""))))  # pickled with their place, but at their end
AROUND_OTHERS = frozenset({map, filter, zip, enumerate})


class Opener:
    """Data of our own making, which opens its reader itself: ``repeat``, a preview, the user's event loop."""

    def open(self) -> Reader:
        """Return a reader for one run."""
        raise NotImplementedError

    def under(self, config: RunConfig) -> Opener:
        """Return what opens it in a run with these options."""
        return self


def open_source(source: Source, awaiting: Awaiting = AsyncReader) -> Reader:
    """Open ``source`` for one run, on the thread that will read it; ``SourceConsumed`` if it was a one-shot and is used up."""
    if isinstance(source.data, Opener):
        return source.data.open()
    if source.one_shot:
        return _open_once(source, awaiting)
    if _is_readable(source.data):
        return _read(source.data, awaiting)
    return _read_returned(source, source.data(), awaiting)


def under(source: Source, config: RunConfig) -> Source:
    """Stand in for ``source`` in a run with these options, which a run inside it is to have, too."""
    return replace(source, data=source.data.under(config)) if isinstance(source.data, Opener) else source


def hint(error: BaseException) -> str:
    """Say what to do about an error that a source raised, ``""`` if nothing is known: a text to put below it."""
    if type(error).__name__ == "ProgrammingError" and "thread" in str(error):
        return (
            "A source is read on a thread of its own. Make what belongs to one thread (a database connection, its cursor) inside a"
            " function, and give the function as the source: Pipeline(rows), where rows() connects and yields the rows."
        )
    return ""


def peeked(source: Source) -> Source:
    """Stand in for ``source`` in a run that only looks: what that run draws from a one-shot is given to the next run first."""
    return replace(source, data=_Peek(source)) if source.one_shot else source


def on_loop(source: Source, loop: Any) -> Source:
    """Stand in for ``source`` in a run under ``async for``: an async iterable is iterated on the user's own ``loop``."""
    return replace(source, data=_OnLoop(source, loop)) if _may_be_async(source.data) else source


class _OnLoop(Opener):
    def __init__(self, source: Source, loop: Any) -> None:
        self._source, self._loop = source, loop

    def open(self) -> Reader:
        return open_source(self._source, lambda data: LoopReader(data, self._loop))


class _Peek(Opener):
    def __init__(self, source: Source) -> None:
        self._source = source

    def open(self) -> Reader:
        return _PeekReader(self._source, open_source(self._source))


class _PeekReader(Reader):
    """Keeps what it draws, and gives it back with the reader, which stays open."""

    def __init__(self, source: Source, reader: Reader) -> None:
        super().__init__()
        self._source, self._reader = source, reader
        self._drawn: list[Any] = []
        self._failed: BaseException | None = None

    def interrupt(self) -> None:
        self._reader.interrupt()

    def close(self) -> None:
        self._reader.put_back(self._drawn, self._failed)
        self._source.memory.unread.append(self._reader)

    def _draw(self) -> Any:
        try:
            item = next(self._reader)
        except StopIteration:
            raise
        except BaseException as error:  # the user's source raised: the next run must meet this error where it stands
            self._failed = error
            raise
        self._drawn.append(item)
        return item


def _open_once(source: Source, awaiting: Awaiting) -> Reader:
    kept: Reader | None = _take_ticket(source)
    if kept is not None:
        return kept
    if _has(source.data, "__next__"):
        return IteratorReader(iter(source.data), ours=False)
    return awaiting(source.data)


def _take_ticket(source: Source) -> Any:
    try:
        kept = source.memory.unread.pop()
    except IndexError:
        raise _consumed(source, "was already consumed by an earlier run") from None
    if kept is None and _is_finished(source.data):
        raise _consumed(source, "is already exhausted or closed")
    return kept


def _consumed(source: Source, how: str) -> SourceConsumed:
    where = f" ({source.declared_at})" if source.declared_at else ""
    return SourceConsumed(
        f"{source.label!r}{where}: this one-shot iterator {how}. To run more than once give what can be iterated again:"
        " a list, or a function that makes a new iterator for each run.",
        declared_at=source.declared_at or None,
    )


def _read_returned(source: Source, data: Any, awaiting: Awaiting) -> Reader:
    if isinstance(data, str) or not _is_readable(data):
        if _has(data, "close"):
            data.close()  # a coroutine, most likely: spare the user "was never awaited" on top
        raise TypeError(f"the source function {source.label!r} must return something to iterate, it returned {reprlib.repr(data)}")
    if _is_finished(data):
        raise _consumed(source, "that the source function returned is already exhausted or closed")
    return _read(data, awaiting, ours=True)


def _read(data: Any, awaiting: Awaiting, *, ours: bool = False) -> Reader:
    if type(data) in (list, tuple, range):
        return SliceReader(data)
    if _has(data, "__iter__"):
        iterator = iter(data)
        return IteratorReader(iterator, ours=ours or iterator is not data)
    if _has(data, "__aiter__"):
        return awaiting(data)
    return IteratorReader(_by_index(data) if _has(data, "__len__") else iter(data), ours=True)


def _by_index(data: Any) -> Iterator[Any]:
    for index in range(len(data)):
        yield data[index]


def _is_readable(data: Any) -> bool:
    return any(_has(data, name) for name in ("__iter__", "__aiter__", "__getitem__"))


def _may_be_async(data: Any) -> bool:
    """Say whether it is async, or a function: what that returns is known when it is called."""
    return not _has(data, "__iter__") if _has(data, "__aiter__") else callable(data) and not _is_readable(data)


def _is_finished(data: Any) -> bool:
    """Say whether a one-shot has told before that it is at its end, and stays there: where that shows. No other kind is asked for
    anything, for it may have an answer to any name."""
    if type(data) in SEQUENTIAL:
        return len(data.__reduce__()) == 2
    if type(data) in AROUND_OTHERS:
        return any(_has(each, "__next__") and _is_finished(each) for each in data.__reduce__()[1])
    frame = "gi_frame" if isinstance(data, Generator) else "ag_frame" if isinstance(data, AsyncGenerator) else ""
    return bool(frame) and getattr(data, frame, data) is None


def _has(data: Any, name: str) -> bool:
    return getattr(type(data), name, None) is not None
