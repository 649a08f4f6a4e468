"""The ledger: every item that went into a stage came out of it, or there is a word for what became of it.

    in = passed + filtered + dropped + failed + unpaired + unread + cancelled

``in`` is counted by the scheduler (what was committed to the stage's edges), the right side by the workers (what they say they settled)
and, for what was never given to a worker, by the scheduler as cancelled. The source's total is counted in the caller. A difference is a
bug of ours, and ends the run with ``InternalError`` instead of quietly fewer results.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import add
from typing import TYPE_CHECKING

from ..plan import Role
from .messages import Counts

if TYPE_CHECKING:
    from .edge import Edge
    from .node import Node

__all__ = ["Account", "Ledger"]


class Account:
    """What workers said of one node."""

    __slots__ = ("busy", "charged", "counts", "items_done", "moving", "outputs", "slowest", "taken")

    def __init__(self) -> None:
        self.counts = Counts()
        self.charged = 0  # failures that ``max_failures`` is about: of its own doing, wherever they were met
        self.items_done = 0  # by the scheduler's own positions
        self.outputs = 0
        self.taken = 0  # by a sink's consumer
        self.busy = 0.0
        self.moving = 0.0
        self.slowest = 0.0

    def add(self, counts: Counts) -> None:
        self.counts = Counts(*map(add, self.counts, counts))

    @property
    def accounted(self) -> int:
        """Count the items that have found their word."""
        return sum(self.counts) - self.counts.retried


class Ledger:
    """One account a node."""

    def __init__(self, nodes: int) -> None:
        self.accounts = [Account() for _ in range(nodes)]

    def __getitem__(self, node: int) -> Account:
        return self.accounts[node]

    def complaint(self, nodes: Iterable[Node], edges: list[Edge]) -> str:
        """Describe the first mismatch, ``""`` where all is well."""
        for node in nodes:
            if node.plan.role is Role.STAGE:
                account = self.accounts[node.number]
                came = sum(edges[number].pushed for number in node.plan.inputs)
                if came != account.accounted:
                    where = f"stage {node.plan.title}"
                    return f"{where} was given {came} items and accounts for {account.accounted}: {account.counts}"
        return ""
