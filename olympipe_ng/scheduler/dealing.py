"""What is given to whom: tickets to workers, grants to those who wait for room, orders to the sources.

Asked of a node whenever something it waits for may have come. A node is dealt to only while the edges behind it have room for what the
ticket may give; room is reserved with the ticket, so committing never waits. The reservation of a ticket that is given back stays with
it: the oldest unfinished range can always be run, whatever its youngers hold.
"""

from __future__ import annotations

from ..plan import Role
from .edge import Edge
from .messages import Deliver, Dispatch, Frame, Grant, Pull, Verb
from .node import Node, Status, Ticket, TicketState, Worker
from .settling import split
from .state import State

__all__ = ["deal", "deliver", "pull"]

HEAVY = 65_536  # bytes of a frame that is not left waiting to be used again; more saves messages, less memory


def deal(state: State, node: Node) -> bool:
    """Give a stage's idle workers what there is to do; say whether something went through without one."""
    passed = False
    while not state.paused and node.alive:
        ticket = (_next_queued(state, node) if node.queued_tickets else None) or _next_new(state, node)
        if ticket is None:
            break
        if ticket.state is TicketState.DONE:  # a watermark
            passed = True
        else:
            _dispatch(state, node, ticket)
    if node.plan.many and not state.paused:
        _grant(state, node)
    return passed


# --------------------------------------------------------------------------------------------------------- choosing a ticket


def _next_queued(state: State, node: Node) -> Ticket | None:
    """Take the oldest ticket that is to be dealt again, if a worker and the room are there."""
    ticket = node.queued(state.now)
    if ticket is None:
        return None
    ticket.worker = node.idle_worker(empty=ticket.alone, elder=True)
    if ticket.worker is None:
        return None
    if not ticket.reserved and not _reserve(state, node, ticket, ticket.items):
        return None
    node.queued_tickets -= 1
    quota = node.quota(ticket.worker)
    if 0 < quota < ticket.items:
        split(state, node, ticket, ticket.upto + quota, ticket.hi)
        ticket.hi = ticket.upto + quota
    return ticket


def _next_new(state: State, node: Node) -> Ticket | None:
    """Cut a new ticket from the edges of a node."""
    if not node.plan.stream and not state.edges[node.plan.inputs[0]].queue:
        return None
    if node.doomed or len(node.window) >= node.max_window or (node.queued_tickets and node.in_turn):
        return None
    worker = node.idle_worker()
    if worker is None:
        return None
    ticket = _stream_ticket(state, node) if node.plan.stream else _items_ticket(state, node, worker)
    if ticket is None:
        return None
    ticket.worker = worker
    node.window.append(ticket)
    state.tickets[ticket.number] = ticket
    return ticket


def _items_ticket(state: State, node: Node, worker: Worker) -> Ticket | None:
    edge = state.edges[node.plan.inputs[0]]
    if edge.queue[0].frame is None:
        return _passing_watermark(state, node, edge.queue.popleft().watermark)
    room = _spare_room(state, node)
    if room <= 0:
        return None
    count = min(node.quota(worker), node.frame_size(edge.queued))
    if node.plan.many:
        return _cut(state, node, 0, count)
    return None if room < count and _can_wait(state, node, worker, room) else _cut(state, node, 0, min(room, count))


def _can_wait(state: State, node: Node, worker: Worker, room: int) -> bool:
    """Say whether a worker that has something to do had better wait until half of what is behind it is free.

    As TCP does (Clark, RFC 813): else frames crumble to what was made free last, and each crumb costs the messages of a frame.
    """
    return len(worker.tickets) >= node.plan.lanes and 2 * room < min((edge.fits for edge in state.outputs(node)), default=0)


def _passing_watermark(state: State, node: Node, watermark: int) -> Ticket:
    """Let a watermark go through a stage in its place among the items, without a worker."""
    ticket = Ticket(state.number(), Verb.WATERMARK, 0, None, 0, 0)
    ticket.watermark = watermark
    ticket.state = TicketState.DONE
    state.touch(node)  # to commit it
    return ticket


def _stream_ticket(state: State, node: Node) -> Ticket | None:
    if node.status is Status.FLUSHING:
        return None  # its FLUSH ticket is on the way
    if node.begins:
        node.begins = False
        return _verb(state, Verb.BEGIN, 0)
    if node.deadline is not None and node.deadline <= state.now and not node.excused and state.room(node) > 0:
        node.deadline = None
        return _verb(state, Verb.TICK, 0)
    ports = node.ready
    for k in range(len(ports)):
        port = ports[(node.next_port + k) % len(ports)]
        ticket = _port_ticket(state, node, port)
        if ticket is not None:
            node.next_port = (node.next_port + k + 1) % len(ports)
            return ticket
    return _end_ticket(state, node)


def _port_ticket(state: State, node: Node, port: int) -> Ticket | None:
    edge = state.edges[node.plan.inputs[port]]
    if not edge.queue:
        return None
    if edge.queue[0].frame is None:
        watermark = edge.queue.popleft().watermark
        if node.plan.passes_watermarks:
            return _passing_watermark(state, node, watermark)
        if not node.plan.tells_settled:
            state.touch(node)  # a stream transform may hold items back: what is settled before it is not settled behind it
            return None
        ticket = _verb(state, Verb.WATERMARK, port)
        ticket.watermark = node.watermarks[port] = watermark
        return ticket
    return _cut(state, node, port, _stream_size(state, node))


def _stream_size(state: State, node: Node) -> int:
    """Return how many items a stream takes at once; one that has given nothing yet (a reduce, a shuffle) is not held back by that."""
    untried = any(edge.untried for edge in state.outputs(node))
    return node.frame_size() if untried else max(1, min(state.room(node), node.frame_size()))


def _end_ticket(state: State, node: Node) -> Ticket | None:
    """Tell a stream transform that a port has ended; whether it is ready for more items does not matter for that."""
    for port, number in enumerate(node.plan.inputs):
        edge = state.edges[number]
        if edge.ended and edge.note is None and not edge.queue and port not in node.ends_told:
            node.ends_told.add(port)
            return _verb(state, Verb.END, port)
    return None


def _verb(state: State, verb: Verb, port: int) -> Ticket:
    return Ticket(state.number(), verb, port, None, 0, 0)


def _cut(state: State, node: Node, port: int, count: int) -> Ticket | None:
    edge = state.edges[node.plan.inputs[port]]
    frame, lo, hi = edge.cut(count)
    ticket = Ticket(state.number(), Verb.ITEMS, port, frame, lo, hi)
    state.touch_producer(edge)
    reserved = _reserve(state, node, ticket, hi - lo)
    assert reserved, "room was asked for before the cut"
    return ticket


# ------------------------------------------------------------------------------------------------------------------ room


def _spare_room(state: State, node: Node) -> int:
    """Count the room that a new ticket may use: the last place belongs to the oldest one, which alone can go on when all is full."""
    room = state.room(node)
    return room - 1 if node.plan.many and node.window else room


def _reserve(state: State, node: Node, ticket: Ticket, items: int) -> bool:
    """Keep room for what a ticket may give; streams may also run without, until they have something to give.

    Nobody knows how much an explode gives: so each lane has its share, that all may work, and asks for more when it has used it.
    """
    wanted = items
    if node.plan.many:
        oldest = not node.window or node.window[0] is ticket
        room = state.room(node, oldest=True) if oldest else _spare_room(state, node)
        wanted = min(room, node.frame_items, max(1, state.capacity(node) // node.lanes))
        if wanted <= 0 and not node.plan.stream:
            return False
    _promise(state, node, ticket, max(0, wanted))
    return True


def _promise(state: State, node: Node, ticket: Ticket, items: int) -> None:
    ticket.reserved += items
    for edge in state.outputs(node):
        edge.promised += items


def _grant(state: State, node: Node) -> None:
    """Let those go on who wait for room; of a stage with several workers only the oldest."""
    for ticket in node.window:
        if ticket.state is TicketState.CREDIT and ticket.worker is not None:
            oldest = ticket is node.window[0] and node.plan.ordered
            room = min(state.room(node, oldest=oldest), node.frame_items)
            if room > 0:
                _promise(state, node, ticket, room)
                ticket.state = TicketState.OUT
                ticket.begun = state.now
                state.say(Grant(ticket.worker.number, ticket.number, room))
        if node.plan.ordered:
            return


# -------------------------------------------------------------------------------------------------------------- dispatching


def _dispatch(state: State, node: Node, ticket: Ticket) -> None:
    worker = ticket.worker
    assert worker is not None
    ticket.state = TicketState.OUT
    ticket.begun = state.now
    worker.tickets[ticket.number] = ticket
    node.miscounted = True
    state.say(_order(state, node, worker, ticket))


def _order(state: State, node: Node, worker: Worker, ticket: Ticket) -> Dispatch:
    shared = len(node.workers) * node.plan.lanes > 1
    return Dispatch(
        worker.number,
        ticket.number,
        ticket.doing,
        ticket.port,
        ticket.frame,
        ticket.upto,
        ticket.hi,
        ticket.origins,
        allowance=ticket.reserved if node.plan.many else -1,
        attempt=ticket.attempt,
        patience=node.patience(ticket.items) if shared and ticket.items > 1 else 0.0,
        hurry=node.plan.many or (ticket.items > 1 and any(_starves(state, edge) for edge in state.outputs(node))),
        watermark=ticket.watermark,
        note=ticket.judge,
        emitted=ticket.emitted,
    )


# ------------------------------------------------------------------------------------------------------ sources and sinks


def pull(state: State, node: Node) -> None:
    """Let a source draw as far as its edges have room."""
    source = state.sources[node.number]
    if state.paused or source.ended:
        return
    edges = [edge for edge in state.outputs(node) if not edge.closed]
    if not edges:
        return
    room = state.room(node)
    outstanding = source.asked - source.drawn
    if room <= 0 and (not outstanding or source.told_hungry):
        return
    hungry = any(_starves(state, edge) for edge in edges)
    enough = room >= max(1, min(edge.fits for edge in edges) // 4)
    needed = outstanding == 0 and any(2 * edge.queued < edge.fits for edge in edges)
    more = room if room > 0 and (enough or needed) else 0
    if more or (hungry and outstanding and not source.told_hungry):
        source.asked += more
        source.told_hungry = hungry
        for edge in state.outputs(node):
            edge.promised += more
        state.say(Pull(node.number, source.asked, hungry))


def _starves(state: State, edge: Edge) -> bool:
    """Say whether a consumer has nothing to do until this edge brings something; what costs nothing passes its consumer's hunger on."""
    looked_at = [edge]  # as many as there are such stages: not by recursion
    while looked_at:
        edge = looked_at.pop()
        if edge.queued or edge.closed:
            continue
        consumer = state.consumer(edge)
        if consumer.plan.hub:
            looked_at += state.outputs(consumer)
        elif not edge.unstarted if consumer.plan.role is Role.SINK else consumer.is_hungry():
            return True
    return False


def deliver(state: State, node: Node) -> None:
    """Hand a sink what was committed to it; what is thrown away is taken at once."""
    edge = state.edges[node.plan.inputs[0]]
    while edge.queue:
        if edge.queue[0].frame is None:
            edge.queue.popleft()
            continue
        frame, lo, hi = edge.cut(edge.queue[0].hi - edge.queue[0].lo)
        state.touch_producer(edge)
        if node.plan.discard:
            state.ledger[node.number].taken += hi - lo
            state.release(frame)
            continue
        edge.unstarted += hi - lo
        state.delivered[node.number].append([frame, hi - lo])
        state.say(Deliver(node.number, frame, lo, hi, _wanted_back(state, edge, frame)))


def _wanted_back(state: State, edge: Edge, frame: Frame) -> bool:
    """Say whether to hear at once of what is taken: room runs short, much memory is held, or the source waits to see its reader idle."""
    producer = state.producer(edge)
    direct = producer.plan.hub or producer.plan.role is Role.SOURCE
    return direct or frame.nbytes >= HEAVY or edge.room() <= edge.used
