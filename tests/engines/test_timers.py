"""The event loops that run the user's code wait as long as they are told, not up to the next whole millisecond; any time may be given."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time

import pytest

from olympipe_ng import Pipeline
from olympipe_ng.loops import new_loop
from tests.engines.kinds import each_engine

linux = pytest.mark.skipif(sys.platform != "linux", reason="epoll")


@pytest.fixture
def loop():
    made = new_loop()
    yield made
    made.close()


@linux
def test_a_short_sleep_does_not_last_a_whole_millisecond(loop):
    """The quickest of many, for the machine may be busy with something else; epoll alone never takes less than 1 ms."""

    async def seconds():
        began = time.perf_counter()
        await asyncio.sleep(0.0002)
        return time.perf_counter() - began

    took = min(loop.run_until_complete(seconds()) for _ in range(50))
    assert 0.0002 <= took < 0.0009


def test_what_can_be_read_wakes_it_before_its_timer(loop):
    """Also one with a descriptor that ``select`` could not wait for: it is epoll that does."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x")
        high = os.dup(ours.fileno())
        with socket.socket(fileno=high) as reader:
            reader.setblocking(False)
            assert loop.run_until_complete(asyncio.wait_for(loop.sock_recv(reader, 1), 60.0)) == b"x"


@linux
def test_where_its_own_descriptor_is_too_high_for_select_it_does_as_asyncio_does():
    """A service may hold thousands of sockets; ``select`` would refuse what lies beyond."""
    held = []
    try:
        while not held or held[-1] < 1024:
            held.append(os.open(os.devnull, os.O_RDONLY))
        made = new_loop()
        assert made.run_until_complete(asyncio.sleep(0.0002, "slept")) == "slept"
        made.close()
    except OSError as error:
        pytest.skip(f"so many descriptors are not allowed here: {error}")
    finally:
        for fd in held:
            os.close(fd)


def test_a_policy_of_the_user_decides_which_loop_it_is():
    """As with uvloop: an ``async def`` runs on the loop that the policy makes, in the worker as well."""

    class Loop(asyncio.SelectorEventLoop):
        pass

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self):
            return Loop()

    async def which(x):
        return type(asyncio.get_running_loop()).__name__

    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Policy())
    try:
        assert Pipeline([1], start_method="fork").task(which).wait_for_result() == ["Loop"]
    finally:
        asyncio.set_event_loop_policy(before)


MONTH = 30 * 86_400.0
LONG = {
    "a time-out of the stream": lambda p, seconds: p.timeout(seconds),
    "a batch": lambda p, seconds: p.batch(3, within=seconds),
    "a window of time": lambda p, seconds: p.temporal_batch(seconds),
    "a bucket": lambda p, seconds: p.bucket(type, 3, within=seconds),
    "a task": lambda p, seconds: p.options(stall_timeout=None).task(abs, timeout=seconds, setup_timeout=seconds),
    "the progress": lambda p, seconds: p.options(progress=seconds).task(abs),
    "a closing": lambda p, seconds: p.options(close_timeout=seconds).class_task(list, list.__contains__, close_method=list.clear),
}
"""Pipelines in which something may take as long as one says."""


@each_engine
@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("seconds", [MONTH, 1e12, float("inf")])
def test_a_time_may_be_as_long_as_one_likes(where, kind, seconds):
    """Also longer than the system can wait at a stretch, or without an end."""
    pipeline = LONG[kind](Pipeline(range(3), **where), seconds)
    assert len(pipeline.wait_for_result()) in (1, 3)
    with pipeline.start() as run:  # which is stopped
        next(iter(run))
