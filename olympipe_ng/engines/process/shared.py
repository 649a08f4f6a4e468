"""A process's part in shared memory: its own arena to write large buffers to, a reader of everybody else's. See ``transport.arena``.

    encoder ── put ──► Arena ── SEGMENT (descriptor) ──► supervisor ── ACCEPT, FREE ──► Arena
    decoder ── view, lend ──► Reader ◄── SEGMENT (descriptor) ── supervisor;  MAPPED, LENT, RETURNED, FETCH ──► supervisor
"""

from __future__ import annotations

import contextlib
import itertools
import queue
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ...transport.arena import Arena, Reader, arena_supported
from ...transport.encoding import BufferRef
from ...transport.wire import Buffer, Channel
from . import protocol as p

__all__ = ["NOBODY_ELSE", "WAITS", "SharedMemory"]

Send = Callable[..., object]
NOBODY_ELSE: AbstractContextManager[Any] = contextlib.nullcontext()

WAITS = 1 << 20  # bytes from which data wait for a new segment's acceptance, a millisecond; less is sooner there through the socket


class SharedMemory:
    """The ``Store`` of a process's encoders and the ``Memory`` of its decoders.

    ``complain`` tells the user that there is no more of it. ``hear`` takes the messages that are here (credit for blocks, above all),
    ``await_answer`` one more, where nobody else does. ``maps=False``: see no other process's memory, but what is sent. ``telling`` is
    held by who tells what was lent and returned: of several threads none may go on before what another tells for it is sent.
    """

    def __init__(
        self,
        number: int,
        send: Send,
        *,
        complain: Callable[[str], object],
        hear: Callable[[], None] = lambda: None,
        await_answer: Callable[[], None] | None = None,
        maps: bool = True,
        telling: AbstractContextManager[Any] = NOBODY_ELSE,
    ) -> None:
        self._send = send
        self._hear = hear
        self._await_answer = await_answer
        self._telling = telling
        self._answers: dict[int, queue.SimpleQueue[bytes | None]] = {}  # to those who fetch, by the number of their question
        self._numbers = itertools.count()
        self._over = False
        self._arena = Arena(number, self._announce, complain=complain) if arena_supported() else None
        self._reader = Reader(self._fetch, maps=maps)

    # ------------------------------------------------------------------------------------------------- writing and reading

    def put(self, data: Buffer) -> BufferRef | None:
        """Say where ``data`` lie from now on.

        In a process of one thread, what was lent goes on as it lies, and what is large waits for its segment. Not where there are several:
        another could report a view as gone before this one has sent the frame that refers to it; and to wait here for an answer could be
        to wait for the thread that listens, while it waits for this one to write.
        """
        self._hear()
        if self._arena is None:
            return None
        if self._await_answer is None:
            return self._arena.put(data)
        ref = self._reader.find(data) or self._arena.put(data)
        while ref is None and len(data) >= WAITS and self._arena.waiting:
            self._await_answer()
            ref = self._arena.put(data)
        return ref

    def free(self, ref: BufferRef) -> None:
        if self._arena is not None and self._arena.number == ref.arena:  # or it is what was lent and would have been passed on
            self._arena.free(ref)

    def view(self, ref: BufferRef) -> memoryview:
        return self._reader.view(ref)

    def lend(self, ref: BufferRef) -> memoryview:
        return self._reader.lend(ref)

    def trim(self) -> None:
        """Give memory that is not used back to the system."""
        if self._arena is not None:
            self._arena.trim()

    def tell_lent(self) -> None:
        """Say what views live; before the frames that they came from may be settled."""
        with self._telling:
            lent = self._reader.take_lent()
            if lent:
                self._send((p.LENT, tuple(map(tuple, lent))))

    def tell_returned(self) -> None:
        """Say which views are gone; after what was made of them, which may be nothing but a reference to their block."""
        with self._telling:
            returned = self._reader.take_returned()
            if returned:
                self._send((p.RETURNED, tuple(map(tuple, returned))))

    # -------------------------------------------------------------------------------------------------------- messages

    def take(self, header: tuple[Any, ...], payload: memoryview, channel: Channel) -> bool:
        """Take a message that concerns shared memory; ``False`` for any other."""
        kind = header[0]
        if kind == p.SEGMENT:
            if self._reader.add(header[1], header[2], channel.descriptors.popleft() if channel.descriptors else ()):
                self._send((p.MAPPED, header[1], header[2]))
        elif kind == p.FETCHED:
            self._answers[header[1]].put(bytes(payload))
        elif kind == p.RETIRED:
            self._reader.forget(header[1])
        elif kind == p.FREE:
            for ref in header[1]:
                self.free(BufferRef(*ref))
        elif kind == p.ACCEPT and self._arena is not None:
            (self._arena.accept if header[2] else self._arena.refuse)(header[1])
        return kind in (p.SEGMENT, p.FETCHED, p.RETIRED, p.FREE, p.ACCEPT)

    def _announce(self, segment: int, fd: int) -> None:
        self._send((p.SEGMENT, segment), (), [fd])

    def _fetch(self, ref: BufferRef) -> bytes:
        """Ask for a block whose descriptor did not come: slower, and right."""
        number = next(self._numbers)
        answer = self._answers[number] = queue.SimpleQueue()
        self._send((p.FETCH, number, tuple(ref)))
        block = None if self._over else self._await(answer)
        del self._answers[number]
        if block is None:
            raise LookupError("this item lies in shared memory that could not be mapped here, and the run that kept it is over")
        return block

    def _await(self, answer: queue.SimpleQueue[bytes | None]) -> bytes | None:
        while self._await_answer is not None:
            with contextlib.suppress(queue.Empty):
                return answer.get_nowait()
            self._await_answer()
        return answer.get()

    def over(self) -> None:
        """Take note that nobody answers any more."""
        self._over = True
        for answer in list(self._answers.values()):
            answer.put(None)

    def close(self) -> None:
        self._reader.close()
        if self._arena is not None:
            self._arena.close()

