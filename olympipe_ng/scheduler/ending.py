"""What is over: nodes that end, fail or are no longer needed, and the run itself.

    node     RUNNING ──inputs over──► FLUSHING ──► ENDED        its edges end; its workers close
             RUNNING ──an item failed for good──► FAILED        its edges end with the error, in the failing item's place
             RUNNING ──nobody reads its edges──► CANCELLED      so do what only it reads, up to the source, which is closed
    run      every sink ended ──► all workers gone ──► Finish
             a sink ended with an error, or Stop ──► all nodes CANCELLED ──► all workers gone ──► Finish

An error travels down the edges like an end; so earlier results come out first, of two errors the earlier in order wins, and a ``limit``
that is satisfied before it never sees it.
"""

from __future__ import annotations

from typing import Any

from ..failures import Kind, Note
from ..plan import Role
from .arms import failed_port
from .budget import overdrawn
from .edge import Edge
from .messages import Cancel, CloseSource, Counts, Finish, SinkEnd, SourceEnd, StartWorker, StopWorker, Verb, WorkerGone
from .node import Node, Status, Ticket, TicketState, Worker, WorkerStatus
from .state import State

__all__ = [
    "after_commit",
    "cancel_items",
    "check_finished",
    "close_sources",
    "drop_input",
    "end_sink",
    "fail_node",
    "fail_run",
    "retire",
    "scale",
    "source_end",
    "start_worker",
    "stop",
    "unreserve",
    "withhold",
    "worker_gone",
]

# ------------------------------------------------------------------------------------------------------------------ nodes


def after_commit(state: State, node: Node) -> None:
    """End a stage whose inputs are over and whose tickets are through."""
    if node.status is Status.RUNNING:
        if node.plan.stream:
            _after_stream(state, node)
        elif node.plan.role is Role.STAGE:
            _after_items(state, node)
    elif node.status is Status.FLUSHING and not node.window:
        _end_node(state, node)


def _after_items(state: State, node: Node) -> None:
    edge = state.edges[node.plan.inputs[0]]
    if edge.ended and not edge.queue and not node.window:
        if edge.note is None:
            _end_node(state, node)
        else:
            fail_node(state, node, edge.note)


def _after_stream(state: State, node: Node) -> None:
    if node.doomed:
        return
    if node.stream_done or _has_given_all(node):
        _flush(state, node)
        return
    failed = None if node.window else failed_port(state, node)
    if failed is not None:
        fail_node(state, node, state.edges[node.plan.inputs[failed]].note)


def _has_given_all(node: Node) -> bool:
    """Say whether all inputs are over, and nothing that a stream transform holds waits for its time (a throttle's last items do)."""
    return len(node.ends_told) == len(node.plan.inputs) and not node.window and node.deadline is None


def _flush(state: State, node: Node) -> None:
    """Have a stream transform give what is left; it wants no more input."""
    node.status = Status.FLUSHING
    node.deadline = None
    _close_inputs(state, node)
    ticket = Ticket(state.number(), Verb.FLUSH, 0, None, 0, 0)
    state.tickets[ticket.number] = ticket
    node.window.append(ticket)
    node.queued_tickets += 1
    state.touch(node)


def _end_node(state: State, node: Node) -> None:
    node.status = Status.ENDED
    _close_inputs(state, node)
    _end_outputs(state, node, None)
    _stop_workers(state, node, abandon=False)


def fail_node(state: State, node: Node, note: Any) -> None:
    """End a node with an error: what it committed goes on, nothing beyond is begun."""
    if not node.plan.ordered:
        fail_run(state, note)
        return
    if node.alive:
        node.status = Status.FAILED
        _drop_tickets(state, node)
        _close_inputs(state, node)
        _stop_workers(state, node, abandon=True)
        _end_outputs(state, node, note)


def _end_outputs(state: State, node: Node, note: Any) -> None:
    for edge in state.outputs(node):
        edge.ended, edge.note = True, note
        state.touch(state.consumer(edge))


def _close_inputs(state: State, node: Node) -> None:
    """Want no more; a producer that nobody else reads is cancelled. Without recursion, for chains of any length."""
    edges = list(state.inputs(node))
    while edges:
        edge = edges.pop()
        if edge.closed:
            continue
        _close_edge(state, edge)
        producer = state.producer(edge)
        state.touch(producer)
        if producer.alive and all(other.closed for other in state.outputs(producer)):
            _cancel_node(state, producer)
            edges.extend(state.inputs(producer))


def _cancel_node(state: State, node: Node) -> None:
    """End a node because nobody reads it any more."""
    node.status = Status.CANCELLED
    _drop_tickets(state, node)
    _stop_workers(state, node, abandon=True)
    for edge in state.outputs(node):
        edge.ended = True
    if node.plan.role is Role.SOURCE:
        _close_source(state, node)


def _close_edge(state: State, edge: Edge) -> None:
    edge.closed = True
    before = edge.cancelled
    for frame in edge.clear():
        state.release(frame)
    cancel_items(state, state.consumer(edge), edge.cancelled - before)


# ---------------------------------------------------------------------------------------------------------------- tickets


def withhold(state: State, node: Node) -> None:
    """Begin nothing behind an item that failed for good: of this stage its elders only are still wanted, and no more input."""
    place = next((place for place, ticket in enumerate(node.window) if ticket.error is not None), None)
    if place is not None and node.plan.ordered:
        node.doomed = True
        _drop_tickets(state, node, place + 1)
        _close_inputs(state, node)


def _drop_tickets(state: State, node: Node, place: int = 0) -> None:
    """Cancel what is in hand and forget the rest, from this place of the window on."""
    tickets = node.window[place:]
    del node.window[place:]
    for ticket in tickets:
        node.queued_tickets -= ticket.state is TicketState.QUEUED
        for outlet, frame in ticket.outputs:
            for number in node.plan.outlets[outlet]:
                state.edges[number].unhold(frame)
            frame.uses += 1
            state.release(frame)
        ticket.outputs = []
        cancel_items(state, node, ticket.items)
        unreserve(state, node, ticket, ticket.reserved)
        if ticket.worker is not None and ticket.number in ticket.worker.tickets:
            ticket.state = TicketState.CANCELLED
            state.say(Cancel(ticket.worker.number, ticket.number))
        else:
            drop_input(state, ticket)


def unreserve(state: State, node: Node, ticket: Ticket, places: int) -> None:
    """Give back places that were kept for a ticket's outputs."""
    places = min(places, ticket.reserved)
    if places:
        ticket.reserved -= places
        for edge in state.outputs(node):
            edge.promised -= places


def drop_input(state: State, ticket: Ticket) -> None:
    """Forget a ticket and its use of its frame."""
    state.tickets.pop(ticket.number, None)
    if ticket.frame is not None:
        state.release(ticket.frame)
        ticket.frame = None


def cancel_items(state: State, node: Node, count: int) -> None:
    """Write items into the ledger that will not be run."""
    if count and node.plan.role is Role.STAGE:
        state.ledger[node.number].add(Counts(cancelled=count))


# ---------------------------------------------------------------------------------------------------------------- workers


def start_worker(state: State, node: Node, place: int) -> None:
    """Ask for a worker of a stage."""
    worker = Worker(state.number(), node, place)
    worker.begun = state.now
    node.workers[worker.number] = worker
    state.workers[worker.number] = worker
    state.say(StartWorker(worker.number, node.number, place))


def _stop_workers(state: State, node: Node, *, abandon: bool) -> None:
    for worker in node.workers.values():
        _stop_worker(state, worker, abandon=abandon)


def _stop_worker(state: State, worker: Worker, *, abandon: bool) -> None:
    if worker.status is not WorkerStatus.STOPPING:
        worker.status = WorkerStatus.STOPPING
        state.say(StopWorker(worker.number, abandon))


def retire(state: State, node: Node) -> None:
    """Let go of workers that are too many or have served long enough, between two items."""
    if not node.crew_changes:
        return
    limit = node.plan.max_items
    for worker in node.workers.values():
        surplus = worker.place >= node.wanted and not node.queued_tickets  # what came back may need its lane
        worn = worker.worn or (limit is not None and worker.served >= limit)
        if worker.retiring and not surplus and not worn:
            state.touch(node)
        worker.retiring = surplus or worn
        if worker.retiring and not worker.tickets and worker.status is WorkerStatus.READY:
            _stop_worker(state, worker, abandon=False)


def scale(state: State, node: Node, workers: int) -> None:
    """Run a stage with so many workers from now on."""
    if node.alive and not node.plan.stream and not node.plan.hub:
        node.wanted = max(1, workers)
        node.crew_changes = True
        taken = {worker.place for worker in node.workers.values()}
        for place in range(node.wanted):
            if place not in taken:
                start_worker(state, node, place)
        state.touch(node)


def worker_gone(state: State, event: WorkerGone) -> None:
    """Forget a worker that was told to stop; put another in its place if it was only recycled."""
    worker = state.end_worker(event.worker)
    if worker is None:
        return
    node = worker.node
    del node.workers[worker.number]
    for ticket in worker.tickets.values():
        drop_input(state, ticket)
    if node.alive and worker.place < node.wanted:
        start_worker(state, node, worker.place)
    fail_run(state, event.note)
    state.touch(node)


# ------------------------------------------------------------------------------------------------------ sources and sinks


def source_end(state: State, event: SourceEnd) -> None:
    """End the edges of a source, after all it drew."""
    node, source = state.nodes[event.source], state.sources[event.source]
    if source.ended:
        return
    source.ended = True
    for edge in state.outputs(node):
        edge.promised -= source.asked - source.drawn
    source.asked = source.drawn
    if event.total != source.drawn:
        _internal(state, f"source {node.number} drew {event.total} items, {source.drawn} came")
    if node.alive:
        node.status = Status.ENDED if event.note is None else Status.FAILED
        _end_outputs(state, node, event.note)


def _internal(state: State, text: str) -> None:
    fail_run(state, Note(Kind.INTERNAL, summary=text))


def _close_source(state: State, node: Node) -> None:
    source = state.sources[node.number]
    if not source.ended:
        source.closed = True
        state.say(CloseSource(node.number))


def close_sources(state: State) -> None:
    """Draw no more; what was drawn is finished."""
    for number, source in state.sources.items():
        if not (source.draining or source.closed or source.ended):
            source.draining = True
            state.say(CloseSource(number, drain=True))


def end_sink(state: State, node: Node) -> None:
    """Tell the caller that a sink is complete, once all of it was delivered."""
    edge = state.edges[node.plan.inputs[0]]
    if node.alive and edge.ended and not edge.queue:
        node.status = Status.ENDED
        state.say(SinkEnd(node.number, edge.note))
        if edge.note is not None:
            fail_run(state, edge.note)


# -------------------------------------------------------------------------------------------------------------------- run


def fail_run(state: State, note: Any) -> None:
    """End the run with an error, if there is one."""
    if note is not None and state.note is None and not state.stopping:
        state.note = note
        stop(state)


def stop(state: State) -> None:
    """Drop what is in flight and let every worker go."""
    state.stopping = True
    for node in state.sinks:
        if node.alive:
            node.status = Status.CANCELLED
            state.say(SinkEnd(node.number, state.note))
            _close_inputs(state, node)


def check_finished(state: State) -> None:
    """Finish once every sink has ended and every worker is gone."""
    if state.finished or state.workers or any(node.alive for node in state.sinks):
        return
    for node in state.nodes:
        fail_run(state, overdrawn(state, node, final=True))
    state.finished = True
    for waiting in state.delivered.values():
        while waiting:
            state.release(waiting.popleft()[0])
    state.say(Finish(state.note, state.ledger.complaint(state.nodes, state.edges)))
