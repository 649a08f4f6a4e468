"""What comes back: outputs are held, committed in order, and what was not finished keeps its place and is dealt again.

    Done ──► hold outputs ──► split off what is given back or retried ──► commit from the head of the window ──► edges

A worker that died gives back all it held. The item that was in its hand is run once more, alone; dying over it again makes it the culprit.
"""

from __future__ import annotations

from typing import Any

from .budget import overdrawn
from .ending import after_commit, cancel_items, drop_input, fail_node, fail_run, start_worker, unreserve, withhold
from .messages import Counts, Done, Frame, Record, SourceFrame, Took, WorkerDied
from .node import Node, Ticket, TicketState, Worker, WorkerStatus
from .state import State

__all__ = ["commit", "done", "put_marks", "source_frame", "split", "took", "worker_died"]

START_DEATHS = 3  # workers in a row that died before they were ready; fewer would fail a run for one out-of-memory kill


# ------------------------------------------------------------------------------------------------------- source and sink


def source_frame(state: State, event: SourceFrame) -> None:
    """Commit what a source drew."""
    node, source = state.nodes[event.source], state.sources[event.source]
    count = event.parcel.count
    for note in event.failures:
        state.say(Record(note))
    source.drawn += count
    source.told_hungry = False
    frame = state.new_frame(event.parcel)
    for edge in state.outputs(node):
        edge.promised -= count
    _push(state, node, 0, frame)
    put_marks(state, node, event.parcel.origins.last())
    state.touch(node)


def took(state: State, event: Took) -> None:
    """Give back the room of what a sink's consumer has taken."""
    node = state.nodes[event.sink]
    edge = state.edges[node.plan.inputs[0]]
    count = min(event.count, edge.unstarted)
    edge.unstarted -= count
    state.ledger[node.number].taken += count
    waiting = state.delivered[node.number]
    while count and waiting:
        entry = waiting[0]
        part = min(count, entry[1])
        entry[1] -= part
        count -= part
        if not entry[1]:
            state.release(waiting.popleft()[0])
    state.touch(state.producer(edge))


# ------------------------------------------------------------------------------------------------------------------ done


def done(state: State, event: Done) -> None:
    """Take what a worker settled of a ticket."""
    ticket, worker = state.tickets.get(event.ticket), state.workers.get(event.worker)
    if ticket is None or worker is None:
        return
    node = worker.node
    if event.finished:
        worker.tickets.pop(ticket.number, None)
        ticket.worker = None
    state.touch_around(node)
    if ticket.state is TicketState.CANCELLED:
        _forget(state, ticket, event)
    else:
        _settle(state, node, ticket, event)
        _learn(state, node, worker, ticket, event)
        if event.note is not None:
            withhold(state, node)
        commit(state, node)
        if event.counts.failed:
            fail_run(state, overdrawn(state, node))
    state.recount(node)


def _forget(state: State, ticket: Ticket, event: Done) -> None:
    """Drop what a cancelled ticket still gave."""
    for _, parcel in event.outputs:
        frame = state.new_frame(parcel)
        frame.uses = 1
        state.release(frame)
    if event.finished:
        drop_input(state, ticket)


def _settle(state: State, node: Node, ticket: Ticket, event: Done) -> None:
    account = state.ledger[node.number]
    account.add(event.counts)
    account.settled += event.upto - ticket.upto
    account.busy += event.busy
    account.moving += event.moving
    account.slowest = max(account.slowest, event.slowest)
    node.take_state(event.state)
    _hold(state, node, ticket, event)
    if event.upto > ticket.upto:
        ticket.attempt, ticket.judge, ticket.alone = 0, None, False
    unreserve(state, node, ticket, _used_reservation(node, ticket, event))
    ticket.upto = event.upto
    ticket.emitted = event.emitted
    ticket.failures.extend(event.failures)
    if event.finished:
        _finish(state, node, ticket, event)
    elif event.waiting:
        ticket.state = TicketState.CREDIT
        ticket.begun = state.now
    else:
        ticket.begun = state.now


def _used_reservation(node: Node, ticket: Ticket, event: Done) -> int:
    """Count the reserved places that this message has used: by outputs under an allowance, else one for each item settled."""
    if not node.plan.many:
        return event.upto - ticket.upto
    return sum(parcel.count for _, parcel in event.outputs)


def _hold(state: State, node: Node, ticket: Ticket, event: Done) -> None:
    for outlet, parcel in event.outputs:
        frame = state.new_frame(parcel)
        state.ledger[node.number].outputs += frame.count
        ticket.outputs.append((outlet, frame))
        for number in node.plan.outlets[outlet]:
            state.edges[number].hold(frame)


def _finish(state: State, node: Node, ticket: Ticket, event: Done) -> None:
    """Close a ticket; what it did not settle goes on in new ones, in its place."""
    rest = ticket.upto + (event.retry is not None)
    if event.retry is not None:
        again = split(state, node, ticket, ticket.upto, rest)
        again.attempt = ticket.attempt + 1
        again.due = state.now + _backoff(state, node, ticket.attempt)
        again.begun = again.due
    if event.note is not None:
        ticket.error = event.note
        ticket.mark = _settled_before(ticket)
        cancelled = max(0, ticket.hi - ticket.upto - 1)
        cancel_items(state, node, cancelled)
    elif rest < ticket.hi:
        split(state, node, ticket, rest, ticket.hi)
    ticket.hi = ticket.upto
    unreserve(state, node, ticket, ticket.reserved)
    ticket.state = TicketState.DONE
    drop_input(state, ticket)


def _settled_before(ticket: Ticket) -> int:
    """Return the source index below which all is settled when the item at ``upto`` ends the stream: of a batch, its own last one."""
    if ticket.frame is None or ticket.upto >= ticket.hi:
        return 0
    return max((stop for _, _, stop in ticket.frame.origins.at(ticket.upto)), default=1) - 1


def _backoff(state: State, node: Node, attempt: int) -> float:
    """Return the seconds before the next attempt: doubling, with jitter so that what failed together does not return together."""
    plan = node.plan
    return min(plan.max_backoff, plan.backoff * 2.0**attempt) * (0.5 + state.random.random() / 2)


def split(state: State, node: Node, ticket: Ticket, lo: int, hi: int) -> Ticket:
    """Put a new ticket for ``[lo, hi)`` behind ``ticket`` and those split from it before; its reservation goes along."""
    part = Ticket(state.number(), ticket.verb, ticket.port, ticket.frame, lo, hi)
    assert ticket.frame is not None
    ticket.frame.uses += 1
    if not node.plan.many:
        part.reserved = min(hi - lo, ticket.reserved)
        ticket.reserved -= part.reserved
    place = node.window.index(ticket) + 1
    while place < len(node.window) and node.window[place].frame is ticket.frame and node.window[place].upto < lo:
        place += 1
    node.window.insert(place, part)
    node.queued_tickets += 1
    state.tickets[part.number] = part
    return part


def _learn(state: State, node: Node, worker: Worker, ticket: Ticket, event: Done) -> None:
    items = sum(event.counts) if event.counts != Counts() else 0
    worker.served += max(0, items)
    ticket.spent += event.busy + event.moving
    if items > 0:
        if not node.plan.many:
            for edge in state.outputs(node):
                edge.untried = 0  # even if nothing came: a filter may drop nearly everything
        account = state.ledger[node.number]
        if node.plan.many and account.settled:
            node.fanout = max(1.0, account.outputs / account.settled)
        node.learn(items, ticket.spent)
        ticket.spent = 0.0
        state.widen(node)


# ---------------------------------------------------------------------------------------------------------------- commit


def commit(state: State, node: Node) -> None:
    """Commit what may be: in order from the head of the window; without order, all there is."""
    if node.plan.ordered:
        while node.window and _commit_head(state, node):
            pass
    else:
        for ticket in list(node.window):
            _commit_ticket(state, node, ticket)
            if ticket.state is TicketState.DONE and not ticket.mark and ticket in node.window:
                node.window.remove(ticket)
        while node.window and node.window[0].state is TicketState.DONE:
            put_marks(state, node, node.window.pop(0).mark)
    after_commit(state, node)


def _commit_head(state: State, node: Node) -> bool:
    ticket = node.window[0]
    _commit_ticket(state, node, ticket)
    if ticket.state is not TicketState.DONE or not node.window:
        return False
    node.window.pop(0)
    if ticket.mark and not node.plan.wants_marks:
        put_marks(state, node, ticket.mark)
    return True


def _commit_ticket(state: State, node: Node, ticket: Ticket) -> None:
    outputs, ticket.outputs = ticket.outputs, []
    for outlet, frame in outputs:
        for number in node.plan.outlets[outlet]:
            state.edges[number].unhold(frame)
        _push(state, node, outlet, frame)
    if outputs and node.plan.stream and node.plan.ascends:
        put_marks(state, node, max(frame.origins.last() for _, frame in outputs))
    failures, ticket.failures = ticket.failures, []
    for note in failures:
        state.say(Record(note))
    if ticket.error is not None:
        error, ticket.error = ticket.error, None
        if ticket.mark and not node.plan.stream:
            put_marks(state, node, ticket.mark)
        fail_node(state, node, error)


def _push(state: State, node: Node, outlet: int, frame: Frame) -> None:
    frame.uses += 1
    for number in node.plan.outlets[outlet]:
        edge = state.edges[number]
        if not edge.closed and frame.count:
            edge.push(frame)
            state.touch(state.consumer(edge))
    state.release(frame)


def put_marks(state: State, node: Node, mark: int) -> None:
    """Tell the marked edges behind a node that every source index below ``mark`` is settled."""
    for edge in state.outputs(node):
        if edge.plan.marked and not edge.closed:
            edge.push_mark(mark)
            state.touch(state.consumer(edge))


# --------------------------------------------------------------------------------------------------------------- workers


def worker_died(state: State, event: WorkerDied) -> None:
    """Deal again what a dead worker held, and replace it."""
    worker = state.workers.pop(event.worker, None)
    if worker is None:
        return
    node = worker.node
    node.bereaved = True
    del node.workers[worker.number]
    timed_out: Ticket | None = worker.killed
    held = any(ticket.state is not TicketState.CANCELLED for ticket in worker.tickets.values())
    for order, ticket in enumerate(list(worker.tickets.values())):
        ticket.worker = None
        if ticket.state is TicketState.CANCELLED:
            drop_input(state, ticket)
        elif node.plan.stateful or (node.plan.stream and not node.plan.hub):
            _fail_ticket(state, node, ticket, event.note)
        else:
            innocent = timed_out is not None and timed_out is not ticket and node.plan.redeliver and not ticket.emitted
            started = order < node.plan.lanes and not innocent
            ticket.alone |= timed_out is ticket  # no second try is needed to know the culprit
            _give_back(state, node, ticket, event, started=started)
    if node.plan.stateful and node.alive and not held:
        fail_node(state, node, event.note)  # else the error has the place of what it held
    withhold(state, node)
    _replace(state, worker, event.note)
    commit(state, node)
    state.recount(node)
    state.touch_around(node)


def _replace(state: State, worker: Worker, note: Any) -> None:
    node = worker.node
    if not node.alive or state.stopping:
        return
    if worker.status is WorkerStatus.STARTING:
        node.start_deaths += 1
        if node.start_deaths >= START_DEATHS:
            fail_run(state, note)
            return
    if worker.place < node.wanted or node.queued_tickets:
        start_worker(state, node, worker.place)


def _fail_ticket(state: State, node: Node, ticket: Ticket, note: Any) -> None:
    """End a ticket whose worker held the stream's state: nothing can repeat it."""
    ticket.error = note
    ticket.mark = _settled_before(ticket)
    cancel_items(state, node, ticket.items)
    ticket.hi = ticket.upto
    unreserve(state, node, ticket, ticket.reserved)
    ticket.state = TicketState.DONE
    drop_input(state, ticket)


def _give_back(state: State, node: Node, ticket: Ticket, event: WorkerDied, *, started: bool) -> None:
    """Put a dead worker's ticket back: the item in hand alone, what was never begun as it was."""
    if node.plan.many:
        unreserve(state, node, ticket, ticket.reserved)
    position = event.in_hand.get(ticket.number) if started else None
    if not started:
        _queue_again(node, ticket)
    elif ticket.emitted and ticket.items > 1:
        _give_back_behind_emitted(state, node, ticket, position, event.note)
    elif position is None:
        _suspect(state, node, ticket, event.note)
    else:
        _give_back_around(state, node, ticket, min(max(position, ticket.upto), ticket.hi - 1), event.note)


def _give_back_behind_emitted(state: State, node: Node, ticket: Ticket, position: int | None, note: Any) -> None:
    """Judge the item whose first outputs are committed, though it may have been through: the others died with its worker."""
    rest = split(state, node, ticket, ticket.upto + 1, ticket.hi)
    ticket.hi = ticket.upto + 1
    _suspect_one(state, node, ticket, note, was_alone=True)
    if position is None or position >= rest.upto:
        node.queued_tickets -= 1  # counted again by what follows
        if position is None:
            _suspect(state, node, rest, note)
        else:
            _give_back_around(state, node, rest, min(position, rest.hi - 1), note)


def _give_back_around(state: State, node: Node, ticket: Ticket, position: int, note: Any) -> None:
    if position + 1 < ticket.hi:
        split(state, node, ticket, position + 1, ticket.hi)
        ticket.hi = position + 1
    if ticket.upto < position:
        culprit = split(state, node, ticket, position, position + 1)
        ticket.hi = position
        _queue_again(node, ticket)
        culprit.emitted = 0
        node.queued_tickets -= 1  # counted again by what follows
        _suspect_one(state, node, culprit, note, was_alone=False)
    else:
        _suspect_one(state, node, ticket, note, was_alone=ticket.alone)


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
        if ticket.judge_deaths > 1:
            _fail_ticket(state, node, ticket, note)  # even judging it kills
        else:
            _queue_again(node, ticket)
        return
    if guilty and (ticket.attempt < node.plan.retries and node.plan.redeliver and not ticket.emitted):
        ticket.due = state.now + _backoff(state, node, ticket.attempt)
        ticket.attempt += 1
        state.ledger[node.number].add(Counts(retried=1))
    elif guilty:
        ticket.judge = note
    ticket.alone = True
    _queue_again(node, ticket)


def _queue_again(node: Node, ticket: Ticket) -> None:
    ticket.state = TicketState.QUEUED
    node.queued_tickets += 1

