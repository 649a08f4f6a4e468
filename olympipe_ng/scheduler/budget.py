"""How many failures are too many: ``max_failures``, of a stage and of the run; a count, or a fraction below 1."""

from __future__ import annotations

from ..failures import Kind, Note
from ..plan import Role
from .node import Node
from .state import State

__all__ = ["overdrawn"]

JUDGED_AFTER = 100  # items before a fraction of failures is judged; fewer would let one early failure end a run


def overdrawn(state: State, node: Node, *, final: bool = False) -> Note | None:
    """Return what to fail the run with when more items failed than allowed, of this stage or of the run."""
    account = state.ledger[node.number]
    where = f"stage {node.number} {node.plan.label!r}"
    note = _judge(node.plan.max_failures, account.counts.failed, account.accounted, where, final)
    if note is None and state.plan.max_failures is not None:
        failed = sum(state.ledger[other.number].counts.failed for other in state.nodes if other.plan.role is Role.STAGE)
        drawn = sum(source.drawn for source in state.sources.values())
        note = _judge(state.plan.max_failures, failed, drawn, "the run", final)
    return note


def _judge(limit: float | None, failed: int, seen: int, where: str, final: bool) -> Note | None:
    if limit is None or not failed:
        return None
    allowed = limit * seen if limit < 1 else limit
    judged = limit >= 1 or limit == 0 or final or seen >= JUDGED_AFTER
    if not judged or failed <= allowed:
        return None
    return Note(Kind.TOO_MANY, summary=f"{failed} of {seen} items failed in {where}, more than max_failures={limit:g} allows")
