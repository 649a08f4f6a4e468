"""The supervisor's side of the arenas: every segment's descriptor, and who needs which block. See ``arena`` for the whole.

Considered and refused: reference counts in the shared memory itself (a killed process leaves them wrong for ever).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable

from .encoded import BufferRef

__all__ = ["Keeper"]


class Keeper:
    """Keeps everybody's segments open and counts who needs which block. Decides nothing, sends nothing.

    ``retired(arena, consumers)`` is called when a dead producer's last block is gone: the consumers may unmap it (``Reader.forget``).
    """

    def __init__(self, retired: Callable[[int, set[Hashable]], object] | None = None) -> None:
        self._fds: dict[tuple[int, int], int] = {}
        self._known: dict[tuple[int, int], set[Hashable]] = {}  # who was sent the descriptor
        self._uses: Counter[BufferRef] = Counter()
        self._blocks: Counter[int] = Counter()  # blocks in use, by arena
        self._lent: dict[Hashable, Counter[BufferRef]] = {}
        self._orphans: set[int] = set()
        self._retired = retired or (lambda arena, consumers: None)

    def add(self, arena: int, segment: int, fds: tuple[int, ...]) -> bool:
        """Take a segment's descriptor; ``False`` when it got lost: tell the producer to do without."""
        if len(fds) != 1:
            return False
        self._fds[arena, segment] = fds[0]
        self._known[arena, segment] = set()
        return True

    def missing(self, consumer: Hashable, refs: Iterable[BufferRef]) -> list[tuple[int, int, int]]:
        """Return ``(arena, segment, fd)`` for those that ``consumer`` must be sent first; it counts as sent."""
        found = []
        for key in {(ref.arena, ref.segment) for ref in refs}:
            if consumer not in self._known[key]:
                self._known[key].add(consumer)
                found.append((*key, self._fds[key]))
        return found

    def hold(self, refs: Iterable[BufferRef], consumer: Hashable = None) -> None:
        """Count that a frame needs these blocks, or with ``consumer``, that views of them live there."""
        for ref in refs:
            if not self._uses[ref]:
                self._blocks[ref.arena] += 1
            self._uses[ref] += 1
            if consumer is not None:
                self._lent.setdefault(consumer, Counter())[ref] += 1

    def release(self, refs: Iterable[BufferRef], consumer: Hashable = None) -> dict[int, list[BufferRef]]:
        """Undo ``hold``; return the blocks that nobody needs any more, by arena: credit for the owners that live."""
        freed: dict[int, list[BufferRef]] = {}
        lent = self._lent.get(consumer, Counter())
        for ref in refs:
            if consumer is not None:
                if lent[ref] <= 0:  # a late word of a consumer that is gone
                    continue
                lent[ref] -= 1
            self._uses[ref] -= 1
            if self._uses[ref] <= 0:
                del self._uses[ref]
                self._blocks[ref.arena] -= 1
                if ref.arena in self._orphans:
                    self._retire(ref.arena)
                else:
                    freed.setdefault(ref.arena, []).append(ref)
        return freed

    def owner_gone(self, arena: int) -> None:
        """The producer is dead or done: its blocks stay until they are released, its descriptors until its last block is."""
        self._orphans.add(arena)
        self._retire(arena)

    def consumer_gone(self, consumer: Hashable) -> dict[int, list[BufferRef]]:
        """Forget what a consumer was sent and lent; return as ``release`` does."""
        for known in self._known.values():
            known.discard(consumer)
        lent = self._lent.pop(consumer, Counter())
        return self.release(lent.elements())

    def read(self, ref: BufferRef) -> bytes:
        """Return a block's bytes, for a consumer that has no descriptor; none where the block is gone, which nobody asks for who is still
        wanted."""
        fd, parts, at, end = self._fds.get((ref.arena, ref.segment)), [], ref.offset, ref.offset + ref.length
        while fd is not None and at < end:
            parts.append(os.pread(fd, end - at, at))
            at += len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        """Close all descriptors; also in a child that was forked from the supervisor."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def _retire(self, arena: int) -> None:
        if self._blocks[arena] > 0:
            return
        consumers: set[Hashable] = set()
        for key in [key for key in self._fds if key[0] == arena]:
            os.close(self._fds.pop(key))
            consumers |= self._known.pop(key)
        self._orphans.discard(arena)
        del self._blocks[arena]
        self._retired(arena, consumers)
