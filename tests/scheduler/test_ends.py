"""How a stream ends: what was due before an error comes before it, and nothing else is waited for."""

from __future__ import annotations

import pytest

from olympipe_ng.origins import Origins
from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler.messages import (
    Counts,
    Deliver,
    Dispatch,
    Done,
    Parcel,
    SinkEnd,
    SourceEnd,
    SourceFrame,
    StartWorker,
    StreamState,
    Took,
    Verb,
    WorkerReady,
)
from olympipe_ng.scheduler.scheduler import Scheduler
from olympipe_ng.scheduler.statistics import take_statistics
from tests.scheduler.commands import only

NODES = (
    NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)),
    NodePlan(1, "batch", Role.STAGE, inputs=(0,), outlets=((1,),), hub=True, stream=True, many=True),
    NodePlan(2, "sink", Role.SINK, inputs=(1,)),
)
EDGES = (EdgePlan(0, 0, 0, 1, 0), EdgePlan(1, 1, 0, 2, 0, queue_size=1))
BATCH = ((0, Parcel(1, 9, Origins.range(0, 0, 1), None)),)


def batching(deadline, outputs=()):
    """Return a scheduler whose batch has taken the first item, has given so much, and waits until then."""
    scheduler = Scheduler(Plan(NODES, EDGES))
    (worker,) = only(StartWorker, scheduler.start(0.0))
    scheduler.handle(WorkerReady(worker.worker, 4711, StreamState((0,), False, None)), 0.0)
    (order,) = only(Dispatch, scheduler.handle(SourceFrame(0, BATCH[0][1]), 0.0))
    scheduler.handle(Done(worker.worker, order.ticket, 1, outputs, counts=Counts(1), state=StreamState((0,), False, deadline)), 0.0)
    return scheduler


def test_an_error_does_not_wait_for_what_a_batch_would_give_in_its_time():
    """``batch(within=60)``: its source fails after a second, and a second is what it takes."""
    commands = batching(60.0).handle(SourceEnd(0, 1, "broken"), 1.0)
    assert [command.note for command in only(SinkEnd, commands)] == ["broken"]


def test_what_is_due_and_has_no_room_comes_before_the_error():
    """A slow reader gets the batch that was late only for that."""
    scheduler = batching(0.5, BATCH)
    assert not only(SinkEnd, scheduler.handle(SourceEnd(0, 1, "broken"), 1.0))
    (order,) = only(Dispatch, scheduler.handle(Took(2, 1), 2.0))
    assert order.verb is Verb.TICK
    commands = scheduler.handle(Done(order.worker, order.ticket, 0, BATCH, state=StreamState((0,), False, None)), 2.0)
    assert [type(command) for command in commands if isinstance(command, (Deliver, SinkEnd))] == [Deliver, SinkEnd]


def test_what_a_source_was_asked_for_and_will_not_give_is_not_waited_for():
    """Nor shown as bytes that wait."""
    scheduler = batching(60.0)
    assert scheduler.state.sources[0].asked > 1
    scheduler.handle(SourceEnd(0, 1), 1.0)
    assert [node.waiting_bytes for node in take_statistics(scheduler.state)] == [0, 0, 0]


@pytest.mark.parametrize("of_one", [True, False])
def test_an_error_before_a_zip_waits_for_another_arm_only_where_that_tells_as_much(of_one):
    """Of one source, the other arm comes to that item, or ends before it; another source may be silent for ever."""
    nodes = (
        NodePlan(0, "numbers", Role.SOURCE, outlets=((0, 1),) if of_one else ((0,),)),
        NodePlan(1, "others", Role.SOURCE, outlets=((),) if of_one else ((1,),)),
        NodePlan(2, "fails", Role.STAGE, inputs=(0,), outlets=((2,),)),
        NodePlan(3, "slow", Role.STAGE, inputs=(1,), outlets=((3,),)),
        NodePlan(4, "zip", Role.STAGE, inputs=(2, 3), outlets=((4,),), hub=True, stream=True, many=True, abreast=True),
        NodePlan(5, "sink", Role.SINK, inputs=(4,)),
    )
    ends = ((0, 2, 0), (0 if of_one else 1, 3, 0), (2, 4, 0), (3, 4, 1), (4, 5, 0))
    scheduler = Scheduler(Plan(nodes, tuple(EdgePlan(k, before, 0, behind, port) for k, (before, behind, port) in enumerate(ends))))
    fails, slow, zips = only(StartWorker, scheduler.start(0.0))
    scheduler.handle(WorkerReady(zips.worker, 4711, StreamState((0, 1), False, None)), 0.0)
    for command in (fails, slow):
        scheduler.handle(WorkerReady(command.worker, 4712), 0.0)
    orders = {order.worker: order for order in only(Dispatch, scheduler.handle(SourceFrame(0, BATCH[0][1]), 0.0))}
    failed = Done(fails.worker, orders[fails.worker].ticket, 0, note="broken", counts=Counts(failed=1))
    commands = scheduler.handle(failed, 0.0)
    assert bool(only(SinkEnd, commands)) is not of_one
    assert (slow.worker in orders) is of_one
