"""What may be dealt at all, and when: the rules of order and time that a dispatch must keep.

    paused        nothing is begun                       stopped      nothing is begun, ever again
    failed        nothing behind the error is begun      backing off  not before its time
    worn          a worker gets no more items than it may serve
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from olympipe_ng.plan import NodePlan
from olympipe_ng.scheduler.messages import Dispatch, Done, Drain, Pause, Resume, Stop, Verb

from .checks import Box, Violation, Watch
from .spec import Item
from .suspects import Member

__all__ = ["Rules"]


class Rules:
    """What was heard that forbids something."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.paused = self.stopped = False
        self.places: dict[tuple[int, int], int] = {}  # of frames in the input order of a node
        self.failed: dict[int, tuple[int, int]] = {}  # where in that order an error is known to be
        self.due: dict[tuple[int, Item], float] = {}  # when an item may be tried again
        self.served: Counter[int] = Counter()  # items that a worker has settled

    def hear(self, event: Any) -> None:
        """Take note of what somebody asked for."""
        if type(event) in (Pause, Resume, Drain):
            self.paused = type(event) is Pause
        elif type(event) is Stop:
            self.stopped = True

    def settle(self, member: Member, done: Done, now: float) -> None:
        """Take note of what a worker says."""
        hand, node = member.out[done.ticket], member.node
        if hand.box is None:
            return
        self.watch.settle(hand.box, node.inputs[hand.order.port], done.upto - hand.heard)
        self.served[member.number] += done.upto - hand.heard
        hand.heard = done.upto
        if done.retry is not None:
            wait = min(node.max_backoff, node.backoff * 2.0**hand.order.attempt) / 2 if done.upto == hand.order.lo else node.backoff / 2
            self.due[node.number, hand.box.items[done.upto]] = now + wait
        if done.note is not None and node.ordered:
            place = (self.places[node.number, id(hand.box)], done.upto)
            self.failed[node.number] = min(place, self.failed.get(node.number, place))

    def check(self, order: Dispatch, member: Member, now: float) -> None:
        """Check that nothing forbids a dispatch."""
        if self.paused or self.stopped:
            raise Violation(f"work is begun, though the run is {'stopped' if self.stopped else 'paused'}: {order}")
        if order.frame is not None:
            self.check_items(order, member.node, order.frame.payload, now)
            self.check_wear(order, member)

    def check_items(self, order: Dispatch, node: NodePlan, box: Box, now: float) -> None:
        key = (node.number, id(box))
        place = self.places.setdefault(key, len(self.places))
        error = self.failed.get(node.number)
        if error is not None and (place, order.lo) >= error:
            raise Violation(f"{node.label}: work is begun behind an error that is known: {order}")
        if order.attempt > node.retries:
            raise Violation(f"{node.label}: attempt number {order.attempt}, of {node.retries}: {order}")
        due = self.due.pop((node.number, box.items[order.lo]), 0.0)
        if now < due and order.verb is Verb.ITEMS:
            raise Violation(f"{node.label}: tried again at {now}, before {due}: {order}")

    def check_wear(self, order: Dispatch, member: Member) -> None:
        limit, node = member.node.max_items, member.node
        if limit is None or (node.many and node.ordered):  # there an elder may need the lane
            return
        held = sum(hand.order.hi - hand.heard for hand in member.out.values())
        if self.served[member.number] + held + order.hi - order.lo > limit:
            raise Violation(f"worker {member.number} is given more than {limit} items: {order}")
