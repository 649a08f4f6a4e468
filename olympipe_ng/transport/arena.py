"""Large buffers in shared memory: written once by who made them, found by who uses them; between the two only their address travels.

    producer: Arena               supervisor: Keeper                 consumer: Reader
    put(data) ─► BufferRef ─────► hold(refs) ────────► BufferRef ──► view(ref): copied out at once
      │  one descriptor per segment ─► add ─► missing ─► one per ──► or lend(ref): read-only, for as long as anybody uses it
      ▼                                       consumer
    free(ref) ◄────────────────── release(refs): the last one is gone ◄── what was lent and is not used any more

The memory belongs to the kernel, not to a name: a ``memfd`` lives as long as somebody has it open, so a dead producer's data survive it
and a kill of everything leaves nothing. Only the producer allocates, so there is nothing to lock between processes; blocks are used
again, lowest first, because memory touched before is ten times as fast. What is used is reserved (``posix_fallocate``): where there is
no room ``put`` gives ``None`` and the buffer travels inline, nobody dies of SIGBUS.

How they are joined, in messages that each process already exchanges with the supervisor:

* *Producer* (a worker, the caller's source): one ``Arena(number, announce)`` as the ``store`` of its ``Encoder``s. ``announce(segment,
  fd)`` sends a message with the descriptor. Until its answer came (``accept`` or ``refuse``: a supervisor at its descriptor limit gets
  none) the segment is not used and buffers go inline. ``free(ref)`` on credit. ``trim()`` when idle.
* *Supervisor*: ``add`` at an announcement. ``hold(payload.refs())`` when a frame comes (or an opaque stage made one), ``release(...)``
  when the scheduler releases it; both after the frames that replace it are held. What ``release`` returns goes to its owners as credit.
  Before a dispatch or delivery: ``missing(consumer, refs)`` tells which descriptors to send first. ``owner_gone``, ``consumer_gone`` at
  a death.
* *Consumer* (a worker, the caller's sink): one ``Reader`` as the ``memory`` of ``decode``; ``add`` with what ``Channel.descriptors``
  has, be it empty. With ``zero_copy``: before each ``done``, send ``take_lent()``, which the supervisor holds for that consumer; after it
  ``take_returned()``, which it releases. So a block is free only when its frame is settled *and* no view of it lives: one without
  the other would change the data under an item that must be delivered again.
* What was lent and is given back as it was goes on as a reference (``find``): nobody can change it, and the frame that is made of it is
  held before the view of it is released.
* A reader without the descriptor asks ``fetch(ref)``: the supervisor answers with ``Keeper.read(ref)``.

Considered and refused: a named ``SharedMemory`` per item (a quarter of the speed, and leaks at a kill); a block of memory per segment
from the start (all of it touched, for one item); a file under ``/dev/shm`` (its size is a mount option, 64 MiB in most containers); a
per-view ``mmap`` (a descriptor for each until 3.13); an arena without reserved pages (SIGBUS in the middle of a copy).
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from .arena_keeper import Keeper
from .arena_reader import Reader
from .encoded import BufferRef
from .space import Space
from .wire import Buffer

__all__ = ["Arena", "Keeper", "Reader", "arena_supported"]

SEGMENT = 1 << 28  # address space of a segment; memory is reserved as it is used. More: fewer descriptors; less: fits a small RLIMIT_AS
STEP = 1 << 20  # memory is reserved in such steps: a system call each, and at most so much idle
ALIGN = 1 << 12  # of blocks; a page, so that no two consumers share one
KEPT = 1 << 22  # what trim leaves: the next item should not wait for fresh memory
WITHOUT = "no more shared memory can be had ({error}): large items are written to sockets instead, which is slower, and right"
LIMIT = 1 << 30  # of one arena, if nobody says otherwise; what is beyond goes inline


def arena_supported() -> bool:
    """Tell whether this system has memory that is owned by descriptors; where not, everything goes inline."""
    return hasattr(os, "memfd_create") and hasattr(os, "posix_fallocate") and hasattr(mmap, "MADV_REMOVE")


class _Segment:
    """Memory of one descriptor."""

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.reserved = 0  # bytes from the beginning that are surely there
        self.accepted = False
        self.space = Space(size)
        self.fd = os.memfd_create(f"olympipe_ng-{number}")
        try:
            os.ftruncate(self.fd, size)
            self.memory = mmap.mmap(self.fd, size)
        except BaseException:
            os.close(self.fd)
            raise

    def reserve(self, end: int) -> None:
        """Make sure of the memory up to ``end``; ``OSError`` where there is none. In steps: some systems undo what a signal interrupts."""
        while self.reserved < end:
            step = min(STEP, self.size - self.reserved)
            os.posix_fallocate(self.fd, self.reserved, step)
            self.reserved += step

    def shrink(self, end: int) -> None:
        """Give the memory beyond ``end`` back to the system; address space and size stay (where a task has limited the size of files, what
        was cut off could not be put back). A system that refuses it, as gVisor does, leaves it here, to be used again."""
        end = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE
        if end < self.reserved:
            with suppress(OSError):
                self.memory.madvise(mmap.MADV_REMOVE, end, self.reserved - end)
                self.reserved = end

    def close(self) -> None:
        self.memory.close()
        os.close(self.fd)


class Arena:
    """Shared memory that one process writes: the ``Store`` of its encoders. ``announce(segment, fd)`` makes a segment known to the
    supervisor; ``complain(text)`` tells the user, once, that there is no more of it."""

    def __init__(
        self,
        number: int,
        announce: Callable[[int, int], object],
        *,
        limit: int = LIMIT,
        complain: Callable[[str], object] = lambda text: None,
    ) -> None:
        self.number = number
        self._announce = announce
        self._complain: Callable[[str], object] | None = complain
        self._limit = limit
        self._segments: list[_Segment] = []
        self._blocks: dict[tuple[int, int], int] = {}  # (segment, offset): room taken
        self._broken = not arena_supported()  # no more segments: refused, or no memory
        self._lock = threading.Lock()  # encoders may live in several threads

    @property
    def used(self) -> int:
        """Bytes of blocks in use."""
        return sum(self._blocks.values())

    @property
    def reserved(self) -> int:
        """Bytes of memory taken from the system."""
        return sum(segment.reserved for segment in self._segments)

    @property
    def waiting(self) -> bool:
        """Whether a segment was announced and not answered."""
        return not self._broken and any(not segment.accepted for segment in self._segments)

    def put(self, data: Buffer) -> BufferRef | None:
        """Copy ``data`` into a block; ``None`` when there is no room (or not yet): keep it inline."""
        length = len(data)
        with self._lock:
            place = self._allocate(max(ALIGN, -(-length // ALIGN) * ALIGN))
        if place is None:
            return None
        segment, offset = place
        segment.memory[offset : offset + length] = data
        return BufferRef(self.number, segment.number, offset, length)

    def free(self, ref: BufferRef) -> None:
        """Take a block back; one that is free already stays so."""
        with self._lock:
            size = self._blocks.pop((ref.segment, ref.offset), None)
            if size is not None:
                self._segments[ref.segment].space.give(ref.offset, size)

    def accept(self, segment: int) -> None:
        """The supervisor has the segment's descriptor: it may be used."""
        self._segments[segment].accepted = True

    def refuse(self, segment: int) -> None:
        """The supervisor could not take the descriptor: what is accepted must do."""
        self._broken = True

    def trim(self) -> None:
        """Give memory that is not used back to the system, but a little."""
        with self._lock:
            for segment in self._segments:
                keep = max(segment.space.end, 0 if segment.number else min(KEPT, segment.size))
                segment.shrink(keep)

    def close(self) -> None:
        """Let go of the memory; what others hold of it stays theirs."""
        with self._lock:
            self._broken = True
            for segment in self._segments:
                segment.close()
            self._segments.clear()
            self._blocks.clear()

    def _allocate(self, size: int) -> tuple[_Segment, int] | None:
        for segment in self._segments:
            if not segment.accepted:
                continue
            offset = segment.space.take(size)
            if offset is None:
                continue
            if self._reserve(segment, offset + size):
                self._blocks[segment.number, offset] = size
                return segment, offset
            segment.space.give(offset, size)
        if not self.waiting and not self._broken and self.reserved + size <= self._limit:
            self._grow(size)
        return None

    def _reserve(self, segment: _Segment, end: int) -> bool:
        if end <= segment.reserved:
            return True
        if self.reserved - segment.reserved + end > self._limit:
            return False
        try:
            segment.reserve(end)
        except OSError as error:  # no memory, or a limit on it: this one goes inline, the next may find room
            self._tell(error)
            return False
        return True

    def _tell(self, error: OSError | MemoryError) -> None:
        complain, self._complain = self._complain, None
        if complain is not None:
            complain(WITHOUT.format(error=error))

    def _grow(self, size: int) -> None:
        """Make another segment and announce it; it is used when it was accepted."""
        try:
            segment = _Segment(len(self._segments), max(SEGMENT, size))
        except (OSError, MemoryError) as error:  # at the limit of descriptors, of address space, of file size
            self._broken = True
            self._tell(error)
            return
        self._segments.append(segment)
        self._announce(segment.number, segment.fd)
