"""The event loops that run what the user gave wait as long as they are told, not up to the next whole millisecond."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time

import pytest

from olympipe_ng import Pipeline
from olympipe_ng.loops import new_loop

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
