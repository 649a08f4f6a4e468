"""Workers that run at once, in whatever thread asks: all of the inline engine's, and the hub's opaque stages in every engine.

    Dispatch ──► StageWorker.run ──► Done events, until the ticket ends or waits for room; then it is kept, suspended, until its Grant
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from ..current import POSITION, WORKER
from ..failures import Kind
from ..lazy import lazy
from ..loops import complete, new_loop
from ..scheduler.messages import Dispatch, Done, Event, Grant, SetupFailed, StartWorker, WorkerGone, WorkerReady
from ..worker import Catch, Codec, StageSpec, StageWorker, everything, run_async

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = lazy("asyncio")

__all__ = ["Bench"]


class Bench:
    """The workers of one thread; every method returns the events that follow."""

    def __init__(self, warn: Callable[[str], None], catch: Catch = everything) -> None:
        self._warn = warn
        self._catch = catch
        self._workers: dict[int, StageWorker] = {}
        self._waiting: dict[int, tuple[Any, Any]] = {}  # ticket -> its generator, and where that says it is
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, command: StartWorker, spec: StageSpec, codec: Codec) -> Event:
        worker = StageWorker(spec, command.place, codec, warn=self._warn, catch=self._catch)
        try:
            worker.setup(self._loop_for(spec))
        except self._catch() as error:  # the user's initializer or constructor
            return SetupFailed(command.worker, worker.setup_note(error))
        self._workers[command.worker] = worker
        return WorkerReady(command.worker, os.getpid(), worker.state)

    def dispatch(self, command: Dispatch) -> list[Event]:
        worker = self._workers[command.worker]
        answers = self._run_async(worker, command) if worker.spec.stage.is_async else worker.run(command)
        return self._advance(command.worker, command.ticket, answers, None)

    def grant(self, command: Grant) -> list[Event]:
        answers = self._take_up(command.worker, command.ticket)
        return [] if answers is None else self._advance(command.worker, command.ticket, answers, command.allowance)

    def cancel(self, worker: int, ticket: int) -> list[Event]:
        """Throw a suspended ticket away."""
        answers = self._take_up(worker, ticket)
        if answers is None:
            return []
        answers.close()
        return [Done(worker, ticket, 0)]

    def stop(self, worker: int) -> Event:
        known = self._workers.pop(worker, None)
        try:
            if known is not None:
                known.close(self._loop_for(known.spec))
        except self._catch() as error:  # the user's close_method
            assert known is not None
            return WorkerGone(worker, known.setup_note(error, Kind.CLOSE))
        return WorkerGone(worker)

    def close(self) -> None:
        """Forget everything; suspended generators first, then the event loop."""
        for answers, _ in self._waiting.values():
            answers.close()
        self._waiting.clear()
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _advance(self, worker: int, ticket: int, answers: Any, allowance: int | None) -> list[Event]:
        events: list[Event] = []
        try:
            told = next(answers) if allowance is None else answers.send(allowance)
            while True:
                events.append(told._replace(worker=worker))
                if told.waiting:
                    self._waiting[ticket] = answers, POSITION.get(None)
                    return events
                told = answers.send(0)
        except StopIteration:
            return events

    def _take_up(self, worker: int, ticket: int) -> Any:
        """Return a suspended generator; the user's code in it finds itself where it was, though others have run in this thread since."""
        answers, position = self._waiting.pop(ticket, (None, None))
        if position is not None:
            POSITION.set(position)
            WORKER.set(self._workers[worker].who)
        return answers

    def _run_async(self, worker: StageWorker, command: Dispatch) -> Generator[Done, int, None]:
        """Run a ticket of coroutines on our loop; while it waits for room the loop stands still."""
        loop = self._loop_for(worker.spec)
        assert loop is not None
        told: list[Done] = []
        grants: asyncio.Queue[int] = asyncio.Queue()
        halted = asyncio.Event()

        async def room(ticket: int) -> int:
            halted.set()
            return await grants.get()

        async def advance() -> None:
            halts = asyncio.ensure_future(halted.wait())
            await asyncio.wait([task, halts], return_when=asyncio.FIRST_COMPLETED)
            halts.cancel()

        task = loop.create_task(run_async(worker, command, told.append, room))
        try:
            while not task.done():
                complete(loop, advance())
                for each in told:
                    allowance = yield each
                told.clear()
                if halted.is_set():
                    halted.clear()
                    grants.put_nowait(allowance)
            task.result()
        finally:
            task.cancel()
            complete(loop, asyncio.wait([task]))

    def _loop_for(self, spec: StageSpec) -> asyncio.AbstractEventLoop | None:
        if not spec.stage.is_async:
            return None
        if self._loop is None:
            self._loop = new_loop()
        return self._loop
