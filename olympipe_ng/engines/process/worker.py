"""A worker process: tickets in from one socket, ``Done`` out of it.

    receive ──► Dispatch ──► StageWorker.run ──► send Done ──► receive ...          one lane: all in the main thread
    receive ──► LaneGroup (threads, or an event loop) ──► send Done                 several lanes

It ends when told to, and at once when the supervisor is gone (``children.die_with_parent``), busy or not.

A process that a task forks (a pool of ``multiprocessing``, say) has no part in this: two cannot speak through one socket, nor write to one
arena. It lets go of the socket, what it prints goes to its own descriptors, and where it comes back from the task it is ended.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from typing import Any, NoReturn

from ...failures import Kind
from ...scheduler import messages as m
from ...transport.by_value import ByValue
from ...transport.importable import Stock
from ...transport.wire import Channel
from ...worker import NOBODY, Hands, StageSpec, StageWorker, drive
from ..codecs import EncodedCodec
from ..lanes import LaneGroup
from . import protocol as p
from .children import own_rss
from .heap import give_back, keep_freed
from .logs import say_directly
from .page import open_page
from .shared import NOBODY_ELSE, SharedMemory

__all__ = ["WorkerProcess"]

LOOK = 0.001  # seconds between two looks at this process's memory, 10 us each: more saves that for cheap items, less sees growth sooner
IDLE = 1.0  # seconds without work after which memory is given back; less would give back what the next item needs
LEAVE = 1.0  # seconds for lanes that are through to end as threads, so that what they printed last is passed on
SELDOM = 5.0  # seconds of work after which what the heap keeps is given back; less costs the next item more, more keeps it for longer


class PartCodec(EncodedCodec):
    """As ``EncodedCodec``, for payloads that were cut before they were sent."""

    def open(self, payload: Any, lo: int, hi: int) -> Any:
        return super().open(payload, 0, hi - lo)


class WorkerProcess:
    """The life of a worker, from its socket to its exit status."""

    def __init__(
        self,
        channel: Channel,
        worker: int,
        place: int,
        spec: StageSpec,
        *,
        zero_copy: bool,
        together: bool,
        stock: Stock | None,
        kept: int,
    ) -> None:
        self._channel = channel.share(torn=_end_torn)
        self._worker = worker
        own = spec.stage.config.zero_copy
        self._several_lanes = spec.stage.is_async or spec.plan.lanes > 1
        pump = None if self._several_lanes else self._await_one
        telling = threading.Lock() if self._several_lanes else NOBODY_ELSE
        self._shared = SharedMemory(
            worker, self._send, complain=self._warn, hear=self._hear_alone, await_answer=pump, telling=telling
        )
        self._codec = PartCodec(
            lambda: ByValue(self._define, stock),
            store=self._shared,
            memory=self._shared,
            zero_copy=zero_copy if own is None else own,
            together=together,
        )
        self._spec = spec
        self._max_rss = spec.stage.config.max_rss_per_worker
        self._kept = kept
        self._worn = False
        self._look_again = 0.0
        self._tidy_at = time.monotonic() + SELDOM
        self._place = place
        self._cancelled: set[int] = set()
        self._waiting: deque[tuple[Any, Any]] = deque()  # messages that came while an item was in hand
        self._is_copy = False  # this is a process that a task forked

    def run(self) -> int:
        """Serve until told to stop; return the exit status."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._part)
        lanes = self._spec.plan.lanes
        page = open_page(lanes)
        if page is not None:
            self._send((p.PAGE,), (), [page.fd])
        slots = [0] * lanes if page is None else page.slots
        return self._run_lanes(slots) if self._several_lanes else self._run_alone(slots)

    def say(self, header: tuple[Any, ...]) -> None:
        """Send a line or a log record; one that the garbage collector or a signal handler says while this thread is sending goes behind."""
        if self._is_copy:
            say_directly(header)
        elif self._channel.is_sending(threading.get_ident()):
            self._channel.post(header)
        else:
            self._channel.send(header)

    def _part(self) -> None:
        """Forget, in a process that a task forked, what is the worker's."""
        self._is_copy = True
        self._channel.close()

    def _end_copy(self) -> NoReturn:
        """End such a process where it would go on as this worker."""
        text = f"stage {self._spec.title}: a process that it forked came back from it, and is ended; let it end by os._exit()\n"
        say_directly((p.PRINT, 2, text))
        os._exit(1)

    def _send(self, header: tuple[Any, ...], segments: Any = (), fds: Sequence[int] = ()) -> None:
        if self._is_copy:
            self._end_copy()
        if self._several_lanes and not fds:  # which whoever gives them may close at once
            self._channel.post(header, segments)  # by the lane that is sending: each that waits costs all of them two switches
        else:
            self._channel.send(header, segments, fds)

    def _warn(self, text: str) -> None:
        self._send((p.WARN, text))

    def _define(self, uid: str, blob: bytes) -> None:
        self._send((p.DEFINE, uid), [blob])

    def _is_worn(self) -> bool:
        """Say whether this process has grown larger than it may; the supervisor hears of it once, before what is given back for it."""
        if self._max_rss is None or self._worn or time.monotonic() < self._look_again:
            return self._worn
        if own_rss() > self._max_rss:
            give_back()  # what the heap only keeps is not the user's
            self._worn = own_rss() > self._max_rss
        self._look_again = time.monotonic() + LOOK
        if self._worn:
            self._send((p.WORN,))
        return self._worn

    def _told(self, done: m.Done) -> None:
        if self._is_copy:  # before it waits for a lane that it does not have
            self._end_copy()
        self._is_worn()  # before the word that may bring the next ticket
        self._shared.tell_lent()
        self._send(*p.pack_done(done))
        self._shared.tell_returned()

    # -------------------------------------------------------------------------------------------------- one lane

    def _run_alone(self, slots: Any) -> int:
        keep_freed(self._kept)
        core = StageWorker(
            self._spec,
            self._place,
            self._codec,
            warn=self._warn,
            cancelled=self._is_cancelled,
            worn=self._is_worn,
            hands=Hands(slots),
        )
        try:
            core.setup()
        except BaseException as error:  # the user's initializer or constructor, whatever it raised
            self._send((p.SETUP_FAILED, p.pack_note(core.setup_note(error))))
            return self._wait_for_stop()
        self._send((p.READY, os.getpid(), core.state and tuple(core.state)))
        while (message := self._next()) is not None:
            header, payload = message
            if header[0] == p.STOP:
                return self._close(core)
            if header[0] == p.DISPATCH:
                self._run_ticket(core, p.unpack_dispatch(header, payload))
            else:
                self._take(header, payload)
        return 1

    def _run_ticket(self, core: StageWorker, dispatch: m.Dispatch) -> None:
        if dispatch.ticket in self._cancelled:
            self._told(m.Done(self._worker, dispatch.ticket, dispatch.lo))
        else:
            drive(core.run(dispatch), self._told, self._room)
        self._cancelled.discard(dispatch.ticket)

    def _next(self) -> tuple[Any, Any] | None:
        return self._waiting.popleft() if self._waiting else self._receive()

    def _receive(self) -> tuple[Any, Any] | None:
        """Wait for a message, and give back memory that busier times needed: with nothing to do all of it, else now and then."""
        if not self._channel.poll_readable(IDLE):
            self._shared.trim()
            give_back()
        elif time.monotonic() > self._tidy_at:
            give_back()
            self._tidy_at = time.monotonic() + SELDOM
        return self._channel.receive()

    def _take(self, header: tuple[Any, ...], payload: memoryview) -> bool:
        """Take a message that does not have to wait for the item in hand; ``False`` for any other."""
        if header[0] == p.CANCEL:
            self._cancelled.add(header[1])
        elif header[0] == p.DEFINE:
            self._codec.by_value.learn(header[1], bytes(payload))
        else:
            return self._shared.take(header, payload, self._channel)
        return True

    def _hear(self) -> None:
        """Take the messages that are here: those that concern tickets in hand now, the others later."""
        if self._is_copy:
            self._end_copy()
        while self._channel.poll_readable():
            self._await_one()

    def _hear_alone(self) -> None:
        """Take credit for blocks before a new one is asked for, where nobody else listens."""
        if self._is_copy or not self._several_lanes:
            self._hear()

    def _await_one(self) -> None:
        """Wait for one message."""
        try:
            message = self._channel.receive()
        except BaseException:  # of a signal handler: bytes may be lost
            _end_torn()
        if message is None:
            os._exit(1)
        if not self._take(*message):
            self._waiting.append(message)

    def _is_cancelled(self, ticket: int) -> bool:
        self._hear()
        return ticket in self._cancelled

    def _room(self, ticket: int) -> int:
        """Wait for room, or for the word that nobody wants the rest."""
        while ticket not in self._cancelled:
            message = self._channel.receive()
            if message is None:
                os._exit(1)
            header = message[0]
            if header[0] == p.GRANT and header[1] == ticket:
                return int(header[2])
            if not self._take(*message):
                self._waiting.append(message)
        return NOBODY

    def _close(self, core: StageWorker) -> int:
        self._send((p.CLOSING,))
        note = None
        try:
            core.close()
        except BaseException as error:  # the user's close_method
            note = core.setup_note(error, Kind.CLOSE)
        self._send((p.GONE, p.pack_note(note)))
        return 0

    def _wait_for_stop(self) -> int:
        while (message := self._next()) is not None:
            if message[0][0] == p.STOP:
                self._send((p.GONE, None))
                return 0
        return 1

    # ---------------------------------------------------------------------------------------------- several lanes

    def _run_lanes(self, slots: Any) -> int:
        gone = threading.Event()
        group = LaneGroup(
            self._worker,
            self._spec,
            self._place,
            self._codec,
            lambda event: self._tell_event(event, gone),
            self._warn,
            worn=self._is_worn,
            slots=slots,
            closing=lambda: self._send((p.CLOSING,)),
        )
        group.start()
        while (message := self._receive()) is not None:
            header, payload = message
            if header[0] == p.DISPATCH:
                group.dispatch(p.unpack_dispatch(header, payload))
            elif header[0] == p.GRANT:
                group.grant(m.Grant(self._worker, header[1], header[2]))
            elif header[0] == p.CANCEL:
                group.cancel(m.Cancel(self._worker, header[1]))
            elif header[0] == p.STOP:
                group.stop()
                gone.wait()
                group.join(LEAVE)
                return 0
            else:
                self._take(header, payload)
        return 1

    def _tell_event(self, event: m.Event, gone: threading.Event) -> None:
        if isinstance(event, m.Done):
            self._told(event)
        elif isinstance(event, m.WorkerReady):
            self._send((p.READY, event.pid, event.state and tuple(event.state)))
        elif isinstance(event, m.SetupFailed):
            self._send((p.SETUP_FAILED, p.pack_note(event.note)))
        elif isinstance(event, m.WorkerGone):
            self._send((p.GONE, p.pack_note(event.note)))
            gone.set()


def _end_torn() -> NoReturn:
    """End where a message was interrupted: the items in hand are dealt again."""
    traceback.print_exc()
    os._exit(1)
