"""Who may have killed a worker: the rules by which an item is suspected, run alone, and judged.

    a worker died ──► suspected: the item in hand, or all it had not reported ──► dealt again, alone ──► through, or judged

The same is decided by the scheduler, from less: so what is checked here is that nobody is judged without cause, and no suspect has company.
"""

from __future__ import annotations

from collections import Counter

from olympipe_ng.plan import NodePlan
from olympipe_ng.scheduler.messages import JUDGEMENTS, Dispatch

from .checks import Box, Violation
from .oracle import Facts
from .spec import Item
from .workers import Hand, Model

__all__ = ["Member", "Suspects"]


class Member:
    """One worker."""

    def __init__(self, number: int, place: int, model: Model) -> None:
        self.number = number
        self.place = place
        self.model = model
        self.node: NodePlan = model.plan
        self.lanes = model.plan.lanes
        self.ready = False
        self.dead = False
        self.stopping = False
        self.worn = False
        self.hands: dict[int, Hand] = {}
        self.running = 0
        self.out: dict[int, Hand] = {}  # tickets that the scheduler has not heard the end of
        self.alone = False  # holds an item that must be alone
        self.said = 0.0  # when its last answer arrives
        self.heard = 0.0  # when the last order arrives


class Suspects:
    """The items over which workers died."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.deaths: Counter[tuple[int, Item]] = Counter()  # over which an item was in hand
        self.doubts: Counter[tuple[int, Item]] = Counter()  # ... or may have been, for all that the scheduler knows

    def check(self, order: Dispatch, member: Member, box: Box) -> None:
        """Check that an item over which a worker died is alone, and judged only when it was found guilty."""
        number = member.node.number
        deaths = max((self.deaths[number, item] for item in box.items[order.lo : order.hi]), default=0)
        if order.verb in JUDGEMENTS:
            self.check_verdict(order, member, box.items[order.lo])
        elif member.alone:
            raise Violation(f"worker {member.number} holds an item that must be alone, and is given {order}")
        elif deaths:
            if order.hi - order.lo > 1 or member.out:
                raise Violation(f"{member.node.label}: a suspect is not alone: {order}")
            member.alone = True

    def check_verdict(self, order: Dispatch, member: Member, item: Item) -> None:
        key = (member.node.number, item)
        self.facts.verdicts[key] = order.note
        needed = 2 if member.node.redeliver and key not in self.facts.emitted else 1
        if self.deaths[key] + self.doubts[key] < needed:
            raise Violation(f"{member.node.label}: {item} is judged for {order.note} after {self.deaths[key]} deaths")

    def suspect(self, member: Member, hand: Hand, weight: int, at: range) -> None:
        """Take note over which items a worker may have died: those its lane was at, of what it had not reported."""
        assert hand.box is not None
        told, shipped = hand.told
        for item in hand.box.items[max(at.start, told) : at.stop]:
            self.deaths[member.node.number, item] += weight
        if shipped:  # cannot be given whole any more
            key = (member.node.number, hand.box.items[told])
            self.deaths[key] += 1

    def doubt(self, member: Member, hand: Hand) -> None:
        """Take note of items over which a worker may have died, though no lane is known to have begun them."""
        if hand.box is not None:
            self.doubts.update((member.node.number, item) for item in hand.box.items[hand.pos : hand.hi])

    def clear(self, node: int, item: Item) -> None:
        """Take note that an item came back alive, if to be tried again."""
        self.deaths.pop((node, item), None)
