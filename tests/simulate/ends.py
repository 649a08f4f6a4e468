"""The two ends of a simulated run: sources that draw what they are asked for, and consumers that take at their own pace.

    Pull ──► Source ──► SourceFrame, SourceEnd            Deliver ──► Sink ──► Took, SinkWaits
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from olympipe_ng.origins import Origins
from olympipe_ng.scheduler.messages import Deliver, Parcel, Pull, SinkEnd, SinkWaits, SourceEnd, SourceFrame, Took

from .checks import Box, Violation
from .spec import Item, nbytes

if TYPE_CHECKING:
    from .world import World

__all__ = ["Sink", "Source"]


class Source:
    """A source: draws as far as it was asked to, ships now or later."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.habit = world.scenario.sources[number]
        self.edges = world.plan.nodes[number].outlets[0]
        self.total = self.habit.total
        self.asked = self.drawn = self.shipped = 0
        self.hungry = self.busy = self.draining = self.closing = self.ended = False

    @property
    def at_work(self) -> bool:
        return not self.ended and self.shipped < self.asked

    def pull(self, command: Pull) -> None:
        if self.closing:
            raise Violation(f"source {self.number} was closed and is asked for more")
        if command.upto < self.asked:
            raise Violation(f"source {self.number} was asked for {self.asked} items, and now for {command.upto}")
        if command.upto > self.asked:
            self.world.watch.check_bytes(self.edges, oldest=False)
        self.asked, self.hungry = command.upto, command.hungry
        if not self.busy and not self.ended:
            self.busy = True
            self.world.after(self.habit.pace * self.world.rng.random(), self.draw)

    def draw(self) -> None:
        """Draw some of what was asked for."""
        self.busy = False
        if self.ended:
            return
        world, rng, left = self.world, self.world.rng, self.total - self.drawn
        count = min(left, rng.randint(1, max(1, self.asked - self.drawn)), self.asked - self.drawn)
        self.drawn += count
        world.watch.produce(self.edges, count)
        if self.drawn == self.total and (self.asked > self.drawn or rng.random() < 0.5):
            self.end()
            return
        if self.drawn == self.asked or self.hungry or (not self.habit.lazy and rng.random() < 0.5):
            self.ship()
        if self.drawn < self.asked:
            self.busy = True
            world.after(self.habit.pace * rng.random(), self.draw)

    def ship(self) -> None:
        lo, hi = self.shipped, self.drawn
        if hi > lo:
            items: list[Item] = [(self.number, k) for k in range(lo, hi)]
            weight = sum(nbytes(item, 0) for item in items)
            self.shipped = hi
            parcel = Parcel(hi - lo, weight, Origins.range(self.number, lo, hi - lo), Box(self.number, self.edges, items, weight))
            self.world.tell(SourceFrame(self.number, parcel))

    def end(self) -> None:
        """End by itself, well or by raising."""
        self.ship()
        self.ended = True
        note = ("source", self.number, (self.number, self.drawn)) if self.habit.raises else None
        self.finish(note)

    def finish(self, note: Any) -> None:
        self.ended = True
        self.world.facts.totals[self.number] = self.shipped
        if note is not None:
            self.world.facts.raised.add(self.number)
        self.world.tell(SourceEnd(self.number, self.shipped, note))

    def drain(self) -> None:
        """Draw no more, or only what a run inside has drawn."""
        if not self.ended:
            inside = self.world.rng.randint(-20, 20)
            self.total = min(self.total, self.drawn + max(0, inside))
            if self.drawn == self.total:
                self.ship()
                self.finish(None)

    def close(self) -> None:
        if not self.ended:
            self.finish(None)


class Sink:
    """A consumer: takes what it gets, at its own pace."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.habit = world.scenario.sinks[number]
        self.edge = world.plan.nodes[number].inputs[0]
        self.discard = world.plan.nodes[number].discard
        self.got: list[Any] = []
        self.waiting: deque[tuple[Box, int]] = deque()  # delivered, not taken
        self.taking: deque[Box] = deque()  # of items whose taking the scheduler has not heard of
        self.taken = 0
        self.untold = 0  # items taken, of which it is to be told
        self.soon = False
        self.busy = self.said_waiting = self.ended = self.complete = False
        self.note: Any = None

    @property
    def begins(self) -> bool:
        """Say whether its consumer has begun with it: not before it is through with another."""
        first = self.world.sinks.get(self.habit.after)
        return first is None or (first.ended and not first.waiting)

    def deliver(self, command: Deliver) -> None:
        if self.ended:
            raise Violation(f"sink {self.number} was ended, and gets more")
        if self.discard:
            raise Violation(f"sink {self.number} is thrown away, and gets items")
        box: Box = command.frame.payload
        self.world.watch.use(box, command.lo, command.hi)
        self.got.extend(box.items[command.lo : command.hi])
        self.waiting.extend((box, k) for k in range(command.lo, command.hi))
        self.soon |= command.soon
        self.wake()

    def wake(self) -> None:
        """Go to work, or wait."""
        if self.discard or not self.begins or self.busy:
            return
        if self.waiting:
            self.say_waiting(False)
            self.busy = True
            self.world.after(self.habit.pace * self.world.rng.random(), self.take)
        elif not self.ended:
            self.say_waiting(True)

    def say_waiting(self, waiting: bool) -> None:
        if waiting != self.said_waiting:
            self.said_waiting = waiting
            self.world.tell(SinkWaits(self.number, waiting))

    def take(self) -> None:
        self.busy = False
        count = min(self.habit.burst, len(self.waiting))
        for _ in range(count):
            box, place = self.waiting.popleft()
            if not box.released:
                self.world.watch.begin(box, self.edge, place)
            self.taking.append(box)
        self.taken += count
        self.tell_or_wait(count)
        if 0 <= self.habit.leaves <= self.taken:
            self.world.stop()
        self.wake()
        if self.ended and not self.waiting:
            self.world.wake_sinks()

    def tell_or_wait(self, count: int) -> None:
        """Tell what was taken: at once where that is wanted or this consumer's habit, else with more."""
        if count and self.habit.late and not self.untold:
            self.world.after(self.habit.late, self.tell)
        self.untold += count
        if self.soon or not self.habit.late:
            self.tell()

    def tell(self) -> None:
        if self.untold:
            self.world.tell(Took(self.number, self.untold))
            self.untold, self.soon = 0, bool(self.waiting) and self.soon

    def heard(self, count: int) -> None:
        """Take note that the scheduler is about to hear of what was taken."""
        for _ in range(count):
            box = self.taking.popleft()
            if not box.released:
                self.world.watch.settle(box, self.edge, 1)

    def end(self, command: SinkEnd) -> None:
        if self.ended:
            raise Violation(f"sink {self.number} ended twice")
        self.ended, self.note = True, command.note
        self.complete = command.note is None and not self.world.scheduler.state.stopping
        self.world.wake_sinks()
