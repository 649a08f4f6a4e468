"""Reading a source as far as the scheduler asks: on a thread of its own, or step by step in the caller's.

    Pull(upto, hungry) ──► Feeder ── next(source) ──► encoder ──► SourceFrame          as soon as somebody is hungry,
                                                                                       the frame is full, or what was asked for is drawn

The source may block for ever inside ``next``; so what was drawn before can be shipped from another thread (``pull`` does, for the hungry).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import SourceConsumed
from ..failures import Kind, Note, describe_item, goes_on, is_recorded
from ..graph import Source
from ..origins import Origins
from ..plan import FRAME_ITEMS
from ..readers import Reader
from ..scalars import NUMBERS
from ..scheduler.messages import Event, Parcel, SourceEnd, SourceFailed, SourceFrame, Stop
from ..sources import hint, open_source
from ..transport.packing import MOST
from ..worker import Catch, everything
from ..worker.notes import shortened_traceback, summarise
from ..worker.spec import Codec

__all__ = ["Feeder", "FeederHere", "FeederThread"]

INLINE_BYTES = 256 << 10  # of a frame, where they travel from socket to socket; more needs fewer messages, less is copied sooner
FRAME_BYTES = 4 << 20  # of a frame with all that it refers to in shared memory; more needs fewer messages, less is sooner used again
FRAME_AGE = 0.004  # seconds that an item may wait for company while nobody is hungry


class Feeder:
    """Draws one source of a run; see the head of this module."""

    def __init__(
        self,
        node: int,
        ordinal: int,
        source: Source,
        codec: Codec,
        send: Callable[[Event], None],
        on_error: Any,
        *,
        warn: Callable[[str], None] = lambda text: None,
        catch: Catch = everything,
    ) -> None:
        self.node = node
        self.upto = 0
        self.closed = False  # nothing more is drawn
        self.ended = False
        self.failed = 0  # items that were left out, and what failed in a run inside the source
        self._ordinal = ordinal
        self._source = source
        self._codec = codec
        self._send = send
        self._warn = warn
        self._catch = catch
        self._goes_on = goes_on(on_error)
        self._failed_inside = 0  # of ``failed``, what failed in a run inside the source
        self._records = is_recorded(on_error)
        self._encoder = codec.encoder()
        self._together = codec.together
        self._waiting: list[Any] = []  # drawn, to be encoded together
        self._lock = threading.Lock()  # of the encoder: held while items are pickled, which is the user's code and may last
        self._gate = threading.Lock()  # of what says whether to go on: held for a moment
        self._drawn = 0  # items drawn
        self._kept = 0  # items shipped or about to be
        self._first = 0  # number of the first item in the encoder
        self._began = 0.0
        self._hungry = False
        self._unwanted = False  # what was drawn, too
        self._reader: Reader | None = None

    def move_in(self) -> None:
        """Encode from now on by what is this thread's own: other sources may be defining classes to the workers at the same time."""
        with self._lock:
            self._encoder = self._codec.encoder()

    # -------------------------------------------------------------------------------------------------------- asked to

    def pull(self, upto: int, *, hungry: bool) -> None:
        """Allow items up to a total; ship at once what is there if somebody is hungry."""
        self.upto = max(self.upto, upto)
        self._hungry = hungry
        self._feed()

    def _feed(self) -> None:
        """Ship what there is to the hungry; while an item is being pickled whoever does that comes here when it is through."""
        while self._hungry and not self.ended and (self._waiting or self._encoder.count) and self._lock.acquire(blocking=False):
            try:
                self._ship()
            finally:
                self._lock.release()

    @property
    def wanted(self) -> bool:
        """Say whether there is something to do now."""
        return not self.ended and (self.closed or self._kept + len(self._waiting) < self.upto)

    def draw(self) -> None:
        """Draw once: what is there without waiting, at least one item; at the end, or when closed, tell so."""
        if self.closed:
            self._end(None)
            return
        try:
            items = self._take(min(FRAME_ITEMS, self.upto - self._kept - len(self._waiting)))
        except self._catch() as error:  # the user's source raised, whatever it was: it must not take this thread down silently
            self._pass_on_news()
            with self._lock:
                note = self._note(error)
            self._end(note)
            return
        self._pass_on_news()
        if not items:
            self._end(None)
            return
        with self._lock:
            self._add_all(items)
        self._feed()
        if self.ended:  # by an item that cannot be encoded
            self.close_reader()

    # ---------------------------------------------------------------------------------------------------------- inside

    def _take(self, n: int) -> Sequence[Any]:
        """Take what is there; of a source that was closed while it was opened, when there was nothing to interrupt, nothing."""
        if self._reader is None:
            reader = open_source(self._source)
            with self._gate:
                self._reader = reader
                if self.closed:
                    return ()
        return self._reader.take(n)

    def _pass_on_news(self) -> None:
        """Tell here what a run inside the source recorded, and how many items failed there."""
        if self._reader is None:
            return
        notes, failed = [], self._reader.failed - self._failed_inside
        for each in self._reader.news():
            if isinstance(each, str):
                self._warn(each)
            else:
                notes.append(each)
        if failed or notes:
            self._failed_inside += failed
            self._tell_failed(failed, notes)

    def _tell_failed(self, failed: int, notes: Sequence[Note]) -> None:
        self.failed += failed
        self._send(SourceFailed(self.node, failed, tuple(notes)))

    def _add_all(self, items: Any) -> None:
        if not self._encoder.count and not self._waiting:
            self._began = time.monotonic()
            self._first = self._drawn
        if self._together:
            self._waiting += items
            if len(self._waiting) >= MOST:
                self._encode_waiting()
        elif not self._add_at_once(items):
            self._add_each(items)
        if self._is_due():
            self._ship()

    def _encode_waiting(self) -> None:
        """Encode together what was drawn; where that fails, each by itself, so that only the guilty one is left out."""
        waiting, self._waiting = self._waiting, []
        before = self._encoder.count
        try:
            self._encoder.extend(waiting)
        except self._catch():  # the pickling of one of them
            self._encoder.forget(self._encoder.count - before)
            self._add_each(waiting)
        else:
            self._drawn += len(waiting)
            self._kept += len(waiting)

    def _add_each(self, items: Any) -> None:
        for item in items:
            try:
                self._encoder.add(item)
            except self._catch() as error:  # the item's own pickling
                if not self._left_out(item, error):
                    return
                continue
            self._drawn += 1
            self._kept += 1

    def _add_at_once(self, items: Any) -> bool:
        """Take many plain numbers together: they need no snapshot each."""
        if len(items) < 2 or not set(map(type, items)) <= NUMBERS:
            return False
        self._encoder.extend(list(items))
        self._drawn += len(items)
        self._kept += len(items)
        return True

    def _is_due(self) -> bool:
        encoder = self._encoder
        full = encoder.inline >= INLINE_BYTES or encoder.nbytes >= FRAME_BYTES or encoder.count >= FRAME_ITEMS
        return self._hungry or full or self._kept + len(self._waiting) >= self.upto or time.monotonic() - self._began > FRAME_AGE

    def _left_out(self, item: Any, error: BaseException) -> bool:
        """Count an item that cannot be encoded, and record it where that is wanted; say whether to go on."""
        notes = [self._refused(item, error)] if self._records or not self._goes_on else []
        self._ship()
        if not self._goes_on:
            self._finish(notes[0])
            return False
        self._drawn += 1
        self._first = self._drawn
        self._tell_failed(1, notes)
        return True

    def _refused(self, item: Any, error: BaseException) -> Note:
        try:
            what = self._codec.explain(item, "item")
        except self._catch():  # the item's own pickling, once more
            what = ""
        note = self._note(error, Kind.SERIALIZATION)
        return note._replace(index=self._source.first + self._drawn, item_repr=describe_item(item), hint=what)

    def _ship(self) -> None:
        if self._waiting:
            self._encode_waiting()
        count = self._encoder.count
        if not count or self.ended:
            return
        origins = Origins.range(self._ordinal, self._source.first + self._first, count)
        parcel = Parcel(count, self._encoder.nbytes, origins, self._encoder.take())
        self._first += count
        self._hungry = False
        self._send(SourceFrame(self.node, parcel))

    def _end(self, note: Note | None) -> None:
        with self._lock:
            if not self._unwanted:
                self._ship()
            self._finish(note)
        self.close_reader()

    def _finish(self, note: Note | None) -> None:
        if not self.ended:
            self.ended = True
            dropped = self._encoder.count
            self._send(SourceEnd(self.node, self._kept - dropped, note))

    def close_reader(self) -> None:
        """Run the user's ``finally``, where the source is read; what it raises changes no result, and is said."""
        reader, self._reader = self._reader, None
        if reader is None:
            return
        try:
            reader.close()
        except self._catch() as error:  # the user's ``finally``
            self._warn(f"source {self.node} {self._source.label!r}: closing it failed\n{shortened_traceback(error)}")

    def _note(self, error: BaseException, kind: str = Kind.SOURCE) -> Note:
        consumed = isinstance(error, SourceConsumed)
        return Note(
            kind=Kind.CONSUMED if consumed else kind,
            stage=f"{self.node} {self._source.label!r}",
            declared_at=self._source.declared_at,
            index=None if consumed else self._source.first + self._drawn + len(self._waiting),
            summary=str(error) if consumed else summarise(error),
            traceback=shortened_traceback(error),
            exception=self._codec.dump_exception(error),
            hint=hint(error),
            node=self.node,
        )

    def confess(self, error: BaseException) -> None:
        """End the run over a bug of ours: nobody must wait for what this would have drawn."""
        self.ended = True
        self._send(Stop(self._note(error, Kind.INTERNAL)._replace(index=None, exception=None)))
        self.close_reader()

    def close(self, *, drain: bool) -> None:
        """Draw no more; ``drain``: what was drawn is wanted."""
        if drain:
            self.drain()
        else:
            self.interrupt()

    def interrupt(self) -> None:
        """Close as soon as the source yields; an async one at once."""
        with self._gate:
            self.closed = self._unwanted = True
        reader = self._reader  # once: its own thread may be closing it
        if reader is not None:
            reader.interrupt()

    def drain(self) -> None:
        """Close as ``interrupt`` does, but ship what was drawn; what was drawn in a run inside the source comes before that."""
        with self._gate:
            reader = self._reader
            self.closed |= reader is None
        if reader is not None and not reader.drain():
            self.closed = True


class FeederHere:
    """Runs a ``Feeder`` in whichever of the caller's threads waits for results, whenever it is told to ``draw``."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder

    def start(self) -> None:
        """Begin nothing: ``draw`` does."""

    def pull(self, upto: int, *, hungry: bool) -> None:
        self.feeder.pull(upto, hungry=hungry)

    def draw(self) -> bool:
        """Draw once, if there is something to do."""
        wanted = self.feeder.wanted
        if wanted:
            self.feeder.draw()
        return wanted

    def close(self, *, drain: bool = False) -> None:
        self.feeder.close(drain=drain)

    def join(self, seconds: float) -> bool:
        """Close the user's source, which yields to this thread."""
        self.draw()
        self.feeder.close_reader()
        return True

    def reads_on(self, thread: threading.Thread) -> bool:
        return False


class FeederThread:
    """Runs a ``Feeder`` beside the caller."""

    def __init__(self, feeder: Feeder, run_in: Callable[[Callable[[], None]], None]) -> None:
        self.feeder = feeder
        self._wake = threading.Event()
        self._thread = threading.Thread(target=run_in, args=(self._loop,), name=f"olympipe_ng source {feeder.node}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def pull(self, upto: int, *, hungry: bool) -> None:
        self.feeder.pull(upto, hungry=hungry)
        self._wake.set()

    def draw(self) -> bool:
        """Draw nothing: the thread does."""
        return False

    def close(self, *, drain: bool = False) -> None:
        self.feeder.close(drain=drain)
        self._wake.set()

    def join(self, seconds: float) -> bool:
        """Wait for the thread's end; ``False`` if it is stuck in the user's source."""
        if self._thread.ident is not None:  # else it could not be started
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def reads_on(self, thread: threading.Thread) -> bool:
        """Say whether this is the thread that the source is read on."""
        return thread is self._thread

    def _loop(self) -> None:
        try:
            self._draw_all()
        except BaseException as error:  # a bug of ours, as ``_live`` of the lanes says
            self.feeder.confess(error)

    def _draw_all(self) -> None:
        feeder = self.feeder
        feeder.move_in()
        while not feeder.ended:
            if not feeder.wanted:
                self._wake.wait()
                self._wake.clear()
                continue
            feeder.draw()
        feeder.close_reader()  # where ``pull`` has met the end
