"""What was delivered to the caller and not yet taken.

    engine ── deliver ──► Sink ── decode, one by one ──► for item in run         took ──► engine: room for more

An item counts as taken only when it was decoded: what it was copied from may be used again then. What was taken is told of at once where
the scheduler wants that (``soon``: there is little room behind, or much memory in it), else together with more, for each word wakes two
processes. Nobody waits here longer than ``PATIENCE`` with something untold.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from .engines.contract import Delivered, Engine
from .errors import PipelineError
from .failures import Kind, Note, goes_on, is_recorded
from .graph import Node
from .origins import Origin
from .plan import Plan
from .scheduler import messages as m
from .turns import Turns
from .worker.notes import summarise

__all__ = ["Sink", "Sinks"]

TAKE_SECONDS = 0.001  # between two words about items of one frame that is wanted back soon
PATIENCE = 0.1  # seconds after which what was taken is told of in any case; more saves messages, less shows sources sooner who waits


class Sink:
    """What was delivered for one awaited pipeline."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.frames: deque[Delivered] = deque()
        self.ended = False
        self.note: Note | None = None
        self.received = 0
        self.taken = 0
        self.told = 0
        self.told_at = 0.0
        self.iterated = False
        self.iterators: weakref.WeakSet[Iterator[Any]] = weakref.WeakSet()  # one that is let go before its first item takes none
        self.thrown_away = False


class Sinks:
    """The part of a run's caller that hands items to the user; the rest of it is ``caller.Caller``."""

    changed: threading.Condition
    telling: AbstractContextManager[Any]  # held by who says what was taken
    turns: Turns  # of those who carry on an engine without threads
    engine: Engine
    owner: int  # the process that began the run
    plan: Plan
    joins: bool  # the scheduler wants to know who waits
    nodes: Sequence[Node]
    sinks: list[Sink]
    raised: bool
    stopping: bool
    unloadable: int  # results that could not be loaded, and the run went on

    def stop(self) -> None:
        """End the run."""
        raise NotImplementedError

    def step(self) -> None:
        """Go one step (engines without threads of their own)."""
        raise NotImplementedError

    def finish(self) -> None:
        """See the run through."""
        raise NotImplementedError

    def record(self, note: Any) -> None:
        """Take note of a failure that does not end the run."""
        raise NotImplementedError

    def _error(self, note: Note) -> PipelineError:
        raise NotImplementedError

    @property
    def inherited(self) -> bool:
        """Whether this process was forked from the one that began the run, and so has none of the threads that carry it."""
        return self.engine.threaded and os.getpid() != self.owner

    def _stay_at_home(self) -> None:
        if self.inherited:
            text = f"this run belongs to the process that began it (pid {self.owner}): one forked from that can neither take items nor wait"
            raise PipelineError(text)
        self.turns.check()

    # ------------------------------------------------------------------------------------------------- taking the items

    def next_frame(self, k: int) -> Delivered | None:
        """Wait for the next frame of a sink; ``None`` at its end."""
        self._stay_at_home()
        sink = self.sinks[k]
        while True:
            if not sink.frames and not sink.ended:
                self._await_frame(sink)
            with self.changed:
                if sink.frames:
                    return sink.frames.popleft()
                if sink.ended:
                    return None
            # else another thread that takes from this sink was first

    def _await_frame(self, sink: Sink) -> None:
        """Wait until there is a frame, or no more; where the sinks of a run are read apart the scheduler knows who waits."""
        if self.joins:
            self._tell_taken(sink)
            self.engine.send(m.SinkWaits(sink.number, True))
        self._await(lambda: bool(sink.frames or sink.ended))
        if self.joins:
            self.engine.send(m.SinkWaits(sink.number, False))

    def next_of_any(self) -> tuple[int, Delivered] | None:
        """Wait for a frame of any sink; ``None`` when all have ended, or one with an error."""
        self._stay_at_home()
        self._await(lambda: any(sink.frames for sink in self.sinks) or self._all_ended())
        with self.changed:
            for k, sink in enumerate(self.sinks):
                if sink.frames:
                    return k, sink.frames.popleft()
        return None

    def _await(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; before that takes long, tell what was taken."""
        try:
            self._until(condition, time.monotonic() + PATIENCE)
            if not condition():
                for sink in self.sinks:
                    self._tell_taken(sink)
                self._until(condition)
        except BaseException:
            self.stop()
            raise

    @property
    def unread(self) -> bool:
        """Whether there are items that were delivered, and are still to be taken."""
        return not self.stopping and any(sink.received > sink.taken for sink in self.sinks)

    def _all_ended(self) -> bool:
        return all(sink.ended for sink in self.sinks)

    def items(self, k: int, frame: Delivered) -> Iterator[Any]:
        """Decode the items of a frame one by one, telling the engine as they are taken. Whoever does not take them all stops the run;
        and a stop, whoever says so, drops them: the memory that they lie in goes with the run."""
        sink = self.sinks[k]
        opened = self.engine.codec.open(frame.payload, frame.lo, frame.hi)
        for at in range(frame.hi - frame.lo):
            try:
                item = opened[at]
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # the item's own unpickling
                sink.taken += 1
                if not self.stopping:  # else it is dropped, loadable or not
                    self._unloadable(k, frame.origins.at(at), error)
                continue
            if self.stopping:
                return
            sink.taken += 1  # only now: what it was copied from may be used again
            if time.monotonic() - sink.told_at > (TAKE_SECONDS if frame.soon else PATIENCE):
                self._tell_taken(sink)
            yield item
        self._tell_if_due(sink, frame)

    def take_all(self, k: int, frame: Delivered, into: list[Any]) -> None:
        """Decode a whole frame at once."""
        items = self._open_all(frame)
        if items is None:
            into.extend(self.items(k, frame))
            return
        into.extend(items)
        self.sinks[k].taken += frame.hi - frame.lo
        self._tell_if_due(self.sinks[k], frame)

    def _open_all(self, frame: Delivered) -> list[Any] | None:
        """Decode a frame; ``None`` if one of its items would not be loaded: which it is, is found one by one."""
        opened = self.engine.codec.open(frame.payload, frame.lo, frame.hi)
        try:
            return opened if type(opened) is list else opened.part(0, frame.hi - frame.lo)
        except KeyboardInterrupt:
            raise
        except BaseException:  # an item's own unpickling
            return None

    def _tell_if_due(self, sink: Sink, frame: Delivered) -> None:
        if frame.soon or not self.engine.threaded or time.monotonic() - sink.told_at > PATIENCE:
            self._tell_taken(sink)

    def _tell_taken(self, sink: Sink) -> None:
        """Tell what was taken and not yet told; two threads may be here at once, for one sink."""
        with self.telling:
            untold = sink.taken - sink.told
            sink.told += untold
        if untold:
            self.engine.send(m.Took(sink.number, untold))
            sink.told_at = time.monotonic()

    def _unloadable(self, k: int, origin: Origin, error: BaseException) -> None:
        """Blame the stage that made an item which cannot be loaded here."""
        edge = self.plan.edges[self.plan.sinks[k].inputs[0]]
        node, producer = self.nodes[edge.producer], self.plan.nodes[edge.producer]
        note = Note(
            Kind.SERIALIZATION,
            producer.title,
            node.declared_at,
            origin[0][1] if origin else None,
            summary=f"its result cannot be loaded: {summarise(error)}",
        )
        if goes_on(producer.on_error):
            self.unloadable += 1
            if is_recorded(producer.on_error):
                self.record(note)
            return
        failure = self._error(note)
        failure.__cause__ = error
        raise failure

    def end_of_sink(self, k: int) -> None:
        """Raise what cut the sink short, whoever was told of it elsewhere; after the last one, see the run through."""
        sink = self.sinks[k]
        if sink.note is not None or self._all_ended():
            self.finish()  # once more where items of another sink were unread
        if sink.note is not None:
            self.raised = True
            raise self._error(sink.note)

    def throw_away_others(self) -> None:
        """Throw away the results of sinks that nobody iterates."""
        self._stay_at_home()
        for sink in self.sinks:
            if not (sink.iterated or sink.iterators or sink.thrown_away):
                sink.thrown_away = True
                with self.changed:
                    self._throw_away(sink)

    def _throw_away(self, sink: Sink) -> None:
        while sink.frames:
            frame = sink.frames.popleft()
            sink.taken += frame.hi - frame.lo
        self._tell_taken(sink)

    def _until(self, condition: Callable[[], bool], deadline: float | None = None) -> None:
        """Wait until something is so."""
        if not self.engine.threaded:
            self.turns.until(condition, self.step, deadline)
            return
        self._stay_at_home()
        with self.changed:
            while not condition():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return
                self.changed.wait(left)

