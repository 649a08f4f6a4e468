"""What counts as an item's time, and as a set-up's."""

from __future__ import annotations

from olympipe_ng.origins import Origins
from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler.messages import (
    Counts,
    Dispatch,
    Done,
    Due,
    Grant,
    KillWorker,
    Parcel,
    SourceFrame,
    StartWorker,
    Took,
    WorkerReady,
)
from olympipe_ng.scheduler.scheduler import Scheduler
from tests.scheduler.commands import only

NODES = (
    NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)),
    NodePlan(1, "explode", Role.STAGE, inputs=(0,), outlets=((1,),), many=True, timeout=0.5),
    NodePlan(2, "sink", Role.SINK, inputs=(1,)),
)
EDGES = (EdgePlan(0, 0, 0, 1, 0, 1), EdgePlan(1, 1, 0, 2, 0, 1))


def at_an_item():
    """Return a scheduler, its worker, and what that was given at 0.0."""
    scheduler = Scheduler(Plan(NODES, EDGES))
    (worker,) = only(StartWorker, scheduler.start(0.0))
    commands = scheduler.handle(WorkerReady(worker.worker, 4711), 0.0)
    commands += scheduler.handle(SourceFrame(0, Parcel(1, 9, Origins.range(0, 0, 1), None)), 0.0)
    (dispatch,) = only(Dispatch, commands)
    return scheduler, worker, dispatch


def test_waiting_for_room_is_none_of_an_items_time():
    """An item that waits for a slow reader has all its time again when there is room."""
    scheduler, worker, dispatch = at_an_item()
    first = ((0, Parcel(1, 9, Origins.range(0, 0, 1), None)),)
    scheduler.handle(
        Done(worker.worker, dispatch.ticket, 0, first, finished=False, waiting=True, emitted=1, counts=Counts()), 0.1
    )
    (granted,) = only(Grant, scheduler.handle(Took(2, 1), 9.0))
    assert granted.ticket == dispatch.ticket
    assert not only(KillWorker, scheduler.handle(Took(2, 0), 9.4))
    assert only(KillWorker, scheduler.handle(Took(2, 0), 9.6))


def test_what_was_through_in_time_and_is_heard_of_late_behind_something_else_was_in_time():
    """The scheduler has not come to listen for a while; then it hears all at once."""
    scheduler, worker, dispatch = at_an_item()
    done = Done(worker.worker, dispatch.ticket, 1, counts=Counts(1))
    assert not only(KillWorker, scheduler.handle_all([Took(2, 0), done], 9.0))


def test_a_worker_that_is_ready_and_is_heard_of_late_behind_something_else_was_set_up_in_time():
    """Else a busy moment of ours would end a run in which nothing was late."""
    stage = NODES[1]._replace(many=False, setup_timeout=0.5)
    scheduler = Scheduler(Plan((NODES[0], stage, NODES[2]), EDGES))
    (worker,) = only(StartWorker, scheduler.start(0.0))
    together = [SourceFrame(0, Parcel(1, 9, Origins.range(0, 0, 1), None)), WorkerReady(worker.worker, 4711)]
    commands = list(scheduler.handle_all(together, 9.0))
    assert only(Dispatch, commands)
    assert not only(KillWorker, commands)


def test_only_a_set_up_that_is_late_is_ended():
    """Its time counts from its worker's start; a worker that is ready has all the time there is."""
    nodes = (
        NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)),
        NodePlan(1, "stage", Role.STAGE, inputs=(0,), outlets=((1,),), workers=2, setup_timeout=3.0),
        NodePlan(2, "sink", Role.SINK, inputs=(1,)),
    )
    scheduler = Scheduler(Plan(nodes, EDGES))
    quick, slow = only(StartWorker, scheduler.start(0.0))
    assert scheduler.deadline == 3.0
    assert not only(KillWorker, scheduler.handle(WorkerReady(quick.worker, 4711), 2.9))
    assert [command.worker for command in only(KillWorker, scheduler.handle(Due(), 3.0))] == [slow.worker]
