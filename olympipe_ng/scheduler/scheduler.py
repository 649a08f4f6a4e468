"""The scheduler: one pure state machine that decides what runs next.

    engine: frames, ends, results, deaths, time ──events──► Scheduler ──commands──► engine: dispatch, deliver, pull, start, stop

No process, socket, thread or clock; ``now`` comes with each event. ``start`` and ``handle_all`` alone change anything, and nobody else
looks into ``state``. What an event
means is the table in ``_TABLE``; after it, every node that something has happened to is looked at again, until nothing more can be given
out. Commands are given as they are decided: a worker that has nothing to do need not wait until all that follows is written down.

Because it is pure it is tested by simulation (``tests/simulate``): random graphs, delays, deaths and stops, and a failing seed is a unit
test.

Considered and refused: callbacks and futures (the order of events would be the event loop's and not ours to test); a thread per stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..plan import Plan, Role
from . import dealing, deaths, ending, limits, settling
from .deadlock import relieve
from .messages import (
    Command,
    Done,
    Drain,
    Due,
    Event,
    Pause,
    Resume,
    Scale,
    SetupFailed,
    SinkWaits,
    SourceEnd,
    SourceFailed,
    SourceFrame,
    Stop,
    Took,
    WorkerDied,
    WorkerGone,
    WorkerReady,
    WorkerWorn,
)
from .node import Node, WorkerStatus
from .spilling import spill
from .state import State
from .statistics import NodeStatistics, take_statistics

__all__ = ["Scheduler"]


class Scheduler:
    """Decide what runs next, for one run of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.state = State(plan)
        self._looks = [_LOOKS[node.role] for node in plan.nodes]

    @property
    def finished(self) -> bool:
        """Say whether ``Finish`` was given."""
        return self.state.finished

    @property
    def deadline(self) -> float | None:
        """Return when a ``Due`` event is wanted, ``None`` for never."""
        return limits.deadline(self.state)

    def stalls(self, now: float) -> bool:
        """Say whether a ``Due`` at this time would tell of a stall, and so should say what the workers have in hand."""
        return limits.stalls(self.state, now)

    @property
    def paused(self) -> bool:
        """Say whether nothing new is begun."""
        return self.state.paused

    @property
    def awaits_its_consumer(self) -> bool:
        """Say whether something was delivered and not yet taken."""
        return any(edge.unstarted for sink in self.state.sinks for edge in self.state.inputs(sink))

    def holds_state(self, worker: int) -> bool:
        """Say whether a worker may hold what nothing can repeat."""
        known = self.state.workers.get(worker)
        return known is not None and known.holds_state

    def statistics(self) -> tuple[NodeStatistics, ...]:
        """Return what is known of each node, in plain numbers."""
        return take_statistics(self.state)

    def start(self, now: float) -> list[Command]:
        """Begin: start the workers, pull the sources."""
        state = self.state
        state.now = now
        state.set_capacities()
        for node in state.nodes:
            if node.plan.role is Role.STAGE:
                for place in range(node.plan.workers):
                    ending.start_worker(state, node, place)
        state.touch_all()
        return list(self._settle())

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one event; return what is to be done because of it."""
        return list(self.handle_all((event,), now))

    def handle_all(self, events: Iterable[Event], now: float) -> Iterator[Command]:
        """Take events that have come together; the nodes that they concern are looked at once, which is most of the work.

        Each command may be carried out before the next is asked for; all must be asked for before the next event is handled.
        """
        self.state.now = now
        for event in events:
            if not self.state.finished:
                _TABLE[type(event)](self.state, event)
                limits.heed(self.state, event)
        limits.look(self.state)
        return self._settle()

    def _settle(self) -> Iterator[Command]:
        """Look at every touched node until nothing more can be given out."""
        state = self.state
        while not state.finished:
            while (node := state.next_touched()) is not None:
                self._looks[node.number](state, node)
                if state.commands:
                    yield from state.take_commands()
            if not relieve(state):
                break
        if state.grown:
            spill(state)
        ending.check_finished(state)
        yield from state.take_commands()


def _look_at_source(state: State, node: Node) -> None:
    dealing.pull(state, node)


def _look_at_sink(state: State, node: Node) -> None:
    dealing.deliver(state, node)
    ending.end_sink(state, node)


def _look_at_stage(state: State, node: Node) -> None:
    if node.alive:
        settling.commit(state, node)
        if dealing.deal(state, node):
            settling.commit(state, node)
        ending.retire(state, node)
        if node.plan.hub:
            _pass_hunger_on(state, node)
    if node.miscounted:  # once for all that came and went: with many lanes it is the dearest of all this
        state.recount(node)


def _pass_hunger_on(state: State, node: Node) -> None:
    """Let a source know, through what costs nothing: behind this somebody may have nothing to do until it ships what it holds."""
    for edge in state.inputs(node):
        producer = state.producer(edge)
        if producer.plan.hub or producer.plan.role is Role.SOURCE:
            state.touch(producer)


_LOOKS = {Role.SOURCE: _look_at_source, Role.STAGE: _look_at_stage, Role.SINK: _look_at_sink}


def _worker_ready(state: State, event: WorkerReady) -> None:
    worker = state.workers.get(event.worker)
    if worker is None or worker.status is not WorkerStatus.STARTING:
        return
    worker.status = WorkerStatus.READY
    worker.pid = event.pid
    worker.node.start_deaths = worker.node.killed_starts = 0
    worker.node.take_state(event.state)
    state.touch_around(worker.node)


def _worker_worn(state: State, event: WorkerWorn) -> None:
    worker = state.workers.get(event.worker)
    if worker is not None:
        worker.worn = worker.node.crew_changes = True
        state.touch(worker.node)


def _setup_failed(state: State, event: SetupFailed) -> None:
    ending.fail_run(state, event.note)


def _sink_waits(state: State, event: SinkWaits) -> None:
    state.waiting[event.sink] += 1 if event.waiting else -1


def _due(state: State, event: Due) -> None:
    """Do nothing by itself: what is due is touched after every event."""


def _scale(state: State, event: Scale) -> None:
    ending.scale(state, state.nodes[event.node], event.workers)


def _pause(state: State, event: Pause) -> None:
    state.paused = True


def _resume(state: State, event: Resume | Drain) -> None:
    """Go on; whoever waits for items begins to wait only now, for what came meanwhile was not given to it."""
    for number in state.before if state.paused else ():
        state.nodes[number].begins = True
    state.paused = False
    state.touch_all()


def _drain(state: State, event: Drain) -> None:
    _resume(state, event)
    ending.close_sources(state)


def _stop(state: State, event: Stop) -> None:
    if event.note is not None:
        ending.fail_run(state, event.note)
    ending.stop(state)


_TABLE: dict[type, Callable[[State, Any], None]] = {
    SourceFrame: settling.source_frame,
    SourceFailed: settling.source_failed,
    SourceEnd: ending.source_end,
    Done: settling.done,
    WorkerReady: _worker_ready,
    SetupFailed: _setup_failed,
    WorkerDied: deaths.worker_died,
    WorkerGone: ending.worker_gone,
    WorkerWorn: _worker_worn,
    Took: settling.took,
    SinkWaits: _sink_waits,
    Due: _due,
    Scale: _scale,
    Pause: _pause,
    Resume: _resume,
    Drain: _drain,
    Stop: _stop,
}
