"""How many failures are too many: ``max_failures``, of a stage and of the run; a count, or a fraction below 1."""

from __future__ import annotations

from collections import Counter

from ..failures import Kind, Note
from .node import Node
from .state import State

__all__ = ["overdrawn"]

JUDGED_AFTER = 100  # items before a fraction of failures is judged; fewer would let one early failure end a run


def overdrawn(state: State, node: Node, *, final: bool = False) -> Note | None:
    """Return what to fail the run with when more items failed than allowed, of this stage or of the run."""
    account = state.ledger[node.number]
    summary = _judge(node.plan.max_failures, account.charged, account.accounted, final)
    return _blame(node, summary) if summary else _overdrawn_by_all(state, final)


def _overdrawn_by_all(state: State, final: bool) -> Note | None:
    """Blame the stage or source in which most items failed, where all together have overdrawn the run's own account."""
    if state.plan.max_failures is None:
        return None
    failed = Counter({other.number: state.ledger[other.number].charged for other in state.nodes})
    failed.update({number: source.failed for number, source in state.sources.items()})
    drawn = sum(source.drawn + source.failed for source in state.sources.values())
    summary = _judge(state.plan.max_failures, failed.total(), drawn, final)
    return _blame(state.nodes[max(failed, key=lambda number: failed[number])], f"{summary} in the whole run") if summary else None


def _judge(limit: float | None, failed: int, seen: int, final: bool) -> str:
    """Say how many are too many, ``""`` if they are not."""
    if limit is None or not failed:
        return ""
    allowed = limit * seen if limit < 1 else limit
    judged = limit >= 1 or limit == 0 or final or seen >= JUDGED_AFTER
    if not judged or failed <= allowed:
        return ""
    return f"{failed} of {seen} items failed, more than max_failures={limit:g} allows"


def _blame(node: Node, summary: str) -> Note:
    return Note(Kind.TOO_MANY, node.plan.title, summary=summary, node=node.number)
