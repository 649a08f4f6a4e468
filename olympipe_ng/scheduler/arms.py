"""Which error ends a stream: of its ports that have failed, the one whose item is the first in order, once nothing before it can come.

    zip       a row lacks a port that has failed; another port of the same source may be over before that row
    rejoin    a port has failed at a watermark; below it another arm still has items, of which rows are made, and which may fail themselves
"""

from __future__ import annotations

from .node import Node
from .state import State

__all__ = ["failed_port"]


def failed_port(state: State, node: Node) -> int | None:
    """Return the port whose error ends a stream now."""
    failed = [port for port in node.ready if _has_failed(state, node, port)]
    if not failed or _is_due(state, node):
        return None
    first = min(failed, key=node.watermarks.__getitem__)
    return None if _may_end_before(state, node, first) or _may_come_before(state, node, first) else first


def _has_failed(state: State, node: Node, port: int) -> bool:
    edge = state.edges[node.plan.inputs[port]]
    return edge.ended and edge.note is not None and not edge.queue


def _is_due(state: State, node: Node) -> bool:
    """Say whether a stream transform holds what it would have given already if there were room: that stands before the error."""
    return node.deadline is not None and node.deadline <= state.now


def _may_end_before(state: State, node: Node, failed: int) -> bool:
    """Say whether another port of a row, which will be decided since both stem from one source, may be over before the item that failed."""
    if not node.plan.abreast:
        return False
    kin = state.kin[node.number]
    others = [port for port in node.ready if port != failed and kin[port] & kin[failed]]
    return any(not _has_failed(state, node, port) for port in others)


def _may_come_before(state: State, node: Node, failed: int) -> bool:
    """Say whether another arm, which is asked and will tell, has not settled yet what comes before the item that failed."""
    if not node.plan.wants_watermarks:
        return False
    behind = [port for port in node.ready if node.watermarks[port] < node.watermarks[failed]]
    return any(port not in node.ends_told and not _has_failed(state, node, port) for port in behind)
