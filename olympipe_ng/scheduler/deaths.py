"""A worker has died: what it held comes back, the one item that may be to blame alone, and another takes its place.

    of a ticket in its hand:   settled ... | upto ... | in hand (a lane was at these) | ... hi
                                             as it was   alone, each                     as it was

What a lane was at tells its control page (``worker.hands``), where that could be read: one item, or a few cheap ones; without it all that
was not settled is suspected. A suspect is run once more, alone; dying over it again makes it the culprit, and it is judged by its stage's
policy without being run; if workers die of that, too (of loading it, say), unseen. A ticket that no lane had begun comes back as it was and
counts no attempt; but a worker that dies again and again before it begins one has died of receiving it: from ``UNBEGUN`` deaths on it is
suspected too.

A worker that dies before it is ready is replaced as well, else one out-of-memory kill would fail a run; a stage that keeps dying then fails
it. Exits and crashes are the set-up's own doing and soon enough; a signal that anybody may send is borne longer.
"""

from __future__ import annotations

from typing import Any

from ..failures import Kind
from .ending import cancel_items, drop_input, fail_node, fail_run, start_worker, unreserve, withhold
from .messages import Counts, Warn, WorkerDied
from .node import JUDGE_DEATHS, Node, Ticket, TicketState, Worker, WorkerStatus
from .settling import backoff, close_ticket, commit, settled_before, split
from .state import State

__all__ = ["worker_died"]

START_DEATHS = 3  # workers of a stage in a row that died before they were ready, by their own doing
KILLED_STARTS = 10  # ... or by a signal that may come from outside: more bear more kills, fewer tell sooner of memory that does not suffice
UNBEGUN = 2  # workers that died with a ticket which they had not begun; more run a culprit more often, fewer suspect the innocent

RENEWED = "{}: a worker died, and with it what its instance held; another goes on with a fresh one (stateful=True ends the run instead)"


def worker_died(state: State, event: WorkerDied) -> None:
    """Deal again what a dead worker held, and replace it."""
    worker = state.end_worker(event.worker)
    if worker is None:
        return
    node = worker.node
    node.bereaved = True
    del node.workers[worker.number]
    held = any(ticket.state is not TicketState.CANCELLED for ticket in worker.tickets.values())
    for order, ticket in enumerate(list(worker.tickets.values())):
        ticket.worker = None
        if ticket.state is TicketState.CANCELLED:
            drop_input(state, ticket)
        elif worker.holds_state:
            _fail_ticket(state, node, ticket, event.note)
        else:
            suspects = _suspects(worker, ticket, event, taken_up=order < node.plan.lanes)
            ticket.alone |= worker.killed is ticket  # no second try is needed to know the culprit
            _give_back(state, node, ticket, suspects, _what_of(worker, ticket, event.note))
    if node.plan.stateful and worker.holds_state and node.alive and not held:
        fail_node(state, node, event.note)  # else the error has the place of what it held
    withhold(state, node)
    _replace(state, worker, event)
    commit(state, node)
    node.miscounted = True
    state.touch_around(node)


def _what_of(worker: Worker, ticket: Ticket, note: Any) -> Any:
    """Say what happened to a ticket: where another one was late, and this one was not yet, that its worker has died of that."""
    late = worker.killed
    if late is None or late is ticket or (ticket.state is TicketState.OUT and ticket.begun <= late.begun):
        return note
    return worker.note(Kind.DIED, f"its worker was ended for another item, which took longer than timeout={worker.node.plan.timeout:g} s")


def _replace(state: State, worker: Worker, event: WorkerDied) -> None:
    node = worker.node
    if not node.alive:
        return
    if worker.status is WorkerStatus.STARTING:
        node.start_deaths += 1
        node.killed_starts += event.killed
        if node.start_deaths - node.killed_starts >= START_DEATHS or node.start_deaths >= KILLED_STARTS:
            fail_run(state, event.note)
            return
    elif node.plan.renews:
        state.say(Warn(RENEWED.format(node.plan.label)))
    if worker.place < node.wanted or node.queued_tickets:
        start_worker(state, node, worker.place)


def _fail_ticket(state: State, node: Node, ticket: Ticket, note: Any) -> None:
    """End a ticket whose worker held the stream's state: nothing can repeat it."""
    ticket.error = note
    ticket.watermark = settled_before(ticket)
    cancel_items(state, node, ticket.items)
    close_ticket(state, node, ticket)


# ------------------------------------------------------------------------------------------------------------ who was in hand


def _suspects(worker: Worker, ticket: Ticket, event: WorkerDied, *, taken_up: bool) -> range:
    """Return the items of a ticket that its worker may have died over; ``taken_up``: it is among those that the lanes are at."""
    late, plan = worker.killed, worker.node.plan
    if late is not None and late is not ticket and plan.redeliver and not ticket.emitted:
        return range(0)  # its worker was killed for another's sake
    rest = range(ticket.upto, ticket.hi)
    if event.in_hand is None:
        return rest if taken_up else range(0)
    at = event.in_hand.get(ticket.number, range(0))
    part = range(max(rest.start, at.start), min(rest.stop, at.stop))
    ticket.unbegun += taken_up and not part
    surely = late is ticket or ticket.emitted or ticket.unbegun >= UNBEGUN
    return rest if surely and not part else part


def _give_back(state: State, node: Node, ticket: Ticket, suspects: range, note: Any) -> None:
    """Put a dead worker's ticket back: the items in hand alone, what was never begun as it was."""
    if node.plan.many:
        unreserve(state, node, ticket, ticket.reserved)
    if not suspects:
        _queue_again(node, ticket)
    elif ticket.emitted and ticket.items > 1:
        _give_back_behind_emitted(state, node, ticket, suspects, note)
    else:
        _give_back_around(state, node, ticket, suspects, note)


def _give_back_behind_emitted(state: State, node: Node, ticket: Ticket, suspects: range, note: Any) -> None:
    """Judge the item whose first outputs are committed, though it may have been through: the others died with its worker."""
    rest = split(state, node, ticket, ticket.upto + 1, ticket.hi)
    ticket.hi = ticket.upto + 1
    _suspect_one(state, node, ticket, note, was_alone=True)
    others = range(max(suspects.start, rest.upto), suspects.stop)
    if others:
        node.queued_tickets -= 1  # counted again by what follows
        _give_back_around(state, node, rest, others, note)


def _give_back_around(state: State, node: Node, ticket: Ticket, suspects: range, note: Any) -> None:
    """Split the suspects off a ticket."""
    if suspects.stop < ticket.hi:
        split(state, node, ticket, suspects.stop, ticket.hi)
        ticket.hi = suspects.stop
    if ticket.upto < suspects.start:
        others = split(state, node, ticket, suspects.start, suspects.stop)
        ticket.hi = suspects.start
        _queue_again(node, ticket)
        node.queued_tickets -= 1  # counted again by what follows
        _suspect(state, node, others, note)
    else:
        _suspect(state, node, ticket, note)


def _suspect(state: State, node: Node, ticket: Ticket, note: Any) -> None:
    """Deal the items of a ticket one by one, since nobody knows over which of them its worker died."""
    while ticket.items > 1:
        part = split(state, node, ticket, ticket.hi - 1, ticket.hi)
        part.alone = True
        ticket.hi -= 1
    _suspect_one(state, node, ticket, note, was_alone=ticket.alone)


def _suspect_one(state: State, node: Node, ticket: Ticket, note: Any, *, was_alone: bool) -> None:
    """Run an item that was in hand at a death once more, alone; judge it where that is not allowed or was tried."""
    guilty = was_alone or not node.plan.redeliver or ticket.emitted
    if ticket.judge is not None:
        ticket.judge_deaths += 1
        if ticket.judge_deaths > JUDGE_DEATHS:
            _fail_ticket(state, node, ticket, note)  # even giving it up kills
        else:
            _queue_again(node, ticket)
        return
    if guilty and (ticket.attempt < node.plan.retries and node.plan.redeliver and not ticket.emitted):
        ticket.due = state.now + backoff(state, node, ticket.attempt)
        ticket.attempt += 1
        state.ledger[node.number].add(Counts(retried=1))
    elif guilty:
        ticket.judge = note
    ticket.alone = True
    _queue_again(node, ticket)


def _queue_again(node: Node, ticket: Ticket) -> None:
    ticket.state = TicketState.QUEUED
    node.queued_tickets += 1
