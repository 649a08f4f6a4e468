"""No artificial deadlock: the smallest full edge of a circle of waiting grows (Parks, 1995).

    source ─┬─► A ──────► zip        zip waits for B; B waits for the source; the source waits for room before A;
            └─► B ──────► zip        A waits for room before zip, which waits for B: a circle, and only bounds close it

A circle is found by asking, from every join (and the caller, who joins the sinks), who waits for whom: a starved consumer for its
producer, a blocked producer for the consumers of its full edges. Where anything on the way still works, there is no deadlock.
"""

from __future__ import annotations

from ..plan import Role
from .edge import Edge
from .node import Node, TicketState
from .state import State

__all__ = ["relieve"]

GROWTH = 2  # items, or as much again: more finds peace sooner, less holds memory tighter


def relieve(state: State) -> bool:
    """Let one edge grow if a circle of waiting is found; say whether one did."""
    if not state.joins or state.stopping or state.paused:
        return False
    starts = [(node, edge) for node in state.nodes for edge in _starved(state, node)]
    for node, edge in starts:
        full = _circle(state, node, edge)
        if full:
            smallest = min(full, key=lambda each: each.used)
            if not smallest.growth:
                state.grown.append(smallest)
                smallest.fresh.extend(chunk for chunk in smallest.queue if chunk.frame is not None and not chunk.lo)
            smallest.growth += max(GROWTH, smallest.capacity)
            state.touch(state.producer(smallest))
            return True
    return False


def _starved(state: State, node: Node) -> list[Edge]:
    """List the empty edges that a join is waiting for (all of them: one of them is enough to close a circle)."""
    if not node.alive:
        return []
    if node.is_join:
        idle = not any(True for _ in node.in_hand())
        ready = [state.edges[node.plan.inputs[port]] for port in node.ready]
        return [edge for edge in ready if not edge.ended] if idle and not any(edge.queue for edge in ready) else []
    if node.plan.role is Role.SINK and state.waiting[node.number]:
        edge = state.edges[node.plan.inputs[0]]
        return [] if edge.queue or edge.unstarted or edge.ended else [edge]
    return []


def _circle(state: State, join: Node, edge: Edge) -> list[Edge]:
    """Walk from a starved edge against the stream to what blocks it; give the full edges if nothing on the way can move."""
    full: list[Edge] = []
    seen: set[int] = set()
    todo: list[Node] = [state.producer(edge)]
    while todo:
        node = todo.pop()
        if node.number in seen:
            continue
        seen.add(node.number)
        following = _waits_for(state, node)
        if following is None:
            return []
        for blocked, other in following:
            if blocked:
                full.append(other)
                todo.append(state.consumer(other))
            else:
                todo.append(state.producer(other))
    returns = join.number in seen or (join.plan.role is Role.SINK and any(state.nodes[n].plan.role is Role.SINK for n in seen))
    return full if returns else []


def _waits_for(state: State, node: Node) -> list[tuple[bool, Edge]] | None:
    """Tell what a node waits for: (True, full edge) or (False, empty edge); ``None`` if it can move by itself."""
    if node.plan.role is Role.SINK:
        return None if state.waiting[node.number] else []
    working = any(ticket.state is not TicketState.CREDIT for worker in node.workers.values() for ticket in worker.running)
    if working or not node.alive:
        return None
    blocked = [(True, edge) for edge in state.outputs(node) if not edge.closed and edge.room(oldest=True) <= 0]
    if node.plan.role is Role.SOURCE:
        source = state.sources[node.number]
        return blocked if blocked and source.asked == source.drawn and not source.ended else None
    ready = [state.edges[node.plan.inputs[port]] for port in node.ready]
    starved = not any(edge.queue for edge in ready) and not node.window
    missing = [(False, edge) for edge in ready if not edge.ended]
    if node.deadline is None:
        return missing if starved else (blocked or None)
    if starved and missing and node.deadline > state.now:  # its time will come, and mean something else if it had its input before
        return missing
    return blocked or None
