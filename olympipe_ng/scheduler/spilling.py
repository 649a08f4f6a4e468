"""What waits on edges that grew is bounded in memory: beyond that, the newest frames, which are wanted last, go to a file.

Only joins of unequal arms come here (``deadlock`` lets their edges grow). A frame is spilled while nobody works on it: everybody who uses
it has it waiting whole, so no worker can be reading what the engine is about to give back.
"""

from __future__ import annotations

from .edge import Edge
from .messages import Spill, Warn
from .state import State

__all__ = ["spill"]

TIMES = 2  # the run's ``queue_bytes``: more writes less, less holds memory tighter


def spill(state: State) -> None:
    """Have the newest frames of grown edges written to a file, until what is left in memory is within bounds."""
    excess = sum(edge.in_memory for edge in state.grown) - TIMES * state.plan.queue_bytes
    for edge in sorted(state.grown, key=lambda each: each.in_memory, reverse=True) if excess > 0 else ():
        excess -= _spill(state, edge, excess)
        if excess <= 0:
            return


def _spill(state: State, edge: Edge, excess: int) -> int:
    """Spill about ``excess`` bytes of an edge; return how many it could."""
    first, before, busy = not edge.spilled_bytes, edge.in_memory, []
    while edge.fresh and before - edge.in_memory < excess:
        chunk = edge.fresh.pop()
        frame = chunk.frame
        if frame is None or chunk.lo:
            continue  # its consumer has begun with it
        if not frame.spilled and frame.uses != frame.whole:
            busy.append(chunk)  # another consumer has it in hand
            continue
        if not frame.spilled:
            frame.spilled = True
            state.say(Spill(frame))
        edge.note_spilled(chunk)
    edge.fresh.extend(reversed(busy))
    if first and edge.spilled_bytes and not edge.warned:
        edge.warned = True
        _warn(state, edge)
    return before - edge.in_memory


def _warn(state: State, edge: Edge) -> None:
    producer, consumer = state.producer(edge), state.consumer(edge)
    state.say(
        Warn(
            f"the arm from {producer.plan.label!r} to {consumer.plan.label!r} is far ahead of another that it is joined with: more than "
            f"{TIMES} x queue_bytes ({TIMES * state.plan.queue_bytes} bytes) wait, the rest goes to a temporary file"
        )
    )
