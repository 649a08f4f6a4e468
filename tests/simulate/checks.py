"""What must hold at every step, whatever happens: each promise of the scheduler's that can be seen from outside.

    produced ──► Box (payload of a frame) ──edges──► begun by the consumer      the bound counts what lies between
        └── reported to the scheduler ─────────────► released, once, when nobody can need it

The model world reports to ``Watch`` what really happens (an item exists, its consumer is called with it); what the scheduler believes does
not count. Only where a number is over a bound is the scheduler asked why: it may have closed the edge, or let it grow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from olympipe_ng.plan import EdgePlan, Plan
from olympipe_ng.scheduler.messages import Parcel
from olympipe_ng.scheduler.node import Status

from .spec import Item

__all__ = ["Box", "Violation", "Watch"]

ENDLESS = 1 << 60
LIGHT, HEAVY = 8, 160  # bytes that an item has at most


class Violation(AssertionError):
    """A promise was broken."""


class Box:
    """The payload of a frame: items, and what became of them on each edge that carries them."""

    __slots__ = ("begun", "called", "edges", "hands", "items", "nbytes", "node", "released", "reported", "settled", "spilled")

    def __init__(self, node: int, edges: tuple[int, ...], items: list[Item], nbytes: int) -> None:
        self.node = node
        self.edges = edges
        self.items = items
        self.nbytes = nbytes
        self.begun = dict.fromkeys(edges, 0)  # a bit for each item
        self.called = dict.fromkeys(edges, 0)  # ... with which the consumer was surely called
        self.settled = dict.fromkeys(edges, 0)  # items that the scheduler knows to be through
        self.hands = 0  # tickets out with a range of it
        self.released = False
        self.reported = False
        self.spilled = False

    def call(self, edge: int, place: int) -> bool:
        """Take note that a function is called with an item; say whether it is for the first time."""
        bit = 1 << place
        first = not self.called[edge] & bit
        self.called[edge] |= bit
        return first

    def __repr__(self) -> str:
        return f"<{len(self.items)} of node {self.node}: {self.items[:4]}{'...' if len(self.items) > 4 else ''}>"


KNOWN = 8  # items whose mean says something about the next ones


class Watch:
    """Counts what exists, and complains."""

    def __init__(self, plan: Plan, state: Any, *, heavy: bool) -> None:
        self.plan = plan
        self.largest = HEAVY if heavy else LIGHT
        self.state = state  # the scheduler's: asked only where a bound seems broken
        self.live = [0] * len(plan.edges)
        self.live_bytes = [0] * len(plan.edges)  # of what was reported
        self.bounds = [ENDLESS if edge.queue_size is None else edge.queue_size for edge in plan.edges]
        self.joins = len(plan.sinks) > 1 or any(len(node.inputs) > 1 for node in plan.nodes)
        self.discards = {node.inputs[0] for node in plan.sinks if node.discard}
        for edge in self.discards:
            self.bounds[edge] = ENDLESS  # taken at once, and nobody sees it
        self.boxes: list[Box] = []
        self.through: list[Box] = []  # of which something was settled by the event that is being handled
        self.growth = [0] * len(plan.edges)

    # ---------------------------------------------------------------------------------------------------------- items

    def produce(self, edges: tuple[int, ...], count: int = 1) -> None:
        """Take note that items have come into being on these edges."""
        live, bounds = self.live, self.bounds
        for edge in edges:
            live[edge] += count
            if live[edge] > bounds[edge]:
                self._over(edge)

    def lose(self, edges: tuple[int, ...], count: int) -> None:
        """Take note that items vanished: nobody had heard of them."""
        for edge in edges:
            self.live[edge] -= count

    def begin(self, box: Box, edge: int, place: int) -> bool:
        """Take note that the consumer is called with an item; say whether it is for the first time."""
        bit = 1 << place
        if box.begun[edge] & bit:
            return False
        box.begun[edge] |= bit
        self.live[edge] -= 1
        if box.reported:
            self.live_bytes[edge] -= _share(box, 1, place)
        return True

    def _over(self, edge: int) -> None:
        if self.is_closed(edge):
            self.bounds[edge] = ENDLESS
            return
        growth = self.growth_of(edge)
        if self.live[edge] > self.bounds[edge] + growth:
            raise Violation(f"edge {edge} holds {self.live[edge]} items, its bound is {self.bounds[edge]} (+ {growth} grown)")

    def is_closed(self, edge: int) -> bool:
        return bool(self.state.edges[edge].closed)

    def has_failed(self, node: int) -> bool:
        """Say whether a node was ended before its time, and what it had not committed dropped."""
        return self.state.nodes[node].doomed or self.state.nodes[node].status in (Status.FAILED, Status.CANCELLED)

    def growth_of(self, edge: int) -> int:
        return int(self.state.edges[edge].growth)

    def grown(self) -> Iterator[EdgePlan]:
        """Yield the edges that grew since the last question; only where streams join can they."""
        for edge, before in enumerate(self.growth):
            growth = self.growth_of(edge)
            if growth != before:
                self.growth[edge] = growth
                if not self.joins:
                    raise Violation(f"edge {edge} grew by {growth - before} in a graph without joins")
                yield self.plan.edges[edge]

    # --------------------------------------------------------------------------------------------------------- frames

    def report(self, parcel: Parcel) -> None:
        """Take note that the scheduler has heard of a parcel."""
        box: Box = parcel.payload
        box.reported = True
        self.boxes.append(box)
        for edge in box.edges:
            unbegun = sum(_share(box, 1, k) for k in range(len(box.items)) if not box.begun[edge] >> k & 1)
            self.live_bytes[edge] += unbegun
            self.check_weight(edge)

    def check_weight(self, edge: int) -> None:
        """Check the bound in bytes: one output a lane may come on top, and as much again where sizes differ from their mean.

        Where some items are twenty times as large as the others, nobody can foresee what a range of them will weigh; nor where a first few
        are all that is known.
        """
        if self.largest == HEAVY or 0 < self.state.edges[edge].pushed < KNOWN:
            return
        plan, held = self.plan.edges[edge], self.live_bytes[edge]
        producer = self.plan.nodes[plan.producer]
        limit = 2 * plan.queue_bytes + producer.workers * producer.lanes * self.largest
        if held > limit and edge not in self.discards and not self.is_closed(edge) and not self.growth_of(edge):
            raise Violation(f"edge {edge} holds {held} bytes, its bound is {plan.queue_bytes}")

    def use(self, box: Box, lo: int, hi: int) -> None:
        """Check that a range can be given to somebody."""
        if box.released:
            raise Violation(f"a released frame is used: {box}")
        if not 0 <= lo < hi <= len(box.items):
            raise Violation(f"the range [{lo}, {hi}) of {box}")

    def settle(self, box: Box, edge: int, count: int) -> None:
        """Take note that the scheduler hears of items that are through."""
        if count:
            box.settled[edge] += count
            self.through.append(box)

    def check_through(self) -> None:
        """Check that a frame is not kept when every reader is through with it."""
        for box in self.through:
            if not box.released and not box.hands and all(self._is_through(box, edge) for edge in box.edges):
                raise Violation(f"kept, though everybody is through with it: {box}")
        self.through.clear()

    def _is_through(self, box: Box, edge: int) -> bool:
        return box.settled[edge] >= len(box.items) or edge in self.discards

    def release(self, box: Box, *, over: bool) -> None:
        """Check that nobody can need a frame; forget its items. ``over``: the run is, so nobody can."""
        if box.released:
            raise Violation(f"released twice: {box}")
        box.released = True
        if box.hands:
            raise Violation(f"released while {box.hands} tickets hold it: {box}")
        everything = (1 << len(box.items)) - 1
        for edge, begun in box.begun.items():
            if begun != everything:
                self._forget(box, edge, over)

    def spill(self, box: Box) -> None:
        """Check that a frame is written to a file once, while it can still be needed and nobody has it in hand."""
        if box.released or box.hands or box.spilled:
            raise Violation(f"spilled while {box.hands} tickets hold it, released: {box.released}, twice: {box.spilled}: {box}")
        box.spilled = True

    def _forget(self, box: Box, edge: int, over: bool) -> None:
        if not over and edge not in self.discards and not self.is_closed(edge) and not self.has_failed(box.node):
            raise Violation(f"released while edge {edge} has not seen all of it: {box}")
        for k in range(len(box.items)):
            self.begin(box, edge, k)

    def check_bytes(self, edges: tuple[int, ...], oldest: bool) -> None:
        """Check that work is given out only while the edges behind it are below their bound in bytes, but for the oldest range.

        What is not there yet is estimated by the mean: so the bound may be passed, by as much again and by a large item.
        """
        for edge in set(edges) - self.discards:
            plan, held = self.plan.edges[edge], self.live_bytes[edge]
            if held > 2 * plan.queue_bytes + self.largest and not oldest and not self.is_closed(edge) and not self.growth_of(edge):
                raise Violation(f"work for edge {edge}, which holds {held} bytes of {plan.queue_bytes}, and it is not the oldest")

    # ------------------------------------------------------------------------------------------------------------ end

    def check_end(self) -> None:
        """Check that no frame was forgotten."""
        kept = [box for box in self.boxes if not box.released]
        if kept:
            raise Violation(f"{len(kept)} frames were never released, the first {kept[0]}")


def _share(box: Box, count: int, place: int) -> int:
    """Return the bytes of items, the same for all of a box, the rest with the first."""
    each = box.nbytes // len(box.items)
    return each * count + (box.nbytes % len(box.items) if place == 0 else 0)
