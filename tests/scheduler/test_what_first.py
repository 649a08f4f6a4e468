"""What the scheduler says first: who has nothing to do hears of its work before the rest is decided."""

from __future__ import annotations

from olympipe_ng.origins import Origins
from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler.messages import Counts, Dispatch, Done, Parcel, Pull, Release, SourceFrame, StartWorker, WorkerReady
from olympipe_ng.scheduler.scheduler import Scheduler


def parcel(at):
    return Parcel(1, 9, Origins.range(0, at, 1), None)


def two_stages_at_work():
    """Return a scheduler of two stages, and the order that the first has in hand; the second has nothing to do."""
    nodes = (
        NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)),
        NodePlan(1, "first", Role.STAGE, inputs=(0,), outlets=((1,),)),
        NodePlan(2, "second", Role.STAGE, inputs=(1,), outlets=((2,),)),
        NodePlan(3, "sink", Role.SINK, inputs=(2,)),
    )
    scheduler = Scheduler(Plan(nodes, tuple(EdgePlan(k, k, 0, k + 1, 0) for k in range(3))))
    for command in scheduler.start(0.0):
        if isinstance(command, StartWorker):
            scheduler.handle(WorkerReady(command.worker, 4711), 0.0)
    (order,) = [command for command in scheduler.handle(SourceFrame(0, parcel(0)), 0.0) if isinstance(command, Dispatch)]
    return scheduler, order


def test_the_next_stage_hears_of_an_item_before_the_source_is_asked_for_more():
    scheduler, order = two_stages_at_work()
    done = Done(order.worker, order.ticket, 1, ((0, parcel(0)),), counts=Counts(1), busy=0.001)
    kinds = [type(command) for command in scheduler.handle(done, 0.0)]
    assert kinds == [Release, Dispatch, Pull]


def test_a_command_can_be_carried_out_before_the_next_is_decided():
    scheduler, order = two_stages_at_work()
    done = Done(order.worker, order.ticket, 1, ((0, parcel(0)),), counts=Counts(1), busy=0.001)
    commands = iter(scheduler.handle_all([done], 0.0))
    while not isinstance(next(commands), Dispatch):
        pass
    asked = scheduler.state.sources[0].asked
    assert [type(command) for command in commands] == [Pull]
    assert scheduler.state.sources[0].asked > asked
