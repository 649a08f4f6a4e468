"""What the scheduler can tell of a run at any moment: plain numbers, one record a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .messages import Counts

if TYPE_CHECKING:
    from .state import State

__all__ = ["NodeStatistics", "take_statistics"]


class NodeStatistics(NamedTuple):
    """One node: what came, what left, what it cost, what waits."""

    number: int
    status: str
    came: int  # items committed to its edges (a source: items drawn)
    left: int  # items it gave (a sink: items taken)
    counts: Counts
    busy: float  # seconds in the user's function, all workers together
    moving: float  # seconds of decoding and encoding
    slowest: float  # seconds of the dearest item
    waiting: int  # items that wait before it
    waiting_bytes: int
    in_hand: int  # items that its workers hold
    blocked: bool  # it has work, and no room for the results
    workers: tuple[tuple[int, int], ...]  # (number, pid)


def take_statistics(state: State) -> tuple[NodeStatistics, ...]:
    """Return one record a node."""
    return tuple(_of(state, number) for number in range(len(state.nodes)))


def _of(state: State, number: int) -> NodeStatistics:
    node, account = state.nodes[number], state.ledger[number]
    edges = state.inputs(node)
    source = state.sources.get(number)
    in_hand = sum(ticket.items for ticket in node.in_hand())
    return NodeStatistics(
        number,
        node.status.value,
        source.drawn if source else sum(edge.pushed for edge in edges),
        source.drawn if source else account.taken or account.outputs,
        account.counts,
        account.busy,
        account.moving,
        account.slowest,
        sum(edge.queued + edge.unstarted for edge in edges),
        int(sum(edge.used_bytes() for edge in edges)),
        in_hand,
        bool(node.alive and any(edge.queue for edge in edges) and state.room(node) <= 0),
        tuple((worker.place, worker.pid) for worker in node.workers.values() if worker.pid),
    )
