"""An edge: what waits between two nodes, and how much more may.

    producer ──promised──► held ──commit──► queued ──dispatch──► unstarted ──► the consumer's function

Every item of an edge is in exactly one of these states from the moment its producer may return it until its consumer is called with it,
and their sum is what ``queue_size`` bounds. So room is asked for *before* the producer is given work, and no state is ever over the bound.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from ..plan import EdgePlan
from .messages import Frame

__all__ = ["SOME", "Chunk", "Edge"]

PLENTY = 8 << 20  # bytes are enough where they are ``SOME`` items: what is sooner used again is still in the cache
SOME = 16  # items, or two for each lane that makes or takes them; more lets large items go on while one is dear
EASE = 0.3  # weight of a new measurement; more follows faster, less is steadier


class Chunk:
    """A range of a frame that waits on an edge; without a frame: a watermark (everything below it is settled)."""

    __slots__ = ("frame", "hi", "lo", "spilled", "watermark")

    def __init__(self, frame: Frame | None, lo: int, hi: int, watermark: int = 0) -> None:
        self.frame = frame
        self.lo = lo
        self.hi = hi
        self.watermark = watermark
        self.spilled = False


class Edge:
    """The state of one edge; the scheduler is its only owner."""

    def __init__(self, plan: EdgePlan) -> None:
        self.plan = plan
        self.number = plan.number
        self.queue: deque[Chunk] = deque()
        self.queued = self.queued_bytes = 0
        self.held = self.held_bytes = 0
        self.promised = 0
        self.unstarted = 0
        self.pushed = 0
        self.cancelled = 0
        self.settled = 0  # the last watermark
        self.growth = 0
        self.fresh: deque[Chunk] = deque()  # what came since it grew, and may be spilled
        self.spilled_bytes = 0  # of those that are queued
        self.warned = False
        self.mean_bytes = 0.0
        self.untried = 1  # items that may come before it is known how large they are: one for each lane; 0 once it is
        self.capacity = plan.queue_size or 2
        self.some = SOME
        self.closed = False
        self.ended = False
        self.note: Any = None

    @property
    def used(self) -> int:
        """Count the items that exist, or may at any moment, between the producer's return and the consumer's call."""
        return self.queued + self.held + self.promised + self.unstarted

    def used_bytes(self) -> float:
        return self.queued_bytes + self.held_bytes + self.mean_bytes * (self.promised + self.unstarted)

    def room(self, *, oldest: bool = False) -> int:
        """Count the items that the producer may still be asked for; one always passes alone, however large.

        The ``oldest`` range is not kept back by what its youngers hold, which cannot be committed before it: of items they leave it a
        place, but bytes are not foreseen, and a bound that is not given may shrink.
        """
        used = self.used
        room = self._room(used)
        return max(1, room) if not used or (oldest and not self.queued and not self.unstarted) else room

    def _room(self, used: int) -> int:
        items = self.bound - used
        if not self.mean_bytes or items <= 0:
            return items
        return min(items, int((self._bound_bytes - self.used_bytes()) / self.mean_bytes))

    @property
    def bound(self) -> int:
        """Return how many items may be here."""
        return min(self.untried or self.capacity, self.capacity) + self.growth

    @property
    def fits(self) -> int:
        """Return how many items may be here by their number and their bytes."""
        return self.bound if not self.mean_bytes else min(self.bound, int(self._bound_bytes / self.mean_bytes))

    @property
    def _bound_bytes(self) -> float:
        return min(self.plan.queue_bytes, max(PLENTY, self.some * self.mean_bytes)) + self.growth * self.mean_bytes

    @property
    def in_memory(self) -> int:
        """Count the bytes that wait here and were not spilled."""
        return self.queued_bytes - self.spilled_bytes

    def note_spilled(self, chunk: Chunk) -> None:
        """Take note that a chunk that waits whole lies in a file."""
        assert chunk.frame is not None
        chunk.spilled = True
        self.spilled_bytes += chunk.frame.nbytes

    def hold(self, frame: Frame) -> None:
        """Take note of an output that waits for its elders."""
        self.held += frame.count
        self.held_bytes += frame.nbytes
        self._measure(frame)

    def unhold(self, frame: Frame) -> None:
        self.held -= frame.count
        self.held_bytes -= frame.nbytes

    def push(self, frame: Frame) -> None:
        """Commit a frame: from now on the consumer may see it."""
        self.queue.append(Chunk(frame, 0, frame.count))
        if self.growth:
            self.fresh.append(self.queue[-1])
        frame.whole += 1
        self.queued += frame.count
        self.queued_bytes += frame.nbytes
        self.pushed += frame.count
        frame.uses += 1
        self._measure(frame)

    def push_watermark(self, watermark: int) -> None:
        """Commit that every source index below ``watermark`` is settled, if that is news."""
        if watermark <= self.settled:
            return
        self.settled = watermark
        if self.queue and self.queue[-1].frame is None:
            self.queue[-1].watermark = watermark
        else:
            self.queue.append(Chunk(None, 0, 0, watermark))

    def cut(self, count: int) -> tuple[Frame, int, int]:
        """Take up to ``count`` items of the oldest frame."""
        chunk = self.queue[0]
        frame = chunk.frame
        assert frame is not None
        lo, hi = chunk.lo, min(chunk.hi, chunk.lo + count)
        share = _share(frame, lo, hi)
        self.queued -= hi - lo
        self.queued_bytes -= share
        self.spilled_bytes -= share if chunk.spilled else 0
        frame.whole -= lo == 0
        if self.fresh and self.fresh[0] is chunk:
            self.fresh.popleft()
        if hi == chunk.hi:
            self.queue.popleft()  # the edge's use of the frame goes over to the last ticket cut from it
        else:
            frame.uses += 1
        chunk.lo = hi
        return frame, lo, hi

    def clear(self) -> list[Frame]:
        """Forget what waits (counted as cancelled); return the frames."""
        frames = [chunk.frame for chunk in self.queue if chunk.frame is not None]
        for chunk in self.queue:
            if chunk.frame is not None:
                chunk.frame.whole -= chunk.lo == 0
        self.cancelled += self.queued
        self.queue.clear()
        self.fresh.clear()
        self.queued = self.queued_bytes = self.spilled_bytes = 0
        return frames

    def _measure(self, frame: Frame) -> None:
        if frame.count:
            self.untried = 0
            mean = frame.nbytes / frame.count
            self.mean_bytes = mean if not self.mean_bytes else (1 - EASE) * self.mean_bytes + EASE * mean


def _share(frame: Frame, lo: int, hi: int) -> int:
    """Return the bytes of a range, such that the ranges of a frame add up to the frame."""
    return frame.nbytes * hi // frame.count - frame.nbytes * lo // frame.count
