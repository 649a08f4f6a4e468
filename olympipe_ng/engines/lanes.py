"""The lanes of one worker: threads that take tickets from a queue, or coroutines on one event loop. In a thread engine and in worker
processes alike.

    dispatch ──► queue ──► lane: StageWorker.run ── Done ──► tell          grant ──► the lane that waits for it
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..failures import Kind
from ..lazy import lazy
from ..loops import new_loop
from ..scheduler.messages import Cancel, Dispatch, Done, Event, Grant, SetupFailed, WorkerGone, WorkerReady
from ..worker import NOBODY, Codec, Hands, StageSpec, StageWorker, drive, read_hands, run_async

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy("asyncio")

__all__ = ["LaneGroup"]

LAST_SECONDS = 0.5  # of the driver's GRACE, for coroutines to end by themselves; more leaves less to clean up, less cuts more of them
NO_THREADS = "The system gives no more threads: ask for fewer (threads=), or raise its limit (ulimit -u, a container's pids or memory)."


class LaneGroup:
    """One worker of the thread engine (or the lanes of a worker process)."""

    def __init__(
        self,
        worker: int,
        spec: StageSpec,
        place: int,
        codec: Codec,
        tell: Callable[[Event], Any],
        warn: Callable[[str], None],
        *,
        worn: Callable[[], bool] = lambda: False,
        slots: Any = None,
        closing: Callable[[], object] = lambda: None,
    ) -> None:
        self.spec = spec
        self._closing = closing  # called when the last item is through, before the user's ``close_method``
        self._worker = worker
        self._tell = tell
        self._cancelled: set[int] = set()
        self._hands = Hands([0] * spec.plan.lanes if slots is None else slots)
        cancelled = self._cancelled.__contains__
        self._core = StageWorker(spec, place, codec, warn=warn, cancelled=cancelled, worn=worn, hands=self._hands)
        self._tickets: queue.SimpleQueue[Dispatch | None] = queue.SimpleQueue()
        self._grants: dict[int, queue.SimpleQueue[int]] = {}
        self._async_grants: dict[int, asyncio.Queue[int]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._abandoned = False
        self._lanes = 1 if spec.stage.is_async else spec.plan.lanes
        self._running = self._lanes
        self._lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self._ending: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._next: deque[Dispatch] = deque()  # for coroutines that have not begun: no more than ``concurrency`` are in flight

    # ------------------------------------------------------------------------------------------------ from the scheduler

    def start(self) -> None:
        """Set up in a thread of its own, then open the lanes; its event loop is there from now on, so that ``stop`` may follow at once."""
        if self.spec.stage.is_async:
            self._loop, self._ending = new_loop(), asyncio.Event()
        try:
            self._spawn(self._run_async if self.spec.stage.is_async else self._run_first)
        except RuntimeError as error:
            self._refuse(error)
            self._end_loop()
            self._say(WorkerGone(self._worker))  # there is nobody else to say so

    def dispatch(self, command: Dispatch) -> None:
        if self._loop is not None:
            self._async_grants[command.ticket] = asyncio.Queue()  # here, so that ``cancel`` finds it, however soon it comes
            self._loop.call_soon_threadsafe(self._begin, command)
            return
        if self.spec.plan.many:
            self._grants[command.ticket] = queue.SimpleQueue()
        self._tickets.put(command)

    def grant(self, command: Grant) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._async_grants[command.ticket].put_nowait, command.allowance)
        else:
            self._grants[command.ticket].put(command.allowance)

    def cancel(self, command: Cancel) -> None:
        self._drop(command.ticket)

    def stop(self) -> None:
        """Close and end, after the tickets in hand."""
        self._call_soon(self._begin, None)
        for _ in range(self._lanes):
            self._tickets.put(None)

    def abandon(self) -> None:
        """Hear no more from this worker: it hangs."""
        self.leave()
        self.stop()

    def leave(self) -> None:
        """Hear no more from this worker, which was told to stop; nobody wants what it has in hand."""
        self._abandoned = True
        for ticket in [*self._grants, *self._async_grants]:
            self._drop(ticket)

    def look_in_hand(self) -> dict[int, range]:
        """Return the items that its lanes are at, by ticket."""
        return read_hands(self._hands.slots)

    @property
    def lives(self) -> bool:
        """Whether one of its threads has not ended."""
        return any(thread.is_alive() for thread in self.threads)

    def join(self, seconds: float) -> list[str]:
        """Wait for its threads; name those that are stuck."""
        until = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))
        return [thread.name for thread in self.threads if thread.is_alive()]

    def _drop(self, ticket: int) -> None:
        """Begin a ticket no more, and wake the lane that waits for room for it, or will: nobody wants what it gives."""
        self._cancelled.add(ticket)
        waiting, on_loop = self._grants.get(ticket), self._async_grants.get(ticket)
        if waiting is not None:
            waiting.put(NOBODY)
        if on_loop is not None:
            self._call_soon(on_loop.put_nowait, NOBODY)

    def _call_soon(self, function: Callable[..., object], *args: object) -> None:
        """Have the event loop call something, if there is one and it has not ended, nor ends at this moment."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, *args)

    # ------------------------------------------------------------------------------------------------------- in the lanes

    def _spawn(self, target: Callable[[], None]) -> None:
        name = f"{self.spec.plan.label} {self._core.who.number}"
        thread = threading.Thread(target=contextvars.copy_context().run, args=(self._live, target), name=name, daemon=True)
        self.threads.append(thread)
        try:
            thread.start()
        except BaseException:  # there are too many threads: what never began cannot be waited for
            self.threads.remove(thread)
            raise

    def _live(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:  # a bug of ours: nobody must wait for what this lane held
            self._confess(error)
            self._say(WorkerGone(self._worker))

    def _confess(self, error: BaseException) -> None:
        self._say(SetupFailed(self._worker, self._core.setup_note(error, Kind.INTERNAL)))

    def _say(self, event: Event) -> None:
        if not self._abandoned:
            self._tell(event)

    def _set_up(self) -> bool:
        try:
            self._core.setup(self._loop)
        except BaseException as error:  # the user's initializer or constructor, whatever it raised
            self._say(SetupFailed(self._worker, self._core.setup_note(error)))
            return False
        self._say(WorkerReady(self._worker, os.getpid(), self._core.state))
        return True

    def _run_first(self) -> None:
        """Set up, open the other lanes, be one."""
        if not self._set_up():
            self._wait_for_stop()
            self._say(WorkerGone(self._worker))
            return
        self._open_others()
        self._run_lane()

    def _open_others(self) -> None:
        """Start the other lanes; where the system has no thread for one, the set-up has failed, and those that began wait for ``stop``."""
        for begun in range(1, self._lanes):
            try:
                self._spawn(self._run_lane)
            except RuntimeError as error:
                with self._lock:
                    self._running -= self._lanes - begun
                self._refuse(error)
                return

    def _refuse(self, error: RuntimeError) -> None:
        """Say that the system has no thread for a lane."""
        self._say(SetupFailed(self._worker, self._core.setup_note(error)._replace(hint=NO_THREADS)))

    def _wait_for_stop(self) -> None:
        while self._tickets.get() is not None:
            pass

    def _run_lane(self) -> None:
        while (command := self._tickets.get()) is not None:
            if self._abandoned or command.ticket in self._cancelled:
                self._say(Done(self._worker, command.ticket, command.lo))
            else:
                drive(self._core.run(command), self._told, self._room)
            self._grants.pop(command.ticket, None)
            self._cancelled.discard(command.ticket)
        self._leave()

    def _told(self, done: Done) -> None:
        self._say(done._replace(worker=self._worker))

    def _room(self, ticket: int) -> int:
        return self._grants[ticket].get()

    def _leave(self) -> None:
        """Close, if this is the last lane."""
        with self._lock:
            self._running -= 1
            last = not self._running
        if last:
            self._close()

    def _close(self) -> None:
        self._closing()
        note = None
        try:
            self._core.close(self._loop)
        except BaseException as error:  # the user's close_method
            note = self._core.setup_note(error, Kind.CLOSE)
        self._say(WorkerGone(self._worker, note))

    # ------------------------------------------------------------------------------------------------------- asynchronous

    def _run_async(self) -> None:
        assert self._loop is not None
        try:
            if not self._set_up():
                self._wait_for_stop()
                self._say(WorkerGone(self._worker))
                return
            self._loop.run_until_complete(self._serve())
            self._close()
        finally:
            self._end_loop()

    def _end_loop(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self) -> None:
        """Run tickets until told to stop. Nobody wants those in hand then: what does not end by itself is cancelled, and may clean up."""
        assert self._ending is not None
        await self._ending.wait()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_SECONDS)
        for task in self._tasks:
            task.cancel()
        while self._tasks or self._next:
            await asyncio.wait(self._tasks)

    def _begin(self, command: Dispatch | None) -> None:
        assert self._loop is not None
        assert self._ending is not None
        if command is None:
            self._ending.set()
            return
        if command.ticket in self._cancelled:
            del self._async_grants[command.ticket]
            self._cancelled.discard(command.ticket)
            self._say(Done(self._worker, command.ticket, command.lo))
            return
        if len(self._tasks) >= self.spec.plan.lanes:
            self._next.append(command)
            return
        task = self._loop.create_task(self._run_ticket(command))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._confess(error)
        while self._next and len(self._tasks) < self.spec.plan.lanes:
            self._begin(self._next.popleft())

    async def _run_ticket(self, command: Dispatch) -> None:
        try:
            await run_async(self._core, command, self._told, self._async_room)
        finally:
            del self._async_grants[command.ticket]
            self._cancelled.discard(command.ticket)

    async def _async_room(self, ticket: int) -> int:
        return await self._async_grants[ticket].get()
