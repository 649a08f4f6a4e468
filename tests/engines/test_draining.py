"""``run.drain()``: nothing more is drawn, and whatever was drawn comes out, wherever it was when that was said, or nowhere yet."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from olympipe_ng import Pipeline
from olympipe_ng import run as running
from olympipe_ng.engines import feeding
from olympipe_ng.engines.codecs import EncodedCodec
from olympipe_ng.engines.feeding import Feeder, FeederThread
from olympipe_ng.graph import Source
from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler import messages as m
from olympipe_ng.scheduler.scheduler import Scheduler
from olympipe_ng.sources import open_source
from tests.engines.kinds import each_engine, in_threads

TIMEOUT = 20


def source_with_company(monkeypatch, **options):
    """Return the feeder of a source that has drawn three items, the last two of which wait for company, and what it said."""
    monkeypatch.setattr(feeding, "FRAME_AGE", TIMEOUT)
    said = []
    feeder = Feeder(0, 0, Source(lambda: (number for number in itertools.count())), EncodedCodec(**options), said.append, "raise")
    feeder.pull(1, hungry=True)
    feeder.draw()
    feeder.pull(9, hungry=False)
    feeder.draw()
    feeder.draw()
    return feeder, said


def shipped(said):
    return sum(event.parcel.count for event in said if isinstance(event, m.SourceFrame))


@pytest.mark.parametrize("together", [False, True])
def test_a_source_that_is_drained_ships_what_waits_for_company(monkeypatch, together):
    """It draws no more, and what it drew is on its way before it says that it has ended."""
    feeder, said = source_with_company(monkeypatch, together=together)
    feeder.drain()
    feeder.draw()
    assert shipped(said) == 3
    assert said[-1] == m.SourceEnd(0, 3)


@pytest.mark.parametrize("drained", [False, True])
def test_a_source_that_is_stopped_ships_nothing_more(monkeypatch, drained):
    """Also when it was to be drained before: nobody wants what it holds."""
    feeder, said = source_with_company(monkeypatch)
    if drained:
        feeder.drain()
    feeder.interrupt()
    feeder.draw()
    assert shipped(said) == 1
    assert said[-1] == m.SourceEnd(0, 1)


class Numbers:
    """Counts for ever, and can be told to wait until something is so; knows what it gave."""

    def __init__(self, at, until):
        self.at, self.until, self.given = at, until, []
        self.there = threading.Event()

    def __call__(self):
        for number in itertools.count():
            if number == self.at:
                self.there.set()
                assert self.until(TIMEOUT)
            self.given.append(number)
            yield number


@in_threads
def test_what_a_source_yields_as_it_is_drained_comes_out(where, monkeypatch):
    """The source is at its next item when it is to be closed: what it gives then, and what was waiting for company, was drawn."""
    monkeypatch.setattr(feeding, "FRAME_AGE", TIMEOUT)
    told, close = threading.Event(), FeederThread.close
    monkeypatch.setattr(FeederThread, "close", lambda *given, **options: (close(*given, **options), told.set()))
    numbers = Numbers(50, told.wait)
    with Pipeline(numbers, queue_size=100, **where).start() as run:
        assert numbers.there.wait(TIMEOUT)
        run.drain()
        assert list(run) == numbers.given


@each_engine
@pytest.mark.parametrize("build", [lambda p: p.task(abs), lambda p: p.batch(1).explode(), lambda p: p], ids=["run", "inline run", "source"])
def test_what_the_run_behind_a_repeat_drew_comes_out(where, build):
    """The epoch that is on its way is drained as the run around it is, and none is begun after it."""
    numbers = Numbers(-1, bool)
    with build(Pipeline(numbers, **where)).repeat().repeat().task(abs).start() as run:
        results = iter(run)
        first = list(itertools.islice(results, 10))
        run.drain()
        assert first + list(results) == numbers.given


def test_a_source_that_is_drained_is_closed_where_nobody_wants_more():
    """A limit that is satisfied ends what is still to come of a run inside it."""
    nodes = (NodePlan(0, "numbers", Role.SOURCE, outlets=((0,),)), NodePlan(1, "sink", Role.SINK, inputs=(0,)))
    scheduler = Scheduler(Plan(nodes, (EdgePlan(0, 0, 0, 1, 0),)))
    scheduler.start(0.0)
    assert scheduler.handle(m.Drain(), 0.0) == [m.CloseSource(0, drain=True)]
    assert scheduler.handle(m.Drain(), 0.0) == []
    assert m.CloseSource(0) in scheduler.handle(m.Stop(), 0.0)


async def wait_for_ever():
    await asyncio.sleep(3600)
    yield 1


@in_threads
def test_an_async_source_that_is_still_being_opened_is_drained(where, monkeypatch):
    """The function that makes it takes its time, and the order comes before there is anything to interrupt."""
    told, close = threading.Event(), FeederThread.close
    monkeypatch.setattr(FeederThread, "close", lambda *given, **options: (close(*given, **options), told.set()))
    connecting = threading.Event()

    def connect():
        connecting.set()
        assert told.wait(TIMEOUT)
        return wait_for_ever()

    with Pipeline(connect, **where).task(abs).start() as run:
        assert connecting.wait(TIMEOUT)
        run.drain()
        ending = threading.Thread(target=run.wait, daemon=True)
        ending.start()
        ending.join(TIMEOUT)
        assert not ending.is_alive()


@pytest.mark.parametrize("how", ["interrupt", "drain"])
def test_of_a_source_that_is_closed_while_it_is_opened_nothing_is_drawn(how):
    """What was opened is closed, and its first item never asked for."""
    drawn, said = [], []

    def source():
        getattr(feeder, how)()
        return (drawn.append(number) for number in itertools.count())

    feeder = Feeder(0, 0, Source(source), EncodedCodec(), said.append, "raise")
    feeder.pull(1, hungry=True)
    feeder.draw()
    assert (drawn, said) == ([], [m.SourceEnd(0, 0)])


@pytest.mark.parametrize("how", ["interrupt", "drain"])
def test_an_epoch_that_is_closed_while_it_is_opened_gives_nothing(how):
    """Whether it is a source that is opened again or a run that is started."""
    drawn = []

    def numbers():
        getattr(reader, how)()
        return (drawn.append(number) for number in itertools.count())

    reader = open_source(Pipeline(numbers).repeat().outlet.node.stage)
    assert (reader.take(1), drawn) == ((), [])
    reader.close()


def test_a_run_that_is_stopped_while_it_is_started_for_an_epoch_is_stopped(monkeypatch):
    """Nobody waits for its first item."""
    start = running.start_run

    def start_and_interrupt(*given, **options):
        run = start(*given, **options)
        reader.interrupt()
        return run

    monkeypatch.setattr(running, "start_run", start_and_interrupt)
    reader = open_source(Pipeline(itertools.count, engine="thread").task(abs).repeat().outlet.node.stage)
    assert reader.take(1) == ()
    reader.close()
