"""The end of a ``repeat`` reaches the run of its epoch from any thread, and the thread that says it waits for nothing."""

from __future__ import annotations

import asyncio
import threading

import pytest

from olympipe_ng import Pipeline
from olympipe_ng.sources import open_source

TIMEOUT = 20


class SlowToClose:
    """Is closed as soon as it is let go."""

    let_go, closed = threading.Event(), threading.Event()

    def work(self, x):
        return x

    def close(self):
        self.let_go.wait(TIMEOUT)
        self.closed.set()


def open_repeated(pipeline):
    return open_source(pipeline.repeat().outlet.node.stage)


def say(what):
    """Call it on a thread of its own; say whether it returned, without that anybody did anything for it."""
    saying = threading.Thread(target=what, daemon=True)
    saying.start()
    saying.join(TIMEOUT / 4)
    return not saying.is_alive()


def test_who_interrupts_an_epoch_does_not_wait_for_its_close_methods():
    """The thread that says it serves all stages of the run around it; the one that reads the epoch waits for its end."""
    reader = open_repeated(Pipeline([1, 2], engine="thread").class_task(SlowToClose, SlowToClose.work, None, SlowToClose.close))
    try:
        assert reader.take(1) == (1,)
        assert say(reader.interrupt)
    finally:
        SlowToClose.let_go.set()
    reader.close()
    assert SlowToClose.closed.is_set()


class Nothing:
    """An async source that waits for ever for its first item."""

    def __init__(self):
        self.waiting, self.closed = threading.Event(), threading.Event()

    async def __call__(self):
        try:
            self.waiting.set()
            await asyncio.sleep(3600)
            yield 1
        finally:
            self.closed.set()


@pytest.mark.parametrize("how", ["interrupt", "drain"])
def test_an_epoch_that_is_run_inline_ends_where_its_async_source_waits(how):
    """Nobody else carries it on, and so could hear of it: it is told to the source itself."""
    nothing = Nothing()
    source = nothing.__call__
    reader, taken = open_repeated(Pipeline(source, engine="thread").batch(2)), []
    reading = threading.Thread(target=lambda: taken.append(reader.take(1)), daemon=True)
    reading.start()
    assert nothing.waiting.wait(TIMEOUT)
    assert say(getattr(reader, how))
    reading.join(TIMEOUT)
    assert (taken, nothing.closed.is_set()) == ([()], True)
    reader.close()
