"""``Run``: what can be done with a run while it goes on, and what is known of it afterwards."""

from __future__ import annotations

import itertools
import logging
import threading

import numpy as np
import pytest

from olympipe_ng import GraphError, Pipeline, PipelineError, StageError
from olympipe_ng.sinks import Sink, Sinks
from tests.engines.kinds import each_engine, everywhere, in_threads

TIMEOUT = 20


class Counting:
    """An endless source that knows how far it came, and can be waited for."""

    def __init__(self):
        self.drawn = 0
        self.closed = threading.Event()
        self.changed = threading.Condition()

    def __call__(self):
        try:
            for number in itertools.count():
                with self.changed:
                    self.drawn = number + 1
                    self.changed.notify_all()
                yield number
        finally:
            self.closed.set()


class Listener:
    """An engine that is told what was taken, while another thread takes more and tells it, too."""

    def __init__(self, sinks, sink):
        self.sinks, self.sink = sinks, sink
        self.told = []

    def send(self, event):
        self.told.append(event.count)
        if len(self.told) == 1:
            self.meanwhile()

    def meanwhile(self):
        self.sink.taken += 2
        other = threading.Thread(target=self.sinks._tell_taken, args=(self.sink,))
        other.start()
        other.join()


def test_what_was_taken_is_told_once_though_two_threads_tell_it():
    """Told twice, memory would be used again that is still read; told never, the run would wait for room for ever."""
    sinks, sink = Sinks(), Sink(1)
    sinks.telling = threading.RLock()
    sinks.engine = Listener(sinks, sink)
    sink.taken = 5
    sinks._tell_taken(sink)
    sinks._tell_taken(sink)
    assert sinks.engine.told == [5, 2]


@everywhere
def test_a_run_is_iterated_in_order(where):
    """Iterating a run gives its results; after the last one the report is complete."""
    with Pipeline(range(50), **where).task(lambda x: x + 1).start() as run:
        assert list(run) == list(range(1, 51))
        report = run.wait()
    assert report.stages[1].passed == 50
    assert "lambda" in str(report) or "task" in str(report)


@in_threads
def test_stop_drops_what_is_in_flight(where):
    """``stop`` returns when everything is gone, and closes the source; a second one does nothing."""
    source = Counting()
    with Pipeline(source, **where).task(abs).start() as run:
        results = iter(run)
        assert next(results) == 0
        run.stop()
        assert source.closed.is_set()
        run.stop()
        rest = list(results)
    stage = run.report().stages[1]
    assert 1 + len(rest) <= stage.passed <= source.drawn
    assert stage.items_in == stage.passed + stage.cancelled


@everywhere
def test_an_iterator_that_is_held_over_a_stop_is_at_its_end(where):
    """What was delivered and not taken is dropped, too: large results lie in memory that is gone with the run."""
    with Pipeline([None], **where).explode(lambda _: [np.full(1 << 14, 7)] * 40).start() as run:
        results = iter(run)
        assert next(results)[0] == 7
        run.stop()
        assert list(results) == []


@in_threads
def test_drain_finishes_what_was_drawn(where):
    """``drain`` closes the source; every item that was drawn comes out."""
    source = Counting()
    with Pipeline(source, **where).task(lambda x: -x, count=2).batch(3).explode().start() as run:
        results = iter(run)
        first = [next(results) for _ in range(10)]
        run.drain()
        rest = list(results)
    drawn = run.report().stages[0].items_out
    assert drawn <= source.drawn
    assert first + rest == [-x for x in range(drawn)]


@in_threads
def test_pause_begins_nothing_new_until_resume(where):
    """While paused the source is not read further than it was asked to, though somebody waits for results; after ``resume`` all goes on."""
    source = Counting()
    with Pipeline(source, queue_size=4, **where).task(abs).start() as run:
        results = iter(run)
        taken = [next(results)]
        run.pause()
        consumer = threading.Thread(target=lambda: taken.extend(itertools.islice(results, 102)), daemon=True)
        consumer.start()
        consumer.join(0.2)  # a run that did not heed the pause would be through by now
        assert consumer.is_alive()
        assert run.statistics().stages[0].items_out <= 40
        run.resume()
        consumer.join()
        assert taken == list(range(103))


def test_an_inline_run_that_is_paused_says_who_must_resume_it():
    """Its consumer is the only one who could: waiting would never end."""
    with Pipeline(range(9), engine="inline").task(abs).start() as run:
        results = iter(run)
        next(results)
        run.pause()
        with pytest.raises(PipelineError, match="paused"):
            list(results)


@in_threads
def test_several_results_of_one_run_are_iterated_apart(where):
    """``run.iterate(q)`` gives another pipeline's results; what nobody iterates is thrown away."""
    numbers = Pipeline(range(300), **where)
    even, odd, rest = numbers.filter(lambda x: x % 2 == 0), numbers.filter(lambda x: x % 2), numbers.task(abs)
    with even.start([odd, rest]) as run:
        first, second = run.iterate(even), run.iterate(odd)
        assert list(itertools.islice(zip(first, second, strict=False), 150)) == [(k, k + 1) for k in range(0, 300, 2)]
        with pytest.raises(GraphError, match="start"):
            run.iterate(numbers)
        assert run.wait().stages[0].items_out == 300


@everywhere
def test_wait_sees_a_run_through_and_throws_its_results_away(where):
    """``run.wait()`` returns the report without anybody reading a result."""
    with Pipeline(range(5000), queue_size=16, **where).task(abs).start() as run:
        assert run.wait().stages[1].passed == 5000


@each_engine
def test_an_iterator_that_is_let_go_before_its_first_item_takes_nothing(where):
    """Nobody will take what it was made for: the run does not wait for room there."""
    numbers = Pipeline(range(500), queue_size=4, **where).task(abs)
    with numbers.start([numbers.task(abs)]) as run:
        assert list(itertools.islice(run, 0)) == []
        assert run.wait().stages[1].passed == 500


@everywhere
def test_wait_raises_the_error_of_the_run(where):
    """What ends the run is raised by ``wait``, once."""
    with Pipeline([0], **where).task(lambda x: 1 / x).start() as run:
        with pytest.raises(StageError, match="ZeroDivisionError"):
            run.wait()
        run.wait()


@everywhere
def test_each_iterator_that_an_error_cuts_short_raises_it(where):
    """Whoever writes one branch's results to a file must not take what came for all of it, because another reader was told."""
    numbers = Pipeline(itertools.count, **where)
    failing, others = numbers.task(lambda x: 1 // (x - 20)), numbers.task(abs)
    with failing.start([others]) as run:
        first, second = iter(run), run.iterate(others)
        with pytest.raises(StageError, match="ZeroDivisionError"):
            list(first)
        with pytest.raises(StageError, match="ZeroDivisionError"):
            list(second)
        run.wait()


@everywhere
def test_wait_for_completion_returns_the_report(where):
    """All is run, nothing is kept, and failures that were collected are in the report."""
    report = Pipeline(range(200), on_error="collect", **where).task(lambda x: 1 // (x % 50)).wait_for_completion()
    assert report.failed == 4
    assert len(report.errors) == 4
    assert report.stages[1].passed == 196


@in_threads
def test_statistics_show_a_run_at_work(where):
    """Counts per stage while it goes on, with the workers that are alive."""
    with Pipeline(Counting(), **where).task(abs, count=2).start() as run:
        results = iter(run)
        for _ in range(100):
            next(results)
        source, stage = run.statistics().stages
        assert stage.passed >= 100
        assert source.items_out >= stage.passed
        while [worker.number for worker in run.statistics().stages[1].workers] != [0, 1]:  # the second may be ready later
            next(results)


@everywhere
def test_results_know_their_errors_and_their_report(where, caplog):
    """``.errors`` and ``.report`` of a list of results; the last log line says how many failed."""
    with caplog.at_level(logging.WARNING, logger="olympipe_ng"):
        results = Pipeline([1, 0, 2], on_error="collect", **where).task(lambda x: 2 // x).wait_for_result()
    assert results == [2, 1]
    assert len(results.errors) == results.report.failed == 1
    assert "1 item" in caplog.text
    assert "ZeroDivisionError" in str(results.report)


@each_engine
def test_errors_of_a_run_can_be_read_while_it_goes_on(where):
    """``run.errors`` grows with the run."""
    with Pipeline([0, 1, 2], on_error="collect", **where).task(lambda x: 2 // x).start() as run:
        results = iter(run)
        assert next(results) == 2
        assert len(run.errors) == 1
        assert list(results) == [1]


@everywhere
def test_wait_and_reduce_folds_everything_into_one_value(where):
    """``reducer(item, accumulator)``; the accumulator is the caller's own afterwards."""
    words = []
    folded = Pipeline(["a", "b", "c"], **where).wait_and_reduce(words, lambda item, seen: [*seen, item])
    assert folded == ["a", "b", "c"]
    assert words == []


@each_engine
def test_a_run_that_was_stopped_has_a_balanced_ledger(where):
    """Items that were dropped by a stop count as cancelled."""
    with Pipeline(range(1000), **where).task(abs).task(abs).start() as run:
        next(iter(run))
    for stage in run.report().stages[1:]:
        assert stage.items_in == stage.settled


@in_threads
def test_many_runs_leave_nothing_behind(where):
    """Twenty runs in a row, each left half-way."""
    for _ in range(20):
        for item in Pipeline(itertools.count, **where).task(abs).task(abs):
            if item == 3:
                break
