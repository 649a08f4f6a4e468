"""When time does not count for a stage that waits: while one before it is being set up, at the start or anew, and in a pause."""

from __future__ import annotations

import pytest

from olympipe_ng.failures import Kind, Note
from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler.messages import (
    Dispatch,
    Done,
    Drain,
    Due,
    Pause,
    Resume,
    StartWorker,
    StreamState,
    Verb,
    WorkerDied,
    WorkerReady,
)
from olympipe_ng.scheduler.scheduler import Scheduler

SILENT = 5.0  # seconds without an item until the stage that waits has its tick


class Driver:
    """Two sources, a stage of so many workers behind the first, and one behind both that waits for items."""

    def __init__(self, workers=1):
        nodes = (
            NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)),
            NodePlan(1, "others", Role.SOURCE, outlets=((2,),)),
            NodePlan(2, "loaded", Role.STAGE, inputs=(0,), outlets=((1,),), workers=workers),
            NodePlan(3, "waits", Role.STAGE, inputs=(1, 2), outlets=((3,),), hub=True, stream=True, many=True, excuses_setup=True),
            NodePlan(4, "sink", Role.SINK, inputs=(3,)),
        )
        edges = (EdgePlan(0, 0, 0, 2, 0), EdgePlan(1, 2, 0, 3, 0), EdgePlan(2, 1, 0, 3, 1), EdgePlan(3, 3, 0, 4, 0))
        self.scheduler = Scheduler(Plan(nodes, edges))
        self.verbs = []
        self.begun = []
        self.take(self.scheduler.start(0.0), 0.0)
        self.waits = self.begun.pop()
        self.tell(WorkerReady(self.waits, 4711, StreamState((0, 1), False, SILENT)), 0.0)

    def take(self, commands, now):
        """Settle at once what the stage is to do: it waits for as long again."""
        for command in commands:
            if isinstance(command, StartWorker):
                self.begun.append(command.worker)
            elif isinstance(command, Dispatch):
                self.verbs.append(command.verb)
                state = StreamState((0, 1), False, now + SILENT)
                self.tell(Done(command.worker, command.ticket, 0, finished=True, state=state), now)

    def tell(self, event, now):
        self.take(self.scheduler.handle(event, now), now)

    def told(self, event, now):
        """Return what the stage is told because of an event."""
        self.verbs = []
        self.tell(event, now)
        return self.verbs


def test_no_tick_is_given_while_a_stage_before_is_being_set_up():
    """When it is ready the time begins anew, once; then it counts."""
    driver = Driver()
    assert driver.told(Due(), SILENT + 1) == []
    assert driver.told(WorkerReady(driver.begun[0], 4712), SILENT + 2) == [Verb.BEGIN]
    assert driver.told(Due(), 2 * SILENT + 1) == []
    assert driver.told(Due(), 2 * SILENT + 2) == [Verb.TICK]


def test_the_time_begins_anew_also_where_no_tick_was_due():
    """What was left of it after a set-up might be too short for the first item."""
    driver = Driver()
    assert driver.told(WorkerReady(driver.begun[0], 4712), SILENT - 1) == [Verb.BEGIN]


def test_time_counts_as_soon_as_one_of_the_workers_is_ready():
    """Items may come through it: the others need not be waited for."""
    driver = Driver(workers=2)
    assert driver.told(WorkerReady(driver.begun[1], 4712), 1.0) == [Verb.BEGIN]
    assert driver.told(Due(), 1.0 + SILENT) == [Verb.TICK]
    assert driver.told(WorkerReady(driver.begun[0], 4713), 1.5 + SILENT) == []


def test_no_time_counts_while_another_takes_the_place_of_the_only_worker():
    """Its set-up is as long as the first."""
    driver = Driver()
    driver.tell(WorkerReady(driver.begun[0], 4712), 1.0)
    driver.tell(WorkerDied(driver.begun[0], Note(Kind.DIED)), 2.0)
    assert driver.told(Due(), 1.0 + SILENT) == []
    assert driver.told(WorkerReady(driver.begun[1], 4713), 9.0) == [Verb.BEGIN]
    assert driver.told(Due(), 9.0 + SILENT) == [Verb.TICK]


@pytest.mark.parametrize("over", [Resume, Drain])
def test_the_time_begins_anew_when_a_pause_is_over(over):
    """What came meanwhile waits to be given to it; without a pause nothing begins."""
    driver = Driver()
    driver.tell(WorkerReady(driver.begun[0], 4712), 1.0)
    assert driver.told(Resume(), 2.0) == []
    driver.tell(Pause(), 1.0 + SILENT - 0.01)
    assert driver.told(Due(), 2 * SILENT) == []
    assert driver.told(over(), 9 * SILENT) == [Verb.BEGIN]
    assert driver.told(Due(), 10 * SILENT) == [Verb.TICK]


def test_what_is_ready_by_itself_is_not_waited_for():
    """Stages that go without workers of their own, and sources: a camera that gives nothing is late from the beginning."""
    nodes = (
        NodePlan(0, "camera", Role.SOURCE, outlets=((0,),)),
        NodePlan(1, "skips", Role.STAGE, inputs=(0,), outlets=((1,),), hub=True, stream=True, many=True),
        NodePlan(2, "waits", Role.STAGE, inputs=(1,), outlets=((2,),), hub=True, stream=True, many=True, excuses_setup=True),
        NodePlan(3, "sink", Role.SINK, inputs=(2,)),
    )
    scheduler = Scheduler(Plan(nodes, tuple(EdgePlan(k, k, 0, k + 1, 0) for k in range(3))))
    _, begun = [command.worker for command in scheduler.start(0.0) if isinstance(command, StartWorker)]
    scheduler.handle(WorkerReady(begun, 4711, StreamState((0,), False, SILENT)), 0.0)
    assert [each.verb for each in scheduler.handle(Due(), SILENT) if isinstance(each, Dispatch)] == [Verb.TICK]


def test_no_time_counts_while_a_stage_further_up_is_being_set_up():
    """It is not only the one right before that nothing can come through."""
    nodes = (
        NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)),
        NodePlan(1, "loaded", Role.STAGE, inputs=(0,), outlets=((1,),)),
        NodePlan(2, "skips", Role.STAGE, inputs=(1,), outlets=((2,),), hub=True, stream=True, many=True),
        NodePlan(3, "waits", Role.STAGE, inputs=(2,), outlets=((3,),), hub=True, stream=True, many=True, excuses_setup=True),
        NodePlan(4, "sink", Role.SINK, inputs=(3,)),
    )
    scheduler = Scheduler(Plan(nodes, tuple(EdgePlan(k, k, 0, k + 1, 0) for k in range(4))))
    loaded, _, waits = [command.worker for command in scheduler.start(0.0) if isinstance(command, StartWorker)]
    scheduler.handle(WorkerReady(waits, 4711, StreamState((0,), False, SILENT)), 0.0)
    assert not any(isinstance(each, Dispatch) for each in scheduler.handle(Due(), SILENT))
    assert [each.verb for each in scheduler.handle(WorkerReady(loaded, 4712), 9.0) if isinstance(each, Dispatch)] == [Verb.BEGIN]
