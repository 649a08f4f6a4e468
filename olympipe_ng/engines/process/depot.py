"""The supervisor's part in shared memory: it keeps every segment open, counts who needs which block, and passes descriptors and credit on.

    a frame comes ──► hold        a frame is released ──► credit to who wrote it        before a dispatch ──► descriptors that are missing

A worker that cannot map a segment (no descriptor left, no address space) fetches what lies there, while it works. The caller may look at
its results when nobody is there to be asked any more: it is given references only into what it said that it has mapped, else the bytes. It
is shown every segment as soon as there is one, so that it has answered before the first result lies there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from ...transport.arena_keeper import Keeper
from ...transport.encoding import BufferRef, Encoded
from ...transport.spill import Spool
from ...transport.wire import Channel
from . import protocol as p

__all__ = ["CALLER", "Depot"]

CALLER = 0  # the number of the caller among producers and consumers; workers have theirs


class Depot:
    """Keeps the blocks of a run. ``channel(number)`` is the socket of the caller or a worker, ``None`` when it is gone."""

    def __init__(self, channel: Callable[[int], Channel | None], spool: Spool) -> None:
        self._channel = channel
        self._spool = spool
        self._keeper = Keeper(self._retired)
        self._ended: list[list[BufferRef]] = []  # of leases
        self._mapped: set[tuple[int, int]] = set()  # segments that the caller can read

    def hold(self, payload: Encoded) -> None:
        """Take note of a frame that needs its blocks."""
        refs = payload.refs()
        if refs:
            self._keeper.hold(refs)

    def release(self, payload: Encoded | None) -> None:
        """Give the blocks that nobody needs any more back to their writers."""
        refs = payload.refs() if payload is not None else []
        if refs:
            self._credit(self._keeper.release(refs))

    def lease(self, refs: list[BufferRef]) -> object:
        """Keep blocks for as long as the object that is returned lives, and until the next ``settle``."""
        self._keeper.hold(refs)
        return _Lease(refs, self._ended)

    def settle(self) -> None:
        """Give back what ended leases kept; not before what was made of it holds the blocks itself."""
        while self._ended:
            self._credit(self._keeper.release(self._ended.pop()))

    def read(self, ref: BufferRef) -> bytes:
        """Return what lies in a block."""
        return self._keeper.read(ref)

    def before(self, consumer: int, channel: Channel, payload: Encoded) -> None:
        """Send the descriptors that a consumer needs for a frame and does not have."""
        refs = payload.refs()
        if refs:
            self._show(consumer, channel, refs)

    def for_caller(self, channel: Channel, payload: Encoded) -> Encoded:
        """Return a payload as the caller can surely read it, whenever it does."""
        self.before(CALLER, channel, payload)
        readable = all((ref.arena, ref.segment) in self._mapped for ref in payload.refs())
        return payload if readable else payload.inlined(self.read)

    def take(self, sender: int, header: tuple[Any, ...], channel: Channel) -> bool:
        """Take a message that concerns shared memory; ``False`` for any other."""
        kind = header[0]
        if kind == p.SEGMENT:
            fds = channel.descriptors.popleft() if channel.descriptors else ()
            accepted = self._keeper.add(sender, header[1], fds)
            channel.queue((p.ACCEPT, header[1], accepted))
            caller = self._channel(CALLER)
            if accepted and caller is not None:
                self._show(CALLER, caller, [BufferRef(sender, header[1], 0, 0)])
        elif kind == p.LENT:
            self._keeper.hold(_refs(header[1]), sender)
        elif kind == p.RETURNED:
            self._credit(self._keeper.release(_refs(header[1]), sender))
        elif kind == p.MAPPED:
            if sender == CALLER:
                self._mapped.add((header[1], header[2]))
        elif kind == p.FETCH:
            channel.queue((p.FETCHED, header[1]), [self._keeper.read(BufferRef(*header[2]))])
        else:
            return False
        return True

    def gone(self, number: int) -> None:
        """Forget a worker; what it wrote stays until nobody needs it."""
        self._credit(self._keeper.consumer_gone(number))
        self._keeper.owner_gone(number)

    def close(self) -> None:
        """Close all descriptors; also in a worker that was just forked."""
        self._keeper.close()
        self._spool.close()

    def _show(self, consumer: int, channel: Channel, refs: Iterable[BufferRef]) -> None:
        """Send a consumer the descriptors that it does not have; what it does not get, it asks for by the bytes."""
        for arena, segment, fd in self._keeper.missing(consumer, refs):
            with contextlib.suppress(OSError):  # this process is at its limit of descriptors
                channel.queue((p.SEGMENT, arena, segment), (), [fd], keep_fds=True)

    def _credit(self, freed: dict[int, list[BufferRef]]) -> None:
        for number, refs in freed.items():
            channel = self._channel(number)
            if channel is not None:
                channel.queue((p.FREE, tuple(map(tuple, refs))))

    def _retired(self, arena: int, consumers: Iterable[Any]) -> None:
        for consumer in consumers:
            channel = self._channel(consumer)
            if channel is not None:
                channel.queue((p.RETIRED, arena))


class _Lease:
    """Says when nobody holds it any more."""

    __slots__ = ("_ended", "_refs")

    def __init__(self, refs: list[BufferRef], ended: list[list[BufferRef]]) -> None:
        self._refs = refs
        self._ended = ended

    def __del__(self) -> None:
        self._ended.append(self._refs)


def _refs(plain: Iterable[tuple[int, ...]]) -> list[BufferRef]:
    return [BufferRef(*each) for each in plain]
