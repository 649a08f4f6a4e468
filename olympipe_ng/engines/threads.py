"""Workers are threads of the calling process: for functions that release the GIL, or that must share memory with the caller.

    caller ── events ──► inbox ──► scheduler thread ── Dispatch ──► lanes (threads, or an event loop) ── Done ──► inbox

The same scheduler as everywhere, in a thread. A thread cannot be killed: an item that exceeds its ``timeout`` fails and its thread is
left behind, replaced (it ends when the function returns; until then it is named in the log). Commands for it that follow are for nobody:
what it was to have comes back with its ``WorkerDied``. One that was told to stop and does not in the time that a process has before it is
killed is left behind, too: the run ends without it.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
import time
import traceback
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from ..failures import Kind, Note
from ..scheduler import messages as m
from ..scheduler.statistics import NodeStatistics
from .contract import Job
from .driver import GRACE, LocalDriver
from .lanes import LaneGroup

__all__ = ["ThreadEngine"]


class _Question(NamedTuple):
    """Somebody wants to know how the run stands."""

    answer: queue.SimpleQueue[Sequence[NodeStatistics]]


class _Closing(NamedTuple):
    """A worker has no more items, and begins what the user's ``close_method`` does."""

    worker: int


class ThreadEngine(LocalDriver):
    """Carries out a run with threads."""

    threaded = True

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._inbox: queue.SimpleQueue[m.Event | _Question | _Closing] = queue.SimpleQueue()
        self._groups: dict[int, LaneGroup] = {}
        self._left: list[LaneGroup] = []
        self._leave_at: dict[int, float] = {}  # who was told to stop, and when it is left behind if it has not
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._loop,), name="olympipe_ng scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, event: m.Event) -> None:
        self._inbox.put(event)

    def wait(self) -> None:
        raise AssertionError("this engine has threads of its own")

    def waits_for(self, thread: threading.Thread) -> bool:
        return thread is self._thread or any(thread in group.threads for group in [*self._groups.values(), *self._left])

    def statistics(self) -> Sequence[NodeStatistics]:
        """Ask the scheduler's thread, or look where that has ended."""
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            answer: queue.SimpleQueue[Sequence[NodeStatistics]] = queue.SimpleQueue()
            self._inbox.put(_Question(answer))
            with contextlib.suppress(queue.Empty):
                return answer.get(timeout=1.0)
        return self.scheduler.statistics()

    def close(self, seconds: float) -> list[str]:
        until = time.monotonic() + seconds
        if self._thread.ident is not None:  # else it could not be started
            self._thread.join(max(0.0, until - time.monotonic()))
        stuck = [name for group in self._groups.values() for name in group.join(max(0.0, until - time.monotonic()))]
        until = min(until, time.monotonic() + GRACE)  # what is left behind has had its time
        return stuck + [name for group in self._left for name in group.join(max(0.0, until - time.monotonic()))]

    def _loop(self) -> None:
        try:
            self._serve()
        except BaseException:  # a bug of ours: the user must learn of it rather than wait
            note = Note(Kind.INTERNAL, summary=f"the scheduler's thread failed\n{traceback.format_exc()}")
            self.host.finish_run(note, "", self.scheduler.statistics())
            for group in self._groups.values():
                group.abandon()
        finally:
            self.hub.close()
            self.spool.close()

    def _serve(self) -> None:
        self.begin()
        while not self.scheduler.finished:
            self._collect()
            self._leave_overdue()
            self.turn()

    def _collect(self) -> None:
        """Wait for an event or the scheduler's deadline, and take all that is there."""
        try:
            self._put(self._inbox.get(timeout=self._patience()))
            while True:
                self._put(self._inbox.get_nowait())
        except queue.Empty:
            if not self.events and self.remaining() == 0.0:
                self.events.append(self.due())

    def _patience(self) -> float | None:
        now, remaining = time.monotonic(), self.remaining()
        times = [at - now for at in self._leave_at.values()] + ([] if remaining is None else [remaining])
        return min(threading.TIMEOUT_MAX, max(0.0, min(times))) if times else None

    def _put(self, event: m.Event | _Question | _Closing) -> None:
        if isinstance(event, _Question):
            event.answer.put(self.scheduler.statistics())
        elif isinstance(event, _Closing):
            if event.worker in self._leave_at:
                self._leave_at[event.worker] = time.monotonic() + self.plan.close_timeout
        else:
            if isinstance(event, m.WorkerGone):
                self._leave_at.pop(event.worker, None)
            self.events.append(event)

    def _leave_overdue(self) -> None:
        """Go on without who was told to stop and did not."""
        now = time.monotonic()
        for worker in [worker for worker, at in self._leave_at.items() if at <= now]:
            del self._leave_at[worker]
            group = self._groups.pop(worker)
            group.leave()
            self._left.append(group)
            self.events.append(m.WorkerGone(worker))

    def look_in_hand(self) -> dict[int, range]:
        return {ticket: at for group in self._groups.values() for ticket, at in group.look_in_hand().items()}

    # -------------------------------------------------------------------------------------------------------- commands

    def start_worker(self, command: m.StartWorker) -> None:
        self._forget_ended()
        tell = self._inbox.put
        closing = partial(tell, _Closing(command.worker))
        spec = self.specs[command.node]
        group = LaneGroup(command.worker, spec, command.place, self.codec, tell, self.host.warn, closing=closing)
        self._groups[command.worker] = group
        group.start()

    def _forget_ended(self) -> None:
        """Let go of the workers whose places others take: there may be as many as there are items."""
        self._groups = {number: group for number, group in self._groups.items() if group.lives}
        self._left = [group for group in self._left if group.lives]

    def dispatch(self, command: m.Dispatch) -> None:
        if command.worker in self._groups:
            self._groups[command.worker].dispatch(command)

    def grant(self, command: m.Grant) -> None:
        if command.worker in self._groups:
            self._groups[command.worker].grant(command)

    def cancel(self, command: m.Cancel) -> None:
        if command.worker in self._groups:
            self._groups[command.worker].cancel(command)

    def stop_worker(self, command: m.StopWorker) -> None:
        if command.worker in self._groups:
            patience = GRACE + (0.0 if command.abandon else self.plan.close_timeout)
            self._leave_at[command.worker] = time.monotonic() + patience
            self._groups[command.worker].stop()

    def kill_worker(self, command: m.KillWorker) -> None:
        group = self._groups.pop(command.worker)
        self._leave_at.pop(command.worker, None)
        group.abandon()
        self._left.append(group)
        note = command.note._replace(hint="A thread cannot be stopped: it was left behind.")
        self.events.append(m.WorkerDied(command.worker, note, group.look_in_hand()))

    def finish(self, command: m.Finish) -> None:
        self.host.finish_run(command.note, command.complaint, self.statistics())
