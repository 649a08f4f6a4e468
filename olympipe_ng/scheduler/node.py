"""A node while it runs: its workers, its tickets in order, and what has been learned of its cost.

    edge ──cut──► Ticket ──dealt──► worker ──Done──► held ──commit, in order──► edges
                   ▲                  │
                   └── given back ◄───┘   (slow, failed and to be retried, or its worker died)

A **ticket** is a range of one frame, dealt to one worker. The tickets of a node stand in ``window`` in input order; outputs are committed
from its head. What is given back is split off and keeps its place.

While much waits, frames are of 20 ms, not of the 2 to 5 that DESIGN.md asks for: nobody has to wait for a part of them, and where
somebody waits for their results the order says so (``Dispatch.hurry``). Two stages of 5 ms, of the speed of two plain processes doing the
same: 0.92 instead of 0.85; each relay costs three processes a waking, and the user's function a cold cache. What it costs: an item that
turns dear holds back up to 20 ms of work done before it, where nobody was waiting for that when it was dealt.

Considered and refused: committing in order of completion and sorting at the sink (deadlocks on bounded edges).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

from ..failures import Note
from ..origins import NO_ORIGINS, Origins
from ..plan import NodePlan, Role
from .edge import EASE
from .messages import Frame, StreamState, Verb

__all__ = ["JUDGE_DEATHS", "Node", "Status", "Ticket", "Worker", "WorkerStatus"]

FRAME_SECONDS = 0.004  # a frame's worth of its consumer's work; more costs latency, less costs relays
CALM_SECONDS = 0.020  # the same where nobody waits for a part of it: there is as much for every other lane
FILLED = 4  # frames for each lane that wait: then there is; more keeps frames small, less has lanes end apart
PATIENCE, LATE = 0.010, 2.5  # seconds, and times what a frame should take; then the rest is given back where others could take it
EDGE_SECONDS = 0.2  # what may wait on an edge; more hides uneven producers, less bounds memory and latency
NOTABLE = 0.1  # of a pace: a change that the edges around should follow; less follows each measurement, more lags behind
DEAR = 0.020  # seconds; behind an item this dear no second ticket is put in hand, another worker may be free sooner
SPARE = 2  # so many lanes share one ticket that is in hand beyond what they are at; fewer end together and are not idle, more bounds less
GROWTH = 4  # a frame may be so many times its predecessor: costs are measured before they are relied on
WINDOW = 32  # tickets; fewer starve workers behind a dear item, more cost memory
EDGE_ITEMS = 65_536
JUDGE_DEATHS = 2  # workers that may die while an item's failure is judged: then it is given up unseen. More tolerate kills from outside


class Status(enum.Enum):
    """The life of a node."""

    RUNNING = "running"
    FLUSHING = "flushing"  # its inputs are over; a stream transform gives what is left
    ENDED = "ended"
    FAILED = "failed"
    CANCELLED = "cancelled"  # nobody needs it any more


class WorkerStatus(enum.Enum):
    """The life of a worker."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class TicketState(enum.Enum):
    """Where a ticket is."""

    QUEUED = "queued"  # waits to be dealt (again), not before ``due``
    OUT = "out"  # in a worker's hand
    CREDIT = "credit"  # in a worker's hand, waiting for a grant
    DONE = "done"
    CANCELLED = "cancelled"  # in a worker's hand, nobody wants it


class Ticket:
    """A range of a frame on its way through a node."""

    __slots__ = (
        "alone",
        "attempt",
        "begun",
        "due",
        "emitted",
        "error",
        "failures",
        "frame",
        "hi",
        "judge",
        "judge_deaths",
        "number",
        "outputs",
        "port",
        "reserved",
        "spent",
        "state",
        "unbegun",
        "upto",
        "verb",
        "watermark",
        "worker",
    )

    def __init__(self, number: int, verb: Verb, port: int, frame: Frame | None, lo: int, hi: int) -> None:
        self.number = number
        self.verb = verb
        self.port = port
        self.frame = frame
        self.upto = lo  # items below are settled
        self.hi = hi
        self.state = TicketState.QUEUED
        self.worker: Worker | None = None
        self.outputs: list[tuple[int, Frame]] = []
        self.failures: list[Any] = []
        self.error: Any = None
        self.judge: Any = None
        self.judge_deaths = 0
        self.attempt = 0
        self.emitted = 0
        self.alone = False
        self.unbegun = 0  # workers that died before they had begun it
        self.due = 0.0
        self.begun = 0.0
        self.reserved = 0  # outputs for which room is kept on every edge of the node
        self.watermark = 0
        self.spent = 0.0  # seconds on items that are not settled yet

    @property
    def items(self) -> int:
        return self.hi - self.upto

    @property
    def doing(self) -> Verb:
        """What a worker is to do with it."""
        if self.judge is None:
            return self.verb
        return Verb.JUDGE if self.judge_deaths < JUDGE_DEATHS else Verb.GIVE_UP

    @property
    def origins(self) -> Origins:
        return NO_ORIGINS if self.frame is None else self.frame.origins[self.upto : self.hi]


class Worker:
    """A worker as the scheduler knows it."""

    __slots__ = ("begun", "killed", "node", "number", "pid", "place", "retiring", "served", "status", "tickets", "worn")

    def __init__(self, number: int, node: Node, place: int) -> None:
        self.number = number
        self.node = node
        self.place = place  # 0 to count-1, kept over restarts
        self.status = WorkerStatus.STARTING
        self.tickets: dict[int, Ticket] = {}
        self.pid = 0
        self.begun = 0.0
        self.served = 0
        self.worn = False  # it says that it has grown too large
        self.retiring = False
        self.killed: Any = None  # the ticket whose time-out it was killed for

    def note(self, kind: str, summary: str) -> Note:
        """Note down what befell this worker."""
        plan = self.node.plan
        return Note(kind, plan.title, summary=summary, pid=self.pid or None, node=plan.number)

    @property
    def holds_state(self) -> bool:
        """Whether it may hold what nothing can repeat: the state of a stream, or of the user's instance."""
        plan = self.node.plan
        return self.status is not WorkerStatus.STARTING and (plan.stateful or (plan.stream and not plan.hub))

    @property
    def running(self) -> list[Ticket]:
        """List the tickets its lanes are at: the first ones of its hand."""
        return list(self.tickets.values())[: self.node.plan.lanes]

    @property
    def unstarted(self) -> int:
        """Count the items in its hand whose function call has not begun: each lane has begun one of the ticket it is at."""
        lanes, total = self.node.plan.lanes, 0
        for order, ticket in enumerate(self.tickets.values()):
            items = ticket.hi - ticket.upto
            total += items if order >= lanes or not items else items - 1
        return total


class Node:
    """The state of a source, a stage or a sink; the scheduler is its only owner."""

    def __init__(self, plan: NodePlan, frame_items: int) -> None:
        self.plan = plan
        self.number = plan.number
        self.is_join = len(plan.inputs) > 1
        self.frame_items = frame_items
        self.status = Status.RUNNING
        self.window: list[Ticket] = []
        self.queued_tickets = 0
        self.bereaved = False  # a worker has died: tickets may have to be run alone
        self.workers: dict[int, Worker] = {}
        self.wanted = plan.workers
        self.cost = 0.0  # seconds per item and lane
        self.size = 1  # items of the next frame
        self.fanout = 1.0  # outputs of an item
        self.told_pace = (0.0, 0.0, 0.0)  # cost, size and fanout that the edges around know
        self.ready: tuple[int, ...] = tuple(range(len(plan.inputs)))
        self.stream_done = False
        self.settled = 0  # below this source index nothing more will come from a stream transform that tells it
        self.doomed = False  # an item failed for good, and waits for its elders to be committed
        self.deadline: float | None = None
        self.excused = False  # a stage before it is being set up: its deadline does not count
        self.begins = False  # that is over, or a pause is, and it is still to be told so
        self.next_port = 0
        self.ends_told: set[int] = set()
        self.watermarks = [0] * len(plan.inputs)  # by port: the last that it was told
        self.dirty = False
        self.miscounted = False  # what its workers have in hand has changed
        self.start_deaths = 0  # of workers before they were ready, since one was
        self.killed_starts = 0  # those of them that somebody else may have killed
        self.crew_changes = plan.max_items is not None  # workers may have to go before the end
        self.max_window = max(WINDOW, 2 * plan.workers * plan.lanes)
        self.only_deals = plan.role is Role.STAGE and not (plan.stream or plan.many or plan.hub)  # it gives nothing but what it is dealt
        self._most_in_hand = _most_in_hand(plan, self.is_join)

    @property
    def alive(self) -> bool:
        return self.status is Status.RUNNING or self.status is Status.FLUSHING

    @property
    def is_setting_up(self) -> bool:
        """Say whether nothing can come of it because none of its workers is ready (yet, or again)."""
        return self.alive and all(worker.status is not WorkerStatus.READY for worker in self.workers.values())

    @property
    def lanes(self) -> int:
        """Count the lanes of all its workers."""
        return max(1, self.wanted) * self.plan.lanes

    @property
    def in_turn(self) -> bool:
        """Say whether tickets must be dealt in input order: to a stream, or to what else sees all items one after the other and keeps
        something of them, or where a younger one, waiting for room, would keep the lane."""
        return self.plan.stream or (self.plan.many and self.plan.ordered) or (self.plan.stateful and self.lanes == 1)

    def hand(self) -> int:
        """Return how many tickets a worker may hold: what keeps its lanes busy, plus one where that helps."""
        return self._most_in_hand if 0.0 < self.cost <= DEAR else self.plan.lanes

    def idle_worker(self, *, empty: bool = False, elder: bool = False) -> Worker | None:
        """Find the worker with the emptiest hand that may take a ticket; what a retiring one holds may wait for an ``elder``."""
        best, least = None, 1 if empty else self.hand()
        for worker in self.workers.values():
            held = len(worker.tickets)
            if held < least and worker.status is WorkerStatus.READY:
                if self.crew_changes and not self._is_willing(worker, elder):
                    continue
                if self.bereaved and any(ticket.alone for ticket in worker.tickets.values()):
                    continue
                best, least = worker, held
        return best

    def _is_willing(self, worker: Worker, elder: bool) -> bool:
        return (not worker.retiring and self.quota(worker) > 0) or (elder and self.in_turn and bool(worker.tickets))

    def quota(self, worker: Worker) -> int:
        """Return how many more items a worker may be given before it is recycled."""
        limit = self.plan.max_items
        return self.frame_items if limit is None else limit - worker.served - sum(ticket.items for ticket in worker.tickets.values())

    def is_hungry(self) -> bool:
        """Say whether a worker has nothing at all to do."""
        return any(w.status is WorkerStatus.READY and not w.tickets for w in self.workers.values())

    def learn(self, items: int, seconds: float) -> bool:
        """Adapt cost and frame size to a measurement of ``items`` on one lane; say whether the edges around should follow."""
        cost = max(seconds / items, 1e-8)
        self.cost = cost if not self.cost else (1 - EASE) * self.cost + EASE * cost
        self.size = max(1, min(int(CALM_SECONDS / self.cost), GROWTH * max(items, self.size), self.frame_items))
        cost, size, fanout = self.told_pace
        if _is_near(self.cost, cost) and _is_near(self.size, size) and _is_near(self.fanout, fanout):
            return False
        self.told_pace = (self.cost, self.size, self.fanout)
        return True

    def frame_size(self, waiting: int = 0) -> int:
        """Return how many items to deal at once, of those ``waiting``: as much as each lane can have again, but a short frame's worth."""
        if self.plan.timeout is not None or not self.plan.redeliver:
            return 1
        if self.plan.lanes > 1:
            return max(1, min(self.size, waiting // self.lanes))
        short = int(FRAME_SECONDS / self.cost) if self.cost else 1
        return self.size if self.wanted == 1 else max(1, min(self.size, max(short, waiting // (FILLED * self.lanes))))

    def patience(self, items: int) -> float:
        """Return after how many seconds others should have the rest of a ticket."""
        return max(PATIENCE, LATE * self.cost * items)

    def appetite(self) -> int:
        """Return how many items may wait before this node when its ``queue_size`` is not given."""
        if not self.cost:
            return 2 * self.lanes
        return max(2 * self.lanes, min(EDGE_ITEMS, int(EDGE_SECONDS / self.cost) * self.lanes))

    def output_burst(self) -> int:
        """Return how many items this node gives in a moment: what a consumer of negligible cost must have room for."""
        return min(EDGE_ITEMS, int(4 * self.size * self.fanout) * self.lanes)

    @property
    def given_back(self) -> int:
        """Count the items of tickets that wait to be dealt again, but those that wait for another attempt."""
        if not self.queued_tickets:
            return 0
        waiting = [ticket for ticket in self.window if ticket.state is TicketState.QUEUED]
        return sum(ticket.items for ticket in waiting if not ticket.attempt)

    def queued(self, now: float) -> Ticket | None:
        """Find the oldest ticket that waits to be dealt (again); where that matters none before its elders."""
        if self.queued_tickets:
            for ticket in self.window:
                if ticket.state is TicketState.QUEUED:
                    if ticket.due <= now:
                        return ticket
                    if self.in_turn:
                        break
        return None

    def take_state(self, state: StreamState | None) -> None:
        if state is not None:
            self.ready, self.stream_done, self.deadline, self.settled = state

    def in_hand(self) -> Iterator[Ticket]:
        for worker in self.workers.values():
            yield from worker.tickets.values()


def _most_in_hand(plan: NodePlan, is_join: bool) -> int:
    """Return how many tickets a worker of a node may hold once it is known that they are short."""
    if plan.hub or is_join or plan.timeout or not plan.redeliver:
        return plan.lanes
    if (plan.many and (plan.retries or not plan.stream)) or (plan.stateful and plan.retries):
        return plan.lanes  # what is in hand behind a ticket that comes back would be run before it, or keep room and lane from it
    return plan.lanes + max(1, plan.lanes // SPARE)


def _is_near(now: float, then: float) -> bool:
    return abs(now - then) <= NOTABLE * then
