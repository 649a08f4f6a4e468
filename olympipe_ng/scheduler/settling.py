"""What comes back: outputs are held, committed in order, and what was not finished keeps its place and is dealt again.

    Done ──► hold outputs ──► split off what is given back or retried ──► commit from the head of the window ──► edges

What a dead worker held comes back by ``deaths``.
"""

from __future__ import annotations

from .budget import overdrawn
from .ending import after_commit, cancel_items, drop_input, fail_node, fail_run, unreserve, withhold
from .messages import Done, Frame, Record, SourceFailed, SourceFrame, Took
from .node import Node, Ticket, TicketState
from .state import State

__all__ = [
    "backoff",
    "close_ticket",
    "commit",
    "done",
    "put_watermarks",
    "settled_before",
    "source_failed",
    "source_frame",
    "split",
    "took",
]

DOUBLINGS = 1000  # of a pause: more than any ``max_backoff`` lasts, and what a float can hold

# ------------------------------------------------------------------------------------------------------- source and sink


def source_frame(state: State, event: SourceFrame) -> None:
    """Commit what a source drew."""
    node, source = state.nodes[event.source], state.sources[event.source]
    count = event.parcel.count
    source.drawn += count
    source.told_hungry = False
    frame = state.new_frame(event.parcel)
    for edge in state.outputs(node):
        edge.promised -= count
    _push(state, node, 0, frame)
    put_watermarks(state, node, event.parcel.origins.last())
    state.touch(node)


def source_failed(state: State, event: SourceFailed) -> None:
    """Count what failed in a source."""
    state.sources[event.source].failed += event.failed
    for note in event.failures:
        state.say(Record(note))
    fail_run(state, overdrawn(state, state.nodes[event.source]))


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
    state.touch_producer(edge)


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
    worker.served += sum(event.counts)
    if ticket.state is TicketState.CANCELLED:
        _forget(state, ticket, event)
    else:
        _settle(state, node, ticket, event)
        _learn(state, node, ticket, event)
        if event.note is not None:
            withhold(state, node)
        if event.counts.failed:
            commit(state, node)
            _charge(state, node, ticket, event)
    node.miscounted = True


def _charge(state: State, node: Node, ticket: Ticket, event: Done) -> None:
    """Take failures off the budgets of those whose failures they are."""
    maker = state.producer(state.edges[node.plan.inputs[ticket.port]])
    for blamed, failed in ((node, event.counts.failed - event.unloaded), (maker, event.unloaded)):
        if failed:
            state.ledger[blamed.number].charged += failed
            fail_run(state, overdrawn(state, blamed))


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
    account.items_done += event.upto - ticket.upto
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
        again.due = state.now + backoff(state, node, ticket.attempt)
        again.begun = again.due
    if event.note is not None:
        ticket.error = event.note
        ticket.watermark = settled_before(ticket)
        cancelled = max(0, ticket.hi - ticket.upto - 1)
        cancel_items(state, node, cancelled)
    elif rest < ticket.hi:
        split(state, node, ticket, rest, ticket.hi)
    elif node.plan.tells_settled:
        ticket.watermark = node.settled
    close_ticket(state, node, ticket)


def close_ticket(state: State, node: Node, ticket: Ticket) -> None:
    """Let go of what a ticket held: nobody works on it any more."""
    ticket.hi = ticket.upto
    unreserve(state, node, ticket, ticket.reserved)
    ticket.state = TicketState.DONE
    drop_input(state, ticket)


def settled_before(ticket: Ticket) -> int:
    """Return the source index below which all is settled when the item at ``upto`` ends the stream: of a batch, its own last one."""
    if ticket.frame is None or ticket.upto >= ticket.hi:
        return 0
    return max((stop for _, _, stop in ticket.frame.origins.at(ticket.upto)), default=1) - 1


def backoff(state: State, node: Node, attempt: int) -> float:
    """Return the seconds before the next attempt: doubling, with jitter so that what failed together does not return together."""
    plan = node.plan
    return min(plan.max_backoff, plan.backoff * 2.0 ** min(attempt, DOUBLINGS)) * (0.5 + state.random.random() / 2)


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


def _learn(state: State, node: Node, ticket: Ticket, event: Done) -> None:
    items = sum(event.counts)
    ticket.spent += event.busy + event.moving
    if items > 0:
        if not node.plan.many:
            for edge in state.outputs(node):
                edge.untried = 0  # even if nothing came: a filter may drop nearly everything
        account = state.ledger[node.number]
        if node.plan.many and account.items_done:
            node.fanout = max(1.0, account.outputs / account.items_done)
        changed = node.learn(items, ticket.spent)
        ticket.spent = 0.0
        if changed:
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
            if ticket.state is TicketState.DONE and not ticket.watermark and ticket in node.window:
                node.window.remove(ticket)
        while node.window and node.window[0].state is TicketState.DONE:
            put_watermarks(state, node, node.window.pop(0).watermark)
    after_commit(state, node)


def _commit_head(state: State, node: Node) -> bool:
    ticket = node.window[0]
    if ticket.outputs or ticket.failures or ticket.error is not None:
        _commit_ticket(state, node, ticket)
    if ticket.state is not TicketState.DONE or not node.window:
        return False
    node.window.pop(0)
    if ticket.watermark:
        put_watermarks(state, node, ticket.watermark)
    return True


def _commit_ticket(state: State, node: Node, ticket: Ticket) -> None:
    outputs, ticket.outputs = ticket.outputs, []
    for outlet, frame in outputs:
        for number in node.plan.outlets[outlet]:
            state.edges[number].unhold(frame)
        _push(state, node, outlet, frame)
    if outputs and node.plan.stream and node.plan.ascends:
        put_watermarks(state, node, max(frame.origins.last() for _, frame in outputs))
    failures, ticket.failures = ticket.failures, []
    for note in failures:
        state.say(Record(note))
    if ticket.error is not None:
        error, ticket.error = ticket.error, None
        if ticket.watermark and not node.plan.stream:
            put_watermarks(state, node, ticket.watermark)
        fail_node(state, node, error)


def _push(state: State, node: Node, outlet: int, frame: Frame) -> None:
    frame.uses += 1
    for number in node.plan.outlets[outlet]:
        edge = state.edges[number]
        if not edge.closed and frame.count:
            edge.push(frame)
            state.touch(state.consumer(edge))
    state.release(frame)


def put_watermarks(state: State, node: Node, watermark: int) -> None:
    """Tell the watermarked edges behind a node that every source index below ``watermark`` is settled."""
    for edge in state.outputs(node):
        if edge.plan.watermarked and not edge.closed:
            edge.push_watermark(watermark)
            state.touch(state.consumer(edge))
