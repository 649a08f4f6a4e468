"""What a worker's functions log and print, at awkward moments and in odd classes: it arrives, and nobody waits for it in vain."""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import pickle
import sys
import threading
import time

import numpy as np
import pytest

from olympipe_ng import Pipeline
from olympipe_ng.engines.process import protocol as p
from olympipe_ng.engines.process.logs import LogDesk, handler_class
from olympipe_ng.engines.process.worker import WorkerProcess
from olympipe_ng.options import RunConfig
from olympipe_ng.plan import make_plan
from olympipe_ng.transport.wire import channel_pair
from olympipe_ng.worker.spec import make_specs
from tests.engines.kinds import in_processes

TIMEOUT = 20


class Interrupted:
    """A lock: as soon as it is taken something else has its turn in the same thread, once."""

    def __init__(self, act):
        self._lock = threading.Lock()
        self._act = act

    def acquire(self, blocking=True):
        return self._lock.acquire(blocking)

    def release(self):
        self._lock.release()

    def __enter__(self):
        assert self._lock.acquire(timeout=1), "this thread waits for itself"
        act, self._act = self._act, None
        if act is not None:
            act()

    def __exit__(self, *_):
        self.release()


def test_what_is_printed_in_the_middle_of_a_message_waits_for_nobody_and_goes_behind_it():
    """The garbage collector runs where it likes, and so do signal handlers; nothing else need be printed for the line to be sent."""
    mine, theirs = channel_pair()
    process = make_process(theirs)
    theirs._lock = Interrupted(lambda: process.say((p.PRINT, 1, "deleted\n")))
    process.say((p.PRINT, 1, "printed\n"))
    assert [header for header, _ in mine.receive_nowait()] == [(p.PRINT, 1, "printed\n"), (p.PRINT, 1, "deleted\n")]
    mine.close()
    theirs.close()


class Cut:
    """A socket: what is sent is out, and then a signal handler of the user's raises."""

    def __init__(self, sock):
        self._sock = sock

    def send(self, data, flags):
        self._sock.send(data, flags)
        raise TimeoutError("an alarm that was left on")


def test_a_worker_whose_message_was_interrupted_sends_no_other():
    """Nobody knows how much of it is out: the user's function may catch the error, and the next message would not be one."""
    mine, theirs = channel_pair()
    pid = os.fork()
    if not pid:
        try:
            process = make_process(theirs)
            theirs._sock = Cut(theirs._sock)
            with contextlib.suppress(TimeoutError):
                process._send((p.WARN, "first"))
        finally:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    mine.close()
    theirs.close()


def make_process(channel):
    plan, nodes = make_plan([Pipeline([1]).task(abs).outlet], RunConfig())
    spec = make_specs(plan, nodes, RunConfig())[1]
    return WorkerProcess(channel, 1, 0, spec, zero_copy=False, together=False, stock=None, kept=0)


def test_a_thread_that_logs_waits_for_none_that_is_about_to_send():
    """Else one that sends, and in the middle of that has the garbage collector log, would wait for one that waits for it."""
    waiting, release = threading.Event(), threading.Event()
    said = []

    def send(header):
        if header[5] == "first":
            waiting.set()
            release.wait(TIMEOUT)
        said.append(header[5])

    handler = handler_class()(send)
    threads = [threading.Thread(target=handler.handle, args=(record(text),), daemon=True) for text in ("first", "second")]
    threads[0].start()
    assert waiting.wait(TIMEOUT)
    threads[1].start()
    threads[1].join(1)
    before = list(said)
    release.set()
    for thread in threads:
        thread.join(TIMEOUT)
    assert before == ["second"]
    assert said == ["second", "first"]


def test_what_is_said_when_no_thread_can_be_begun_is_printed_at_the_end(monkeypatch, capsys):
    """There are too many threads, or the interpreter ends."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    desk = LogDesk()
    assert desk.take((p.PRINT, 1, "first\n"))
    assert desk.take((p.PRINT, 1, "second\n"))
    desk.close()
    assert capsys.readouterr().out == "first\nsecond\n"


def test_what_a_blocked_stream_left_is_not_printed_by_whoever_closes_the_run_once_more(monkeypatch):
    """A run is closed when it ends, and again when it is left: nobody waits for that stream then."""
    release = threading.Event()

    class Blocked:
        def write(self, text):
            release.wait(TIMEOUT)

    monkeypatch.setattr(sys, "stdout", Blocked())
    desk = LogDesk()
    for _ in range(3):
        desk.take((p.PRINT, 1, "a line\n"))
    desk.close()
    began = time.monotonic()
    desk.close()
    assert time.monotonic() - began < 1
    release.set()


def record(text):
    return logging.LogRecord("mine", logging.INFO, "file.py", 1, text, (), None)


class Name(str, enum.Enum):
    MINE = "mine.own"


class Level(enum.IntEnum):
    NOTICE = 25


def log_in_odd_classes(x):
    logging.getLogger(Name.MINE).log(Level.NOTICE, "enumerated")
    logging.getLogger("mine.own").log(np.int64(25).item(), np.str_("of NumPy's"))
    return x


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_record_arrives_though_its_level_and_name_are_members_of_enumerations(caplog, capfd, method):
    """What crosses is a number and a text."""
    caplog.set_level(1)
    Pipeline([1], start_method=method).task(log_in_odd_classes).wait_for_completion()
    found = [(record.name, record.levelno, record.getMessage()) for record in caplog.records if record.name == "mine.own"]
    assert found == [("mine.own", 25, "enumerated"), ("mine.own", 25, "of NumPy's")]
    assert not capfd.readouterr().err


def log_with_extras(x):
    given = {"request": x, "rate": np.float32(0.5), "tags": ["a", Level.NOTICE], "more": {Name.MINE: np.int64(3)}, "thing": Bare()}
    given["endless"] = [given]
    logging.getLogger("mine.own").warning("of a request", extra=given)
    return x


class Bare:
    def __str__(self):
        return "a bare thing"


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_what_a_record_was_given_beside_its_text_arrives(caplog, method):
    """``extra=``, on which formats rely; what is no plain data as its text."""
    Pipeline([7], start_method=method).task(log_with_extras).wait_for_completion()
    (record,) = [record for record in caplog.records if record.name == "mine.own"]
    assert (record.request, record.rate, record.tags, record.more) == (7, 0.5, ["a", 25], {"mine.own": 3})
    assert (record.thing, record.endless) == ("a bare thing", "<list>")
    assert record.process != os.getpid()


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_records_are_of_the_callers_own_kind(caplog, monkeypatch, method):
    """``logging.setLogRecordFactory`` holds for those of workers, too: what it adds may be in the caller's format."""

    class Own(logging.LogRecord):
        host = "this one"

    caplog.set_level(1)
    monkeypatch.setattr(logging, "_logRecordFactory", Own)
    Pipeline([7], start_method=method).task(log_in_odd_classes).wait_for_completion()
    assert [record.host for record in caplog.records if record.name == "mine.own"] == ["this one"] * 2


class Braced(logging.LogRecord):
    """As the cookbook has them: ``{}`` for ``%s``."""

    def __init__(self, name, level, path, line, msg, *rest):
        super().__init__(name, level, path, line, f"[{msg}]", *rest)

    def getMessage(self):
        return self.msg.format(*self.args or ())


def log_with_braces(x):
    logging.getLogger("mine.own").warning("{} of {{it}}", x)
    return x


def test_what_the_callers_own_kind_of_record_makes_of_a_text_is_made_once(caplog, monkeypatch):
    """In the worker; its text may have braces that are no places, or a head that is not wanted twice."""
    monkeypatch.setattr(logging, "_logRecordFactory", Braced)
    Pipeline([7], start_method="fork").task(log_with_braces).wait_for_completion()
    (record,) = [record for record in caplog.records if record.name == "mine.own"]
    assert record.getMessage() == pickle.loads(pickle.dumps(record)).getMessage() == "[7 of {it}]"


@in_processes
def test_an_item_may_hold_the_standard_streams_of_its_worker(where):
    """They are those of whoever has it then, as those of the caller would be: of the next stage's worker, of the caller."""
    streams = Pipeline([0], **where).task(lambda x: {"out": sys.stdout, "err": [sys.stderr]})
    assert streams.task(lambda each: (each["out"] is sys.stdout, each["err"][0] is sys.stderr)).wait_for_result() == [(True, True)]
    (home,) = streams.wait_for_result()
    assert (home["out"] is sys.stdout, home["err"][0] is sys.stderr) == (True, True)
