"""The state of a run, and the few moves that every part of the scheduler makes on it.

    State    edges, nodes, workers, tickets; the commands that this event has caused; what must be looked at again

Only the scheduler's own modules touch it: ``dealing`` (what is given to whom), ``settling`` (what comes back), ``ending`` (what is over),
``deadlock`` (what may grow). Each is functions over the state, and ``scheduler`` is the table that calls them.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from ..plan import NodePlan, Plan, Role
from .edge import SOME, Edge
from .ledger import Ledger
from .messages import Command, Frame, Parcel, Release
from .node import Node, Ticket, Worker

__all__ = ["SourceState", "State"]


class SourceState:
    """How far a source was asked to draw, and how far it came."""

    __slots__ = ("asked", "closed", "draining", "drawn", "ended", "failed", "told_hungry")

    def __init__(self) -> None:
        self.asked = 0
        self.drawn = 0
        self.failed = 0  # items that were left out, or failed in a run inside the source
        self.told_hungry = False
        self.draining = False
        self.closed = False
        self.ended = False


class State:
    """All that the scheduler knows."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now = 0.0
        self.edges = [Edge(edge) for edge in plan.edges]
        self.nodes = [Node(node, plan.frame_items) for node in plan.nodes]
        self._inputs = [[self.edges[number] for number in node.inputs] for node in plan.nodes]
        self._outputs = [[self.edges[number] for outlet in node.outlets for number in outlet] for node in plan.nodes]
        self.workers: dict[int, Worker] = {}
        self.tickets: dict[int, Ticket] = {}
        self.sources = {node.number: SourceState() for node in plan.sources}
        self.delivered: dict[int, deque[list[Any]]] = {node.number: deque() for node in plan.sinks}  # [frame, items not taken]
        self.waiting: Counter[int] = Counter()  # by sink: of its consumers, those that wait
        self.ledger = Ledger(len(plan.nodes))
        self.commands: list[Command] = []
        self.sinks = [node for node in self.nodes if node.plan.role is Role.SINK]
        self.paused = False
        self.stopping = False
        self.finished = False
        self.moved = 0.0  # when something happened last, but the passing of time
        self.stalled = False  # and nothing has since the user was told so
        self.note: Any = None
        self.random = random.Random(plan.seed)
        self.timed = [node for node in self.nodes if _is_timed(node)]
        self.joins = plan.joins
        self.kin = {node.number: _sources_of(plan, node) for node in plan.nodes if node.abreast}  # by port: what it stems from
        self.before = {node.number: self._staffed_before(node) for node in plan.nodes if node.excuses_setup}
        self.grown: list[Edge] = []  # beyond their bounds, for a join whose arms are unequal
        self._numbers = 0
        self._dirty: list[int] = []  # a heap of negative numbers

    # ------------------------------------------------------------------------------------------------------- small moves

    def number(self) -> int:
        """Give a number that no frame, ticket or worker of this run has."""
        self._numbers += 1
        return self._numbers

    def say(self, command: Command) -> None:
        self.commands.append(command)

    def take_commands(self) -> list[Command]:
        commands, self.commands = self.commands, []
        return commands

    def end_worker(self, number: int) -> Worker | None:
        """Forget a worker that is gone, and what was just said to it: an earlier event of the same batch did not know."""
        self.commands = [command for command in self.commands if getattr(command, "worker", None) != number]
        return self.workers.pop(number, None)

    def touch(self, node: Node) -> None:
        """Have a node looked at before this event is over: something it waits for may have come."""
        if not node.dirty:
            node.dirty = True
            heappush(self._dirty, -node.number)

    def touch_around(self, node: Node) -> None:
        """Have a node and those before it looked at: it may take more."""
        self.touch(node)
        for edge in self.inputs(node):
            self.touch_producer(edge)

    def touch_producer(self, edge: Edge) -> None:
        """Have the node before an edge looked at: there may be room, or somebody who waits; one that has nothing to give need not be."""
        node = self.nodes[edge.plan.producer]
        if not node.only_deals or node.queued_tickets or self.edges[node.plan.inputs[0]].queue:
            self.touch(node)

    def touch_all(self) -> None:
        for node in self.nodes:
            self.touch(node)

    def next_touched(self) -> Node | None:
        """Give the last stage that was touched: so the room that it makes is known to those before it."""
        if not self._dirty:
            return None
        node = self.nodes[-heappop(self._dirty)]
        node.dirty = False
        return node

    def new_frame(self, parcel: Parcel) -> Frame:
        return Frame(self.number(), parcel)

    def release(self, frame: Frame) -> None:
        """Drop one use of a frame."""
        frame.uses -= 1
        if frame.uses <= 0:
            self.say(Release(frame))

    # ---------------------------------------------------------------------------------------------------------- the graph

    def inputs(self, node: Node) -> Sequence[Edge]:
        return self._inputs[node.number]

    def outputs(self, node: Node) -> Sequence[Edge]:
        return self._outputs[node.number]

    def consumer(self, edge: Edge) -> Node:
        return self.nodes[edge.plan.consumer]

    def producer(self, edge: Edge) -> Node:
        return self.nodes[edge.plan.producer]

    def _staffed_before(self, plan: NodePlan) -> list[Node]:
        """Return the stages before a node that workers of their own run."""
        before = sorted(_upstream(self.plan, plan.inputs))
        return [self.nodes[number] for number in before if self.nodes[number].plan.staffed]

    def room(self, node: Node, *, oldest: bool = False) -> int:
        """Count the outputs that every open edge of a node still has room for."""
        rooms = [edge.room(oldest=oldest) for edge in self.outputs(node) if not edge.closed]
        return min(rooms) if rooms else node.frame_items

    def capacity(self, node: Node) -> int:
        """Return how many items may be on every open edge behind a node."""
        return min((edge.bound for edge in self.outputs(node) if not edge.closed), default=node.frame_items)

    def recount(self, node: Node) -> None:
        """Count again what is in hand but not begun on the edge of an ordinary node; wake the producer if there is less."""
        node.miscounted = False
        if not node.plan.inputs or node.is_join:
            return
        edge = self.edges[node.plan.inputs[0]]
        before = edge.unstarted
        edge.unstarted = sum(worker.unstarted for worker in node.workers.values()) + node.given_back
        if edge.unstarted < before:
            self.touch_producer(edge)

    def widen(self, node: Node) -> None:
        """Let the edges into a node (and out of it, to what costs nothing) follow what was learned of its pace."""
        for edge in self.inputs(node):
            edge.some = self._some(edge)
            if edge.plan.queue_size is None:
                self._set_capacity(edge)
        for edge in self.outputs(node):
            if edge.plan.queue_size is None and self._is_free(self.consumer(edge)):
                self._set_capacity(edge)

    def _set_capacity(self, edge: Edge) -> None:
        consumer, producer = self.consumer(edge), self.producer(edge)
        before = edge.capacity
        edge.capacity = max(FREE_ITEMS, producer.output_burst()) if self._is_free(consumer) else consumer.appetite()
        if edge.capacity > before:
            self.touch(producer)

    def _some(self, edge: Edge) -> int:
        """Return how many items its lanes need at least, or the user asked for, whatever they weigh."""
        return edge.plan.queue_size or max(SOME, 2 * (self.producer(edge).lanes + self.consumer(edge).lanes))

    @staticmethod
    def _is_free(node: Node) -> bool:
        return node.plan.hub or node.plan.role is Role.SINK

    def set_capacities(self) -> None:
        """Give every edge its first bound."""
        for edge in self.edges:
            edge.untried = self.producer(edge).lanes
            edge.some = self._some(edge)
            if edge.plan.queue_size is None:
                self._set_capacity(edge)


def _sources_of(plan: Plan, node: NodePlan) -> list[frozenset[int]]:
    """Return, by port, the sources that a node stems from."""
    return [frozenset(number for number in _upstream(plan, [edge]) if not plan.nodes[number].inputs) for edge in node.inputs]


def _upstream(plan: Plan, edges: Sequence[int]) -> set[int]:
    """Return the nodes that these edges stem from."""
    found: set[int] = set()
    waiting = list(edges)
    while waiting:
        number = plan.edges[waiting.pop()].producer
        if number not in found:
            found.add(number)
            waiting.extend(plan.nodes[number].inputs)
    return found


def _is_timed(node: Node) -> bool:
    plan = node.plan
    return bool(plan.stream or plan.retries or plan.timeout or plan.setup_timeout)


FREE_ITEMS = 64  # waiting before a sink or a stage without user code, which take in bursts; more reads further ahead of a slow consumer
