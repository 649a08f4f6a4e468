"""When an edge may grow beyond its bound: where streams that are joined wait for each other, and not where somebody is only slow."""

from __future__ import annotations

from olympipe_ng.origins import Origins
from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler.messages import (
    Counts,
    Dispatch,
    Done,
    Parcel,
    SinkWaits,
    SourceFrame,
    StartWorker,
    StreamState,
    Took,
    WorkerReady,
)
from olympipe_ng.scheduler.scheduler import Scheduler

ZIP, SLOW, ZIPPED = 1, 2, 3


def parcel(at):
    return Parcel(1, 9, Origins.range(0, at, 1), None)


class BesideAReader:
    """A source, a zip of it with itself, and a reader of it who takes nothing; one item may wait before each."""

    def __init__(self):
        nodes = (
            NodePlan(0, "numbers", Role.SOURCE, outlets=((0, 1, 2),)),
            NodePlan(ZIP, "zip", Role.STAGE, inputs=(0, 1), outlets=((3,),), hub=True, stream=True, many=True, abreast=True),
            NodePlan(SLOW, "slow", Role.SINK, inputs=(2,)),
            NodePlan(ZIPPED, "zipped", Role.SINK, inputs=(3,)),
        )
        ends = ((0, ZIP, 0), (0, ZIP, 1), (0, SLOW, 0), (ZIP, ZIPPED, 0))
        edges = tuple(EdgePlan(k, producer, 0, consumer, port, queue_size=1) for k, (producer, consumer, port) in enumerate(ends))
        self.scheduler = Scheduler(Plan(nodes, edges))
        self.held = set()
        self.given = 0
        self.take(self.scheduler.start(0.0))

    def take(self, commands):
        """Zip at once."""
        for command in commands:
            if isinstance(command, StartWorker):
                self.tell(WorkerReady(command.worker, 4711, StreamState((0, 1), False, None)))
            elif isinstance(command, Dispatch):
                self.tell(self.zipped(command))

    def zipped(self, order):
        self.held.add(order.port)
        outputs = ((0, parcel(order.lo)),) if len(self.held) == 2 else ()
        if outputs:
            self.held.clear()
        ready = tuple(port for port in (0, 1) if port not in self.held)
        return Done(order.worker, order.ticket, order.hi, outputs, counts=Counts(1), state=StreamState(ready, False, None))

    def tell(self, event):
        self.take(self.scheduler.handle(event, 0.0))

    def give(self):
        self.tell(SourceFrame(0, parcel(self.given)))
        self.given += 1

    @property
    def growth(self):
        return [edge.growth for edge in self.scheduler.state.edges]


def test_beside_a_join_a_slow_reader_still_slows_the_source():
    """The zip has nothing because the source waits for a reader, who will go on: nothing grows for that."""
    run = BesideAReader()
    run.give()
    assert run.scheduler.state.sources[0].asked == 1
    assert run.growth == [0, 0, 0, 0]


def test_a_reader_who_waits_for_another_stream_first_is_no_slow_one():
    """Who has taken what there was of the zip, and waits for more of that: what is not read yet grows."""
    run = BesideAReader()
    run.give()
    run.tell(Took(ZIPPED, 1))
    run.tell(SinkWaits(ZIPPED, True))
    assert run.scheduler.state.sources[0].asked > 1
    assert run.growth[SLOW] > 0
    assert run.growth[:2] == [0, 0]


def test_nothing_grows_for_a_reader_who_has_not_yet_told_what_was_taken():
    """Who waits for both streams will tell in a moment, and then there is room."""
    run = BesideAReader()
    run.tell(SinkWaits(SLOW, True))
    run.give()
    run.tell(Took(ZIPPED, 1))
    run.tell(SinkWaits(ZIPPED, True))
    assert run.growth == [0, 0, 0, 0]
