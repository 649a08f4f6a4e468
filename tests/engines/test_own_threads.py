"""The threads that a run has in the caller's process: none of them ends, or hangs, and leaves the user waiting."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import queue
import signal
import threading
import time
from functools import partial

import pytest

from olympipe_ng import InternalError, Pipeline, PipelineError, StageError, StageTimeout
from olympipe_ng.caller import Caller
from olympipe_ng.engines.codecs import ObjectCodec
from olympipe_ng.engines.feeding import Feeder
from olympipe_ng.engines.lanes import LaneGroup
from olympipe_ng.failures import Kind, Note
from olympipe_ng.graph import Source
from olympipe_ng.readers import Reader
from olympipe_ng.scheduler import messages as m
from tests.engines.kinds import in_threads
from tests.faults.helpers import gone_within

TIMEOUT = 20


def test_a_set_up_that_hangs_is_bounded_though_a_thread_cannot_be_killed():
    """The run fails with ``StageTimeout``: the worker that is told to stop right behind its kill is not there any more."""
    let_go = threading.Event()
    try:
        with pytest.raises(StageTimeout, match=r"stage 1 .*set-up .*setup_timeout=0\.1"):
            hanging = Pipeline(range(3), engine="thread").task(abs, initializer=lambda: let_go.wait(TIMEOUT), setup_timeout=0.1)
            hanging.wait_for_result()
    finally:
        let_go.set()


AFTER_THE_KILL = {
    "dispatch": m.Dispatch(1, 7, m.Verb.ITEMS, 0, None, 0, 1),
    "grant": m.Grant(1, 7, 1),
    "cancel": m.Cancel(1, 7),
    "stop_worker": m.StopWorker(1),
}


@pytest.mark.parametrize("name", AFTER_THE_KILL)
def test_what_is_for_a_thread_that_was_left_behind_is_for_nobody(name):
    """A command that was given together with the kill is passed over: what it was about comes back with the worker's death."""
    with Pipeline(range(3), engine="thread").task(abs).start() as run:
        run.wait()
        engine = run._core.engine
        engine.kill_worker(m.KillWorker(1, Note(Kind.TIMEOUT)))
        getattr(engine, name)(AFTER_THE_KILL[name])


def yields(let_go, x):
    let_go.wait(TIMEOUT)
    return itertools.count(x)


async def yields_on_a_loop(let_go, x):
    return yields(let_go, x)


@pytest.mark.parametrize("stuck", [yields, yields_on_a_loop])
def test_a_thread_that_was_left_behind_ends_when_the_function_returns(stuck):
    """Also where what that returned is endless: nobody will give it room for more."""
    before, let_go = set(threading.enumerate()), threading.Event()
    try:
        late = Pipeline([1], engine="thread").explode(partial(stuck, let_go), timeout=0.1, on_error="collect")
        assert "timeout=0.1 s" in late.wait_for_result().errors[0]
        left = set(threading.enumerate()) - before
    finally:
        let_go.set()
    assert len(left) == 1
    for thread in left:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


class LetGo(Feeder):
    """Lets go of its reader between two looks at it, as the source's thread may."""

    looks = 0

    @property
    def _reader(self):
        self.looks += 1
        return Reader() if self.looks == 1 else None

    @_reader.setter
    def _reader(self, reader):
        """Take no notice."""


def test_a_source_that_is_closing_when_it_is_interrupted_is_left_alone():
    """Its own thread may let go of the reader at any moment: the thread that interrupts does not mind."""
    feeder = LetGo(0, 0, Source([]), ObjectCodec(), [].append, "raise")
    feeder.interrupt()
    assert feeder.closed


class Unwell(logging.Handler):
    """Knows when it was called, and raises."""

    def __init__(self):
        super().__init__()
        self.called = threading.Event()

    def emit(self, record):
        self.called.set()
        raise RuntimeError("the chat is down")


@in_threads
def test_what_a_logging_handler_raises_ends_no_thread_of_a_run(where, capsys, monkeypatch):
    """The program's own handler fails over a warning of the run: that is printed, and the results come."""
    handler = Unwell()
    monkeypatch.setattr(logging.getLogger("olympipe_ng"), "handlers", [handler])

    def source():
        yield 1
        handler.called.wait(TIMEOUT)

    assert Pipeline(source, **where).timeout(0.1).wait_for_result() == [1]
    assert handler.called.is_set()
    assert "RuntimeError: the chat is down" in capsys.readouterr().err


def broken(*args, **options):
    raise ZeroDivisionError("a bug of ours")


@in_threads
@pytest.mark.parametrize(("owner", "method"), [(Feeder, "draw"), (Caller, "deliver"), (Caller, "sink_end")])
def test_a_bug_of_ours_in_any_thread_of_a_run_is_an_error_and_no_hang(where, owner, method, monkeypatch):
    """The source's thread, and those that hear the scheduler, say with an ``InternalError`` what ended them; nothing stays."""
    monkeypatch.setattr(owner, method, broken)
    with pytest.raises(InternalError, match="ZeroDivisionError: a bug of ours"):
        Pipeline(range(3), **where).task(abs).wait_for_result()


@pytest.mark.parametrize(
    ("options", "refused", "error"),
    [
        ({"start_method": "fork"}, "olympipe_ng I/O", RuntimeError),
        ({"start_method": "fork"}, "olympipe_ng source 1", RuntimeError),
        ({"engine": "thread"}, "olympipe_ng scheduler", RuntimeError),
        ({"engine": "thread"}, "olympipe_ng source 1", RuntimeError),
        ({"engine": "thread"}, "abs 1", StageError),
    ],
    ids=str,
)
def test_a_run_whose_threads_cannot_all_be_started_says_so_and_leaves_nothing(options, refused, error, monkeypatch):
    """At the limit of processes: no thread, child or socket of the half that was begun waits for a collector or an end of the program."""
    start = threading.Thread.start

    def start_unless_refused(thread):
        if thread.name == refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_unless_refused)
    begun = Pipeline([1, 2], **options).gather(Pipeline([3, 4], **options)).task(abs, 2)
    before = set(threading.enumerate())
    with pytest.raises(error, match="can't start new thread"):
        begun.wait_for_result()
    assert set(threading.enumerate()) == before


@in_threads
def test_an_iterator_that_is_closed_in_a_thread_of_its_own_run_ends_the_run_without_waiting(where):
    """The garbage collector, which runs in any thread, may close it there: that thread cannot wait for its own end."""
    dropped, closed = queue.SimpleQueue(), threading.Event()

    def source():
        yield 0
        dropped.get(timeout=TIMEOUT).close()
        closed.set()
        yield from itertools.count()

    results = iter(Pipeline(source, **where).task(abs))
    assert next(results) == 0
    dropped.put(results)
    assert closed.wait(TIMEOUT)


@in_threads
def test_of_two_threads_that_stop_a_run_neither_goes_on_before_everything_is_gone(where):
    """One of them closes what there is; what the other finds is closed, too, though the user's ``finally`` takes its time."""
    closed, seen = threading.Event(), []

    def numbers():
        try:
            yield from itertools.count()
        finally:
            time.sleep(0.3)
            closed.set()

    def stop():
        run.stop()
        seen.append(closed.is_set())

    with Pipeline(numbers, **where).task(abs).start() as run:
        results = iter(run)
        next(results)
        other = threading.Thread(target=stop)
        other.start()
        stop()
        other.join(TIMEOUT)
    assert seen == [True, True]


def test_a_stop_in_the_middle_of_a_message_does_not_wait_for_itself():
    """A signal handler may stop the run while the thread that it interrupts holds the lock of the run's socket."""
    with Pipeline(itertools.count, start_method="fork", progress=False).task(abs).start() as run:
        items = iter(run)
        next(items)
        engine = run._core.engine
        write, interrupted, me = engine._channel._write, [], threading.get_ident()

        def handle_and_write(flags):
            if threading.get_ident() == me and not interrupted:
                interrupted.append(True)
                run.pause()
                run.stop()
            write(flags)

        engine._channel._write = handle_and_write
        began = time.monotonic()
        engine.takes_all()
        assert interrupted
        for _ in items:
            continue
        assert time.monotonic() - began < 10


class SlowToPickle:
    """An item that is loaded when it is pickled, from where nobody answers."""

    def __init__(self, asked, answered):
        self.asked, self.answered = asked, answered

    def __reduce__(self):
        self.asked.set()
        self.answered.wait(TIMEOUT)
        return int, ()


@pytest.mark.parametrize("end", ["stop", "drain"])
@in_threads
def test_an_item_that_hangs_when_the_source_hands_it_on_holds_up_nothing_but_its_source(where, end):
    """Results still come, and a stop leaves its thread behind: nobody waits for the pickling of an item but who does it."""
    taken, asked, answered = (threading.Event() for _ in range(3))

    def items():
        yield 7
        assert taken.wait(TIMEOUT)
        yield SlowToPickle(asked, answered)

    try:
        with Pipeline(items, **where).task(abs).start() as run:
            results = iter(run)
            assert next(results) == 7
            taken.set()
            assert asked.wait(TIMEOUT)
            began = time.monotonic()
            getattr(run, end)()
            run.stop()
            assert time.monotonic() - began < TIMEOUT / 2
    finally:
        answered.set()


@pytest.mark.parametrize("way", ["recycled", "left behind"])
def test_workers_in_whose_place_there_are_others_are_let_go_of_while_the_run_goes_on(way):
    """With ``max_items_per_worker``, or a ``timeout``, there may be one for every item of an endless stream."""
    if way == "recycled":
        items = Pipeline(itertools.count(), engine="thread").task(abs, max_items_per_worker=1)
    else:
        items = Pipeline(itertools.cycle([0.02, 0]), engine="thread").task(time.sleep, timeout=0.01, on_error="skip")
    with items.start() as run:
        for _ in itertools.islice(run, 40):
            continue
        gc.collect()
        alive = sum(type(each) is LaneGroup for each in gc.get_objects())
    assert alive < 20


def close(run, results):
    results.close()


def drop(run, results):
    del results
    gc.collect()


def stop(run, results):
    run.stop()


def leave(run, results):
    with run:
        pass


def refused(act):
    def ask(run, results):
        with pytest.raises(PipelineError, match="belongs to the process that began it"):
            act(run, results)

    return ask


FORKED = {
    "closes the iterator": close,
    "drops the iterator": drop,
    "stops": stop,
    "leaves a with": leave,
    "waits": refused(lambda run, results: run.wait()),
    "iterates": refused(lambda run, results: list(results)),
    "iterates anew": refused(lambda run, results: next(iter(run))),
}


@in_threads
@pytest.mark.parametrize("name", FORKED)
def test_a_process_that_the_program_forks_meanwhile_waits_for_nothing_of_the_run(where, name):
    """It has none of the threads that would deliver: there is nothing to end, and whoever asks for items is told whose they are."""
    with Pipeline(itertools.count(), **where).task(abs).start() as run:
        results = iter(run)
        assert next(results) == 0
        pid = os.fork()
        if not pid:
            status = 1
            try:
                FORKED[name](run, results)
                status = 0
            finally:
                os._exit(status)
        late = gone_within([pid], TIMEOUT / 4)
        for each in late:
            os.kill(each, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert not late
        assert status == 0
        assert next(results) == 1
