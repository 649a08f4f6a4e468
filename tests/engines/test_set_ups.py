"""Set-up is not late: what waits for items lets the time not count in which a stage before it is being set up."""

from __future__ import annotations

import threading
import time

import pytest

from olympipe_ng import Pipeline
from tests.engines.kinds import each_engine, in_threads

SECONDS = 0.3


def load():
    """Take longer than the stream may be silent."""
    time.sleep(2 * SECONDS)


@each_engine
def test_a_stream_is_not_cut_while_a_stage_before_is_being_set_up(where):
    """The model takes longer to load than an item may: its results come."""
    loaded = Pipeline(range(5), **where).filter(lambda x: x % 2, initializer=load).skip(1)
    assert loaded.timeout(SECONDS, error=True).wait_for_result() == [3]


@in_threads
def test_a_stream_is_not_cut_while_a_worker_takes_anothers_place(where):
    """Nor by its one worker being recycled."""
    loaded = Pipeline(range(4), **where).task(abs, initializer=load, max_items_per_worker=2)
    assert loaded.timeout(SECONDS, error=True).wait_for_result() == [0, 1, 2, 3]


@in_threads
@pytest.mark.parametrize("silence", [SECONDS, 4 * SECONDS], ids=["shorter", "longer"])
def test_a_stream_that_never_begins_is_cut_that_long_after_the_set_up(where, silence, caplog):
    """A camera without a first frame ends the run, whether it may be silent for longer than the set-up takes or not."""
    release = threading.Event()

    def camera():
        release.wait(60)
        yield 1

    began = time.time()
    try:
        with Pipeline(camera, **where).task(abs, initializer=load).timeout(silence).start() as run:
            assert next(iter(run), None) is None
            release.set()
    finally:
        release.set()
    [cut] = [record.created - began for record in caplog.records if "cut after 0 items" in record.message]
    assert 2 * SECONDS + silence - 0.05 < cut < 2 * SECONDS + silence + 10
