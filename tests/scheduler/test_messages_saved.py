"""What is not said: each word wakes a process, so the scheduler asks for room back, and for more items, only when that matters."""

from __future__ import annotations

import itertools

import pytest

from olympipe_ng.origins import Origins
from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler.messages import Counts, Deliver, Dispatch, Done, Parcel, Pull, SourceFrame, StartWorker, Took, WorkerReady
from olympipe_ng.scheduler.scheduler import Scheduler
from tests.scheduler.commands import only

SOURCE = NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),))


def parcel(lo, count, nbytes=9):
    return Parcel(count, count * nbytes, Origins.range(0, lo, count), None)


class OneByOne:
    """A source, a stage that settles what it is dealt, a sink."""

    def __init__(self, queue_size, workers=1):
        nodes = (
            SOURCE,
            NodePlan(1, "stage", Role.STAGE, inputs=(0,), outlets=((1,),), workers=workers),
            NodePlan(2, "sink", Role.SINK, inputs=(1,)),
        )
        self.scheduler = Scheduler(Plan(nodes, (EdgePlan(0, 0, 0, 1, 0, queue_size), EdgePlan(1, 1, 0, 2, 0, queue_size))))
        self.pulled = []
        self.drawn = 0
        self.delivered = []
        self.lying = 0  # items that the consumer has not taken
        self.dispatches = []
        self.take(self.scheduler.start(0.0))

    def take(self, commands):
        self.pulled += [command.upto for command in only(Pull, commands)]
        self.delivered += [(command.lo, command.soon) for command in only(Deliver, commands)]
        self.lying += sum(command.hi - command.lo for command in only(Deliver, commands))
        self.dispatches += only(Dispatch, commands)
        for command in only(StartWorker, commands):
            self.tell(WorkerReady(command.worker, 4711))

    def tell(self, event):
        self.take(self.scheduler.handle(event, 0.0))

    def draw(self, nbytes=9):
        """Give all that the source was asked for."""
        count, self.drawn = self.pulled[-1] - self.drawn, self.pulled[-1]
        self.tell(SourceFrame(0, parcel(self.drawn - count, count, nbytes)))

    def consume(self, left=0):
        """Take what was delivered, but ``left`` items."""
        count, self.lying = self.lying - left, left
        self.tell(Took(2, count))

    def settle(self, nbytes=9, seconds=0.015):
        """Settle the oldest ticket in hand, of dear items."""
        while not self.dispatches:
            self.draw()
        ticket = self.dispatches.pop(0)
        count = ticket.hi - ticket.lo
        outputs = ((0, parcel(ticket.lo, count, nbytes)),)
        self.tell(Done(ticket.worker, ticket.ticket, ticket.hi, outputs, counts=Counts(count), busy=seconds * count))
        return ticket


@pytest.mark.parametrize(("nbytes", "unasked"), [(9, range(40, 50)), (1 << 16, range(1))])
def test_room_is_asked_back_at_once_only_where_it_runs_short(nbytes, unasked):
    """Nearly half of what may wait before a consumer is left to it; large items are always wanted back."""
    run = OneByOne(queue_size=100)
    for _ in range(60):
        run.settle(nbytes)
    said = [soon for _, soon in run.delivered]
    assert said.count(False) in unasked
    assert said == sorted(said)
    run.tell(Took(2, 60))
    run.settle(nbytes)
    assert run.delivered[-1][1] is said[0]


def test_a_source_that_nothing_lies_between_hears_at_once_of_an_idle_reader():
    """Nobody else would tell it to ship what it holds."""
    nodes = (SOURCE, NodePlan(1, "sink", Role.SINK, inputs=(0,)))
    scheduler = Scheduler(Plan(nodes, (EdgePlan(0, 0, 0, 1, 0, 100),)))
    scheduler.start(0.0)
    assert [command.soon for command in only(Deliver, scheduler.handle(SourceFrame(0, parcel(0, 1)), 0.0))] == [True]


def test_a_source_is_asked_for_several_items_together():
    """Not for each that is taken from a queue that is well filled; but always while less than half waits."""
    run = OneByOne(queue_size=16)
    for _ in range(20):
        run.settle()
        run.tell(Took(2, 1))
    begun = len(run.pulled)
    for _ in range(40):
        run.settle()
        run.tell(Took(2, 1))
        if run.pulled[-1] > run.drawn:
            run.draw()
    steps = [after - before for before, after in itertools.pairwise(run.pulled[begun:])]
    assert len(steps) > 4
    assert min(steps) >= 4


@pytest.mark.parametrize(("workers", "last"), [(1, 4), (2, 1)])
def test_twenty_milliseconds_of_work_are_dealt_at_once_while_every_worker_can_have_as_much(workers, last):
    """Near the end several get short frames: what one has in hand the others cannot take."""
    run = OneByOne(queue_size=200, workers=workers)
    sizes = []
    while len(sizes) < 10 or run.dispatches:
        ticket = run.settle(seconds=0.005)
        sizes.append(ticket.hi - ticket.lo)
        run.consume()
    assert max(sizes) == 4
    assert set(sizes[-5:-1]) == {last}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_rest_of_a_ticket_is_wanted_back_only_where_another_worker_could_take_it(workers):
    """And not of one item: after more than it should take, not at once."""
    run = OneByOne(queue_size=200, workers=workers)
    tickets = [run.settle(seconds=0.005) for _ in range(20)]
    several = [ticket for ticket in tickets if ticket.hi - ticket.lo > 1]
    assert several
    assert all((ticket.patience > 0.005 * (ticket.hi - ticket.lo)) is (workers > 1) for ticket in several)
    assert not any(ticket.patience for ticket in tickets if ticket not in several)


@pytest.mark.parametrize("left", [0, 1])
def test_a_ticket_is_in_a_hurry_only_while_somebody_has_nothing_until_it_gives_something(left):
    run = OneByOne(queue_size=8)
    for _ in range(10):
        run.settle(seconds=0.005)
        run.consume()
    while run.dispatches:
        run.settle(seconds=0.005)
    run.consume(left)
    run.draw()
    assert run.dispatches[0].hi - run.dispatches[0].lo > 1
    assert run.dispatches[0].hurry is not bool(left)


def test_what_gives_many_items_is_always_in_a_hurry():
    """One of its tickets may last for ever, and who has something to do now may not later."""
    nodes = (
        SOURCE,
        NodePlan(1, "explode", Role.STAGE, inputs=(0,), outlets=((1,),), many=True),
        NodePlan(2, "sink", Role.SINK, inputs=(1,)),
    )
    scheduler = Scheduler(Plan(nodes, (EdgePlan(0, 0, 0, 1, 0), EdgePlan(1, 1, 0, 2, 0))))
    worker = only(StartWorker, scheduler.start(0.0))[0].worker
    scheduler.handle(WorkerReady(worker, 4711), 0.0)
    orders = only(Dispatch, scheduler.handle(SourceFrame(0, parcel(0, 1)), 0.0))
    orders += only(Dispatch, scheduler.handle(Done(worker, orders[0].ticket, 1, ((0, parcel(0, 5)),), counts=Counts(1)), 0.0))
    orders += only(Dispatch, scheduler.handle(SourceFrame(0, parcel(1, 1)), 0.0))
    assert [order.hurry for order in orders] == [True, True]


@pytest.mark.parametrize(("queue_size", "most"), [(None, 16), (40, 40), (1000, 64)])
def test_of_large_items_sixteen_wait_unless_more_are_asked_for_and_never_more_than_64_mib(queue_size, most):
    """Items of 1 MiB, of which nobody takes any."""
    run = OneByOne(queue_size)
    for _ in range(200):
        if run.dispatches:
            run.settle(1 << 20, seconds=0.001)
        elif run.pulled[-1] > run.drawn:
            run.draw(1 << 20)
    assert run.lying == most


def test_a_busy_worker_is_dealt_no_crumbs():
    """It waits until half of what lies behind it is free; one with nothing to do takes what room there is."""
    run = OneByOne(queue_size=16)
    for _ in range(10):
        run.settle(seconds=0.0005)
        run.consume()
    while run.lying < 16:
        run.settle(seconds=0.0005)
    run.draw()
    assert not run.dispatches

    def dealt(taken):
        for _ in range(taken):
            run.consume(left=run.lying - 1)
        return [ticket.hi - ticket.lo for ticket in run.dispatches]

    assert dealt(1) == [1]
    assert dealt(7) == [1]
    assert dealt(1) == [1, 8]
