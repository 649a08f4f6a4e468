"""What the scheduler says first, and at once: who has nothing to do hears of its work before the rest is decided."""

from __future__ import annotations

from olympipe_ng.origins import Origins
from olympipe_ng.plan import MAX_STAGES, EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler.messages import Counts, Dispatch, Done, Parcel, Pull, Release, SourceFrame, StartWorker, Took, WorkerReady
from olympipe_ng.scheduler.scheduler import Scheduler
from tests.scheduler.commands import only


def parcel(at):
    return Parcel(1, 9, Origins.range(0, at, 1), None)


def at_work(nodes, edges):
    """Return a scheduler whose workers are ready, and what it says when the source has given its first item."""
    scheduler = Scheduler(Plan(nodes, edges))
    for command in scheduler.start(0.0):
        if isinstance(command, StartWorker):
            scheduler.handle(WorkerReady(command.worker, 4711), 0.0)
    return scheduler, scheduler.handle(SourceFrame(0, parcel(0)), 0.0)


def two_stages_at_work():
    """Return a scheduler of two stages, and the order that the first has in hand; the second has nothing to do."""
    nodes = (
        NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)),
        NodePlan(1, "first", Role.STAGE, inputs=(0,), outlets=((1,),)),
        NodePlan(2, "second", Role.STAGE, inputs=(1,), outlets=((2,),)),
        NodePlan(3, "sink", Role.SINK, inputs=(2,)),
    )
    scheduler, commands = at_work(nodes, tuple(EdgePlan(k, k, 0, k + 1, 0) for k in range(3)))
    (order,) = [command for command in commands if isinstance(command, Dispatch)]
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


def test_an_item_that_is_begun_makes_room_for_the_next():
    """The source makes the third while the stage has the second in hand, not after it: here when the reader has taken the first."""
    nodes = (
        NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)),
        NodePlan(1, "stage", Role.STAGE, inputs=(0,), outlets=((1,),)),
        NodePlan(2, "sink", Role.SINK, inputs=(1,)),
    )
    scheduler, commands = at_work(nodes, (EdgePlan(0, 0, 0, 1, 0, queue_size=1), EdgePlan(1, 1, 0, 2, 0, queue_size=1)))
    (order,) = [command for command in commands if isinstance(command, Dispatch)]
    scheduler.handle(SourceFrame(0, parcel(1)), 0.0)
    scheduler.handle(Done(order.worker, order.ticket, 1, ((0, parcel(0)),), counts=Counts(1), busy=0.001), 0.0)
    second, pull = [command for command in scheduler.handle(Took(2, 1), 0.0) if isinstance(command, (Dispatch, Pull))]
    assert (type(second), pull.upto) == (Dispatch, 3)


def test_a_source_hears_of_each_branch_that_has_nothing_to_do():
    """It ships what it holds, though another branch has something in hand."""
    nodes = (
        NodePlan(0, "numbers", Role.SOURCE, outlets=((0, 1),)),
        NodePlan(1, "busy", Role.STAGE, inputs=(0,), outlets=((2,),)),
        NodePlan(2, "idle", Role.STAGE, inputs=(1,), outlets=((3,),)),
        NodePlan(3, "sink", Role.SINK, inputs=(2,)),
        NodePlan(4, "sink", Role.SINK, inputs=(3,)),
    )
    ends = ((0, 1), (0, 2), (1, 3), (2, 4))
    scheduler, commands = at_work(nodes, tuple(EdgePlan(k, before, 0, behind, 0) for k, (before, behind) in enumerate(ends)))
    assert not commands[-1].hungry
    order = next(command for command in commands if isinstance(command, Dispatch) and command.worker == 2)
    (pull,) = [
        command
        for command in scheduler.handle(Done(order.worker, order.ticket, 1, ((0, parcel(0)),), counts=Counts(1), busy=0.001), 0.0)
        if isinstance(command, Pull)
    ]
    assert pull.hungry


def test_hunger_is_passed_on_through_as_many_stages_as_there_may_be():
    """What costs nothing hands on its consumer's hunger; a source behind a thousand of them hears of it."""
    through = [NodePlan(k, "skip", Role.STAGE, inputs=(k - 1,), outlets=((k,),), hub=True) for k in range(1, MAX_STAGES)]
    ends = NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)), NodePlan(MAX_STAGES, "sink", Role.SINK, inputs=(MAX_STAGES - 1,))
    scheduler = Scheduler(Plan((ends[0], *through, ends[1]), tuple(EdgePlan(k, k, 0, k + 1, 0) for k in range(MAX_STAGES))))
    (pull,) = only(Pull, scheduler.start(0.0))
    assert pull.hungry
