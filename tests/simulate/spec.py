"""What a simulated run consists of, decided before it starts: the graph, what each stage does to which item, how the world behaves.

    seed ──► Scenario ──┬─► plan    what the scheduler is told
                        ├─► specs   what every stage *means*: pure functions of (stage, item)
                        └─► habits  how the world around it behaves: delays, deaths, a slow consumer

An item is a flat tuple of small ints, its own history: ``(0, 7, 2, 3, 1)`` is item 7 of source 0, passed through stage 2, then the output
number 1 of stage 3. So all items of one stream differ, and a misplaced one tells where it went wrong. What becomes of an item
(kept, fails twice, kills its worker, weighs 40 bytes) is read off its hash, so the oracle and the model workers agree without talking.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from olympipe_ng.plan import Plan

__all__ = ["ALWAYS", "Habits", "Item", "Kind", "Scenario", "SinkHabit", "SourceHabit", "Spec", "nbytes"]

Item = tuple[int, ...]
ALWAYS = 99  # attempts: it fails whenever it is tried
HUGE = 50  # outputs: a fan-out from here on is only that of one item in ten
FAILED = 800  # the last number of an item that stands for a failed one (replacement, branch)


class Kind(enum.Enum):
    """What a stage does. The first ones treat every item by itself; the others see the stream as a whole."""

    MAP = "map"
    FILTER = "filter"
    EXPLODE = "explode"
    SPLIT = "split"
    BATCH = "batch"
    LIMIT = "limit"
    SKIP = "skip"
    GATHER = "gather"
    ZIP = "zip"
    REJOIN = "rejoin"
    LATEST = "latest"
    THROTTLE = "throttle"
    IDLE = "idle"  # ends the stream when nothing comes for a while
    REDUCE = "reduce"
    SCAN = "scan"
    SHUFFLE = "shuffle"

    @property
    def itemwise(self) -> bool:
        return self in (Kind.MAP, Kind.FILTER, Kind.EXPLODE, Kind.SPLIT)

    @property
    def hub(self) -> bool:
        return not self.itemwise and self not in (Kind.REDUCE, Kind.SCAN, Kind.SHUFFLE)


class Spec:
    """What a stage means; ``permille`` numbers are of its items."""

    def __init__(self, node: int, kind: Kind, salt: int, *, size: int = 0, outlets: int = 1) -> None:
        self.node = node
        self.kind = kind
        self.salt = salt * 2654435761 + node * 40503
        self.size = size
        self.outlets = outlets  # without the one for failures
        self.keeps = 1000  # permille that a filter keeps
        self.fanout = 3  # an explode gives at most so many
        self.fails = 0  # permille that raise
        self.kills = 0  # permille that kill their worker
        self.hangs = 0  # permille that never return
        self.on_error = "raise"
        self.within = 0.0  # seconds after which a batch is given as it is
        self.pace = 0.001  # seconds of an item
        self.heavy = 0  # permille of outputs that are large

    def draw(self, item: Item, question: int) -> int:
        """Answer a question on an item with a number below 1000, always the same."""
        mixed = (hash(item) ^ self.salt ^ question * 69069) * 0x9E3779B97F4A7C15
        return ((mixed >> 29) & 0xFFFFF) * 1000 >> 20

    def failing(self, item: Item) -> int:
        """Return how many attempts at this item raise."""
        if not self.fails or self.draw(item, 1) >= self.fails:
            return 0
        return (1, 1, 2, ALWAYS, ALWAYS)[self.draw(item, 2) // 200]

    def killing(self, item: Item) -> int:
        """Return how many times this item kills the worker that has it in hand."""
        if not self.kills or self.draw(item, 3) >= self.kills:
            return 0
        return (1, 1, ALWAYS)[self.draw(item, 4) // 334]

    def hanging(self, item: Item) -> bool:
        return bool(self.hangs) and self.draw(item, 5) < self.hangs

    def apply(self, item: Item) -> list[tuple[int, Item]]:
        """Return what the stage's function gives for an item, with the outlets."""
        node, kind = self.node, self.kind
        if kind is Kind.MAP:
            return [(0, (*item, node))]
        if kind is Kind.FILTER:
            return [(0, (*item, node))] if self.draw(item, 6) < self.keeps else []
        if kind is Kind.EXPLODE:
            return [(0, (*item, node, k)) for k in range(self.many(item))]
        return [(k, (*item, node, k)) for k in range(self.outlets) if self.draw(item, 7 + k) < self.keeps]

    def many(self, item: Item) -> int:
        fanout = self.fanout if self.fanout < HUGE or self.draw(item, 11) < 100 else 2
        return self.draw(item, 6) * (fanout + 1) // 1000

    def emitted_before_failing(self, item: Item) -> int:
        """Return how many outputs an explode gives for an item before it raises."""
        return self.many(item) * self.draw(item, 12) // 1000 if self.kind is Kind.EXPLODE else 0

    def replacement(self, item: Item) -> Item:
        return (*item, self.node, FAILED)


def nbytes(item: Item, heavy: int) -> int:
    """Return the size of an item: mostly small; ``heavy`` permille of them twenty times as large."""
    mixed = hash(item) * 0x9E3779B97F4A7C15 >> 31
    small = 1 + (mixed & 7)
    return small * 20 if (mixed >> 5) % 1000 < heavy else small


class SourceHabit(NamedTuple):
    """How a source behaves."""

    total: int
    raises: bool = False  # after its last item
    pace: float = 0.0001
    lazy: bool = False  # ships only when hungry, or when it has drawn what it was asked for


class SinkHabit(NamedTuple):
    """How the consumer of a sink behaves."""

    pace: float = 0.0
    burst: int = 1  # takes at most so many at once
    after: int = -1  # begins only when this sink has ended
    leaves: int = -1  # stops the run after so many items
    late: float = 0.0  # seconds that it may wait before it tells what it took


class Habits(NamedTuple):
    """How the world behaves; chances are per occasion."""

    prefix: float = 0.3  # a ticket is settled in several messages
    give_back: float = 0.3  # the rest of a slow ticket is given back, where that is allowed
    death: float = 0.0  # a worker dies in the middle of a piece of work
    idle_death: float = 0.0  # ... or while it does nothing
    start_death: float = 0.0
    start_kill: float = 0.0  # ... from outside
    knows_hand: float = 0.7  # what was in hand is known after a death
    setup_fails: float = 0.0
    setup_hangs: float = 0.0  # where it has a limit
    wears: float = 0.0  # a worker grows too large
    close_fails: float = 0.0
    latency: float = 0.0  # a message to or from a worker is on its way for a while
    pauses: int = 0
    scales: int = 0
    drain_at: int = -1  # the number of the step before which it happens
    stop_at: int = -1
    dear: float = 0.02  # an item takes thirty times as long


class Scenario(NamedTuple):
    """All of a simulated run."""

    seed: int
    plan: Plan
    specs: dict[int, Spec]
    sources: dict[int, SourceHabit]
    sinks: dict[int, SinkHabit]
    habits: Habits
