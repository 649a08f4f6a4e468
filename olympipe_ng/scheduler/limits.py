"""Limits of time: an item that takes too long, a set-up that does, a run in which nothing moves.

    deadline  ──► when time alone will make a difference; the engine then sends ``Due``
    heed      ──► after every event: tell of a stall, or that there is none
    look      ──► after all that came together: kill who is late; what was done in time may be told of behind something else

A stall is only told of, once until something moves again: the run goes on. The consumer's own pauses and a source that has nothing are no
stall, for then no worker holds anything; nor are set-up and ``pause()``. Nor does set-up count for a stage that waits for what comes
through it (a ``timeout`` of the stream): its time begins when each stage before it has a worker that is ready.
"""

from __future__ import annotations

from collections.abc import Mapping

from .. import units
from ..failures import Kind
from .ending import fail_run
from .messages import Due, Event, KillWorker, Warn
from .node import Node, Ticket, TicketState, Worker, WorkerStatus
from .state import State

__all__ = ["deadline", "heed", "look", "stalls"]

MOMENT = 0.005  # seconds between a look at what is in hand and the telling of it
CANCEL_SECONDS = 1.0  # for a worker that ends late items itself (coroutines); more waits longer for a blocked loop, less kills slow ones


def heed(state: State, event: Event) -> None:
    """Take note that something moves, or tell that nothing does."""
    if not isinstance(event, Due):
        state.moved = state.now
        state.stalled = False
    elif _stall_due(state) is not None and state.moved + (state.plan.stall_timeout or 0.0) <= state.now:
        _tell_of_stall(state, event.in_hand)


def look(state: State) -> None:
    """Do what is due."""
    for node in state.timed:
        if (node.deadline is not None and node.deadline <= state.now) or node.queued_tickets:
            state.touch(node)
        _end_late_items(state, node)
        _end_late_set_ups(state, node)
        if node.plan.excuses_setup:
            _excuse_set_ups(state, node)


def deadline(state: State) -> float | None:
    """Return when time alone will make a difference; what is due but waits for room or a worker is looked at when those come."""
    times: list[float] = []
    for node in state.timed:
        if node.alive:
            times.extend(_times(node))
    stall = _stall_due(state)
    if stall is not None:
        times.append(stall)
    return min((time for time in times if time > state.now), default=None)


def _times(node: Node) -> list[float]:
    times = [] if node.deadline is None else [node.deadline]
    if node.queued_tickets:
        times += [ticket.due for ticket in node.window if ticket.state is TicketState.QUEUED]
    if node.plan.timeout is not None:
        times += [ticket.begun + _limit(node) for ticket in node.in_hand() if ticket.state is TicketState.OUT]
    if node.plan.setup_timeout is not None:
        times += [worker.begun + node.plan.setup_timeout for worker in node.workers.values() if worker.status is WorkerStatus.STARTING]
    return times


# ------------------------------------------------------------------------------------------------------------ what is late


def _limit(node: Node) -> float:
    return (node.plan.timeout or 0.0) + (CANCEL_SECONDS if node.plan.cancels else 0.0)


def _end_late_items(state: State, node: Node) -> None:
    """Have the workers killed whose item takes longer than the stage's ``timeout``."""
    if node.plan.timeout is None:
        return
    for ticket in list(node.in_hand()):
        worker = ticket.worker
        if worker is not None and worker.killed is None and ticket.state is TicketState.OUT and ticket.begun + _limit(node) <= state.now:
            worker.killed = ticket
            state.say(KillWorker(worker.number, worker.note(Kind.TIMEOUT, f"took longer than timeout={node.plan.timeout:g} s")))


def _end_late_set_ups(state: State, node: Node) -> None:
    """End the run when a set-up takes longer than the stage's ``setup_timeout``, which counts from the worker's start."""
    limit = node.plan.setup_timeout
    if limit is None:
        return
    for worker in node.workers.values():
        if worker.status is WorkerStatus.STARTING and worker.begun + limit <= state.now:
            note = worker.note(Kind.TIMEOUT, f"its set-up took longer than setup_timeout={limit:g} s")
            state.say(KillWorker(worker.number, note))
            fail_run(state, note)
            return


def _excuse_set_ups(state: State, node: Node) -> None:
    """Have no time count in which a stage before this one is being set up, and have it told when that is over."""
    excused = any(before.is_setting_up for before in state.before[node.number])
    if excused is not node.excused:
        node.excused, node.begins = excused, not excused
        state.touch(node)


# ------------------------------------------------------------------------------------------------------------------- stall


def _stall_due(state: State) -> float | None:
    """Return when the run counts as stalled if nothing moves; ``None`` where nobody is to be told."""
    limit = state.plan.stall_timeout
    if limit is None or not state.tickets or state.paused or state.stopping or state.stalled:
        return None
    return state.moved + limit


def stalls(state: State, now: float) -> bool:
    """Say whether a ``Due`` at this time, or in a moment, would tell of a stall: then it should say what is in hand."""
    due = _stall_due(state)
    return due is not None and due <= now + MOMENT


def _tell_of_stall(state: State, in_hand: Mapping[int, range] | None) -> None:
    held = [_held(state, worker, in_hand) for node in state.nodes for worker in node.workers.values() if _works(worker)]
    if held:
        state.stalled = True
        still = units.seconds(state.now - state.moved)
        text = f"nothing has moved for {still} (stall_timeout={state.plan.stall_timeout:g}), the run goes on: "
        state.say(Warn(text + "; ".join(held)))


def _works(worker: Worker) -> bool:
    return any(ticket.state is TicketState.OUT for ticket in worker.tickets.values())


def _held(state: State, worker: Worker, in_hand: Mapping[int, range] | None) -> str:
    """Say what a worker holds and what waits before its stage."""
    node, out = worker.node, [ticket for ticket in worker.tickets.values() if ticket.state is TicketState.OUT]
    begun = [ticket for ticket in out if ticket.number in (in_hand or ())] or [ticket for ticket in worker.running if ticket in out]
    items = " and ".join(_items(ticket, (in_hand or {}).get(ticket.number)) for ticket in begun)
    waiting = sum(edge.queued for edge in state.inputs(node))
    return f"stage {node.plan.title}, worker {worker.place} (pid {worker.pid}) holds {items}, {waiting} wait before it"


def _items(ticket: Ticket, at: range | None) -> str:
    """Name the items that a worker is at; where that is not known, all it has not settled of a ticket."""
    lo, hi = (ticket.upto, ticket.hi) if at is None else (max(ticket.upto, at.start), min(ticket.hi, at.stop))
    origin = ticket.frame.origins.at(lo) if ticket.frame is not None and lo < hi else ()
    if not origin:
        return "the end of its stream"
    first = origin[0][1]
    if hi - lo == 1:
        return f"item {first}"
    return f"{hi - lo} items from item {first} on" if at is None else f"one of {hi - lo} items from item {first} on"
