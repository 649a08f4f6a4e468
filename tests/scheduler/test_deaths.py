"""What comes back of a dead worker's tickets, what a stage that keeps dying at start ends with, and what a stall is told of."""

from __future__ import annotations

import pytest

from olympipe_ng.failures import Kind, Note
from olympipe_ng.origins import Origins
from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler.deaths import KILLED_STARTS, START_DEATHS, UNBEGUN
from olympipe_ng.scheduler.messages import (
    Counts,
    Dispatch,
    Done,
    Due,
    Finish,
    Parcel,
    Pull,
    Scale,
    SourceFrame,
    StartWorker,
    Stop,
    Verb,
    Warn,
    WorkerDied,
    WorkerReady,
)
from olympipe_ng.scheduler.node import JUDGE_DEATHS
from olympipe_ng.scheduler.scheduler import Scheduler

ITEMS = 10
NOTE = Note(Kind.DIED)


class Driver:
    """A source, a stage of one worker and a sink; tickets as large as the frame."""

    def __init__(self, stall_timeout=5.0, **options):
        nodes = (
            NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)),
            NodePlan(1, "stage", Role.STAGE, inputs=(0,), outlets=((1,),), **options),
            NodePlan(2, "sink", Role.SINK, inputs=(1,)),
        )
        edges = (EdgePlan(0, 0, 0, 1, 0, queue_size=100), EdgePlan(1, 1, 0, 2, 0, queue_size=100))
        self.scheduler = Scheduler(Plan(nodes, edges, stall_timeout=stall_timeout))
        self.now = 0.0
        self.heard = []
        self.take(self.scheduler.start(0.0))
        self.scheduler.state.nodes[1].size = ITEMS
        self.scheduler.state.edges[1].untried = 0  # as if what items give were known

    def take(self, commands):
        self.heard += commands
        return commands

    def tell(self, event):
        return self.take(self.scheduler.handle(event, self.now))

    def last(self, kind):
        return [command for command in self.heard if isinstance(command, kind)][-1]

    def ready(self):
        self.tell(WorkerReady(self.last(StartWorker).worker, 4711))

    def all_ready(self):
        for command in self.heard[:]:
            if isinstance(command, StartWorker):
                self.tell(WorkerReady(command.worker, 4711))

    def give(self, lo, count):
        self.tell(SourceFrame(0, Parcel(count, count, Origins.range(0, lo, count), None)))

    def orders(self):
        return [command for command in self.heard if isinstance(command, Dispatch)]

    def feed(self, count=ITEMS):
        """Let the source give its items; return the ticket they are dealt in."""
        self.ready()
        assert self.last(Pull)
        self.give(0, count)
        return self.last(Dispatch)

    def die(self, in_hand=None, *, killed=False):
        self.tell(WorkerDied(self.last(StartWorker).worker, NOTE, in_hand, killed))

    def dealt(self):
        """Let the next worker settle all that it is dealt; return the ranges, in order, and what was to be done with them."""
        ranges = []
        self.heard, begun = [], [command for command in self.heard if isinstance(command, StartWorker)][-1:]
        self.tell(WorkerReady(begun[0].worker, 4711))
        while (order := next((each for each in self.heard if isinstance(each, Dispatch)), None)) is not None:
            self.heard.remove(order)
            ranges.append((order.lo, order.hi, order.verb))
            self.tell(Done(order.worker, order.ticket, order.hi))
        return ranges

    def finished(self):
        return any(isinstance(command, Finish) for command in self.heard)


def ranges(dealt):
    return [(lo, hi) for lo, hi, _ in dealt]


def test_the_item_in_hand_comes_back_alone_and_the_others_as_they_were():
    driver = Driver()
    order = driver.feed()
    driver.die({order.ticket: range(6, 7)})
    assert ranges(driver.dealt()) == [(0, 6), (6, 7), (7, 10)]


def test_of_a_slice_each_item_comes_back_alone():
    driver = Driver()
    order = driver.feed()
    driver.die({order.ticket: range(4, 7)})
    assert ranges(driver.dealt()) == [(0, 4), (4, 5), (5, 6), (6, 7), (7, 10)]


def test_where_nobody_knows_all_come_back_one_by_one():
    driver = Driver()
    driver.feed()
    driver.die(None)
    assert ranges(driver.dealt()) == [(at, at + 1) for at in range(ITEMS)]


def test_what_was_settled_of_a_slice_is_not_suspected():
    driver = Driver()
    order = driver.feed()
    driver.tell(Done(order.worker, order.ticket, 5, finished=False))
    driver.die({order.ticket: range(3, 7)})
    assert ranges(driver.dealt()) == [(5, 6), (6, 7), (7, 10)]


def test_a_ticket_that_was_not_begun_comes_back_as_it_was():
    driver = Driver()
    driver.feed()
    driver.die({})
    assert driver.dealt() == [(0, 10, Verb.ITEMS)]


@pytest.mark.parametrize("redeliver", [True, False])
def test_not_begun_is_no_attempt_even_where_nothing_is_delivered_twice(redeliver):
    """An item that was to be run alone, and was not begun by the next worker that died, is not judged."""
    driver = Driver(redeliver=redeliver)
    order = driver.feed(1)
    if redeliver:
        driver.die({order.ticket: range(1)})
        driver.ready()
    driver.die({})
    assert driver.dealt() == [(0, 1, Verb.ITEMS)]


def test_a_ticket_that_kills_before_it_is_begun_is_suspected_in_the_end():
    """Receiving it may be what kills: no worker is given it for ever."""
    driver = Driver()
    order = driver.feed(1)
    for _ in range(UNBEGUN):
        driver.die({})
        driver.ready()
    driver.die({order.ticket: range(1)})
    assert driver.dealt() == [(0, 1, Verb.JUDGE)]


def test_what_kills_also_when_it_is_judged_is_given_up_in_the_end():
    """It is judged twice, for somebody may have killed a worker meanwhile; then nobody looks at it any more."""
    driver = Driver(redeliver=False)
    order = driver.feed(1)
    for _ in range(1 + JUDGE_DEATHS):
        driver.die({order.ticket: range(1)})
        driver.ready()
    assert [each.verb for each in driver.heard if isinstance(each, Dispatch)] == [Verb.ITEMS, *[Verb.JUDGE] * JUDGE_DEATHS, Verb.GIVE_UP]


def test_no_other_item_is_judged_where_a_worker_dies_behind_the_one_that_was():
    """It had told what became of that, and only the end of its ticket was still to come."""
    driver = Driver(redeliver=False)
    order = driver.feed(1)
    driver.die({order.ticket: range(1)})
    driver.ready()
    order = driver.last(Dispatch)
    assert order.verb is Verb.JUDGE
    driver.tell(Done(order.worker, order.ticket, 1, finished=False, counts=Counts(failed=1)))
    driver.die({})
    assert driver.dealt() == [(1, 1, Verb.ITEMS)]


def test_of_several_lanes_only_what_was_begun_is_judged():
    driver = Driver(lanes=3, redeliver=False)
    driver.feed(3)
    dealt = driver.orders()
    driver.die({dealt[1].ticket: range(1, 2)})
    assert driver.dealt() == [(0, 1, Verb.ITEMS), (1, 2, Verb.JUDGE), (2, 3, Verb.ITEMS)]


@pytest.mark.parametrize("in_hand", [range(2, 3), range(1, 3), range(2, 4), range(3, 4)])
def test_an_item_that_has_given_something_is_judged_and_what_is_behind_it_comes_back(in_hand):
    """What it gave is committed, so it is not run again; another that its worker may have been at comes back alone, once."""
    driver = Driver(many=True)
    order = driver.feed()
    given = ((0, Parcel(3, 3, Origins.of([((0, 2, 3),)] * 3), None)),)
    driver.tell(Done(order.worker, order.ticket, 2, given, finished=False, waiting=True, emitted=3, counts=Counts(2)))
    driver.die({order.ticket: in_hand})
    behind = [(3, 10, Verb.ITEMS)] if in_hand.stop == 3 else [(3, 4, Verb.ITEMS), (4, 10, Verb.ITEMS)]
    assert driver.dealt() == [(2, 3, Verb.JUDGE), *behind]


# ------------------------------------------------------------------------------------------------------------------ at start


def test_a_stage_whose_workers_end_by_themselves_fails_the_run_soon():
    driver = Driver()
    for _ in range(START_DEATHS - 1):
        driver.die()
        assert driver.last(StartWorker)
    driver.die()
    assert driver.finished()


def test_workers_that_somebody_kills_while_they_start_are_replaced():
    """One that becomes ready begins the count anew; a stage that is killed without end fails after all."""
    driver = Driver()
    for _ in range(KILLED_STARTS - 1):
        driver.die(killed=True)
    driver.ready()
    assert not driver.finished()
    for _ in range(KILLED_STARTS):
        driver.die(killed=True)
    driver.die(killed=True)
    assert driver.finished()


def test_kills_from_outside_do_not_add_to_the_set_ups_own_deaths():
    driver = Driver()
    for _ in range(START_DEATHS - 1):
        driver.die()
        driver.die(killed=True)
    assert not driver.finished()
    driver.die()
    assert driver.finished()


# ------------------------------------------------------------------------------------------------------------------- a stall


def stall(driver, in_hand):
    driver.now += 4.0
    begun = len(driver.heard)
    driver.tell(Due(in_hand))  # of something else
    assert not any(isinstance(command, Warn) for command in driver.heard[begun:])
    driver.now += 2.0
    assert driver.scheduler.stalls(driver.now)
    driver.tell(Due(in_hand))
    return driver.last(Warn).text


def test_a_stall_names_the_item_in_hand():
    driver = Driver()
    order = driver.feed()
    assert "stage 1 'stage', worker 0 (pid 4711) holds item 6, 0 wait before it" in stall(driver, {order.ticket: range(6, 7)})


def test_a_stall_tells_how_long_though_it_is_less_than_a_second():
    """A limit of half a second is told with what passed, not with ``0 s``."""
    driver = Driver(stall_timeout=0.25)
    order = driver.feed()
    driver.now += 0.3
    driver.tell(Due({order.ticket: range(5, 6)}))
    assert "nothing has moved for 300 ms (stall_timeout=0.25), the run goes on: " in driver.last(Warn).text


def test_a_stall_is_told_of_once_until_something_moves():
    """Then the next one is told of, too."""
    driver = Driver()
    order = driver.feed()
    stall(driver, None)
    driver.now += 6.0
    assert not driver.scheduler.stalls(driver.now)
    driver.tell(Done(order.worker, order.ticket, 5, finished=False))
    driver.heard.clear()
    assert "holds 5 items from item 5 on" in stall(driver, None)


def test_a_stall_behind_the_last_item_names_none():
    """What its worker was seen at was told of meanwhile; only the end of the ticket is still to come."""
    driver = Driver()
    order = driver.feed()
    driver.tell(Done(order.worker, order.ticket, ITEMS, finished=False))
    assert "holds the end of its stream" in stall(driver, {order.ticket: range(ITEMS - 1, ITEMS)})


def test_a_stall_in_a_slice_says_so():
    driver = Driver()
    order = driver.feed()
    assert "holds one of 3 items from item 4 on" in stall(driver, {order.ticket: range(4, 7)})


def test_a_stall_of_several_lanes_names_only_what_was_begun():
    driver = Driver(lanes=3)
    driver.scheduler.state.nodes[1].size = 1
    driver.feed(3)
    dealt = driver.orders()
    assert "holds item 0 and item 2, " in stall(driver, {dealt[at].ticket: range(at, at + 1) for at in (0, 2)})


def test_a_stall_where_nobody_knows_names_the_whole_ticket():
    driver = Driver()
    driver.feed()
    assert "holds 10 items from item 0 on" in stall(driver, None)
    driver.tell(Stop())


def test_what_a_worker_did_of_a_cancelled_ticket_counts_as_served():
    """Its day is over by it: what a dead worker's ticket gives back goes to a fresh one."""
    driver = Driver(workers=3, max_items=1)
    driver.scheduler.state.nodes[1].size = 1
    driver.all_ready()
    driver.give(0, 3)
    elder, culprit, younger = driver.orders()
    driver.tell(Done(culprit.worker, culprit.ticket, culprit.lo, note=NOTE, counts=Counts(failed=1)))
    driver.tell(Done(younger.worker, younger.ticket, younger.hi, counts=Counts(1)))
    driver.heard.clear()
    driver.tell(WorkerDied(elder.worker, NOTE))
    assert not any(isinstance(command, Dispatch) for command in driver.heard)
    driver.ready()
    assert driver.last(Dispatch).worker == driver.last(StartWorker).worker


def test_of_what_comes_back_a_worker_is_given_no_more_than_it_may_serve():
    """The rest of it, and no other item, is another's."""
    driver = Driver(workers=2, max_items=4)
    driver.all_ready()
    driver.give(0, 2)
    for order in driver.orders():
        driver.tell(Done(order.worker, order.ticket, order.hi, counts=Counts(1), busy=0.05))
    driver.scheduler.state.nodes[1].size = 3
    driver.give(2, 40)
    elder, younger = driver.orders()[2:]
    driver.tell(WorkerDied(elder.worker, NOTE, {}))
    driver.tell(Done(younger.worker, younger.ticket, younger.lo + 2, counts=Counts(2), busy=0.1))
    order = driver.orders()[-1]
    assert (order.worker, order.lo, order.hi) == (younger.worker, elder.lo, elder.lo + 1)
    assert ranges(driver.dealt())[:2] == [(elder.lo + 1, elder.hi), (younger.lo + 2, younger.hi)]


def test_what_comes_back_of_a_surplus_worker_has_a_lane_though_the_others_wait_for_it():
    """The elder of two explodes died with a worker too many; the younger waits for room that the elder's outputs must have first."""
    driver = Driver(workers=2, many=True)
    first, second = [command.worker for command in driver.heard if isinstance(command, StartWorker)]
    for at, worker in enumerate((second, first)):
        driver.tell(WorkerReady(worker, 4711))
        driver.give(at, 1)
    elder, younger = driver.orders()
    driver.tell(Scale(1, 1))
    given = ((0, Parcel(3, 3, Origins.of([((0, 1, 2),)] * 3), None)),)
    driver.tell(Done(younger.worker, younger.ticket, younger.lo, given, finished=False, waiting=True, emitted=3))
    driver.heard.clear()
    driver.tell(WorkerDied(elder.worker, NOTE, {}))
    assert driver.last(StartWorker)
    assert driver.dealt() == [(elder.lo, elder.hi, Verb.ITEMS)]
