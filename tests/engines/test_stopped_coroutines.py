"""Coroutines that are in hand when nobody wants them any more: they are cancelled and may clean up, and their instance is closed."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from olympipe_ng import Pipeline
from tests.engines.kinds import each_engine, in_threads

LET_GO = threading.Event()


class Session:
    """Gives its first item when the second is in hand; what becomes of that it writes into a folder."""

    def __init__(self, folder, method):
        self.folder = folder
        self.other = asyncio.Event()
        self.method = method

    async def ask(self, x):
        if not x:
            await self.other.wait()
            return x
        self.other.set()
        return await getattr(self, self.method)()

    async def hang(self):
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            self.write("cleaned up")

    async def take_a_moment(self):
        await asyncio.sleep(0.05)
        self.write("through")

    async def go_on(self):
        """Take no notice of being cancelled."""
        while not LET_GO.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    async def close(self):
        await asyncio.sleep(0)
        self.write("closed")

    def write(self, word):
        (self.folder / word).touch()


def stop_in_the_middle(where, folder, method, **options):
    """Stop a run while a coroutine is in hand; return what was written."""
    asked = Pipeline(range(2), **where).class_task(Session, Session.ask, [folder, method], Session.close, **options)
    with asked.start() as run:
        assert next(iter(run)) == 0
    return {path.name for path in folder.iterdir()}


@in_threads
@pytest.mark.parametrize("limit", [None, 60.0])
def test_a_coroutine_that_a_stop_finds_in_hand_may_clean_up(where, limit, tmp_path):
    """It is cancelled, its instance is closed behind it, and nothing is left behind."""
    assert stop_in_the_middle(where, tmp_path, "hang", timeout=limit) == {"cleaned up", "closed"}


@each_engine
def test_what_the_clean_up_behind_a_time_out_raises_is_nobodys_affair(where, caplog):
    """The item was late, and that is its failure; asyncio has nothing to tell of an exception that nobody asked for."""

    async def fail_late(x):
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("in the clean-up")

    results = Pipeline(range(2), **where).task(fail_late, timeout=0.05, on_error="collect").wait_for_result()
    gc.collect()
    assert [text.endswith("took longer than timeout=0.05 s") for text in results.errors] == [True, True]
    assert not [record for record in caplog.records if record.name == "asyncio"]


@in_threads
def test_a_coroutine_that_a_stop_finds_in_hand_has_a_moment(where, tmp_path):
    """What would end by itself is not cut."""
    assert stop_in_the_middle(where, tmp_path, "take_a_moment") == {"through", "closed"}


@in_threads
def test_what_a_stop_cancels_is_no_failure(where, tmp_path):
    """Nobody hears of it, and it is not tried again."""

    def hear(item, error):
        (tmp_path / "failed").touch()

    assert "failed" not in stop_in_the_middle(where, tmp_path, "hang", on_error=hear, retries=3, retry_on=BaseException)


@in_threads
@pytest.mark.no_leak_check  # a thread that goes on is left behind
@pytest.mark.parametrize("limit", [None, 60.0])
def test_a_coroutine_that_takes_no_notice_does_not_hold_up_the_stop(where, limit, tmp_path):
    """It is killed, or left behind, when its time is over."""
    LET_GO.clear()
    began = time.monotonic()
    try:
        assert stop_in_the_middle(where, tmp_path, "go_on", timeout=limit) == set()
        assert time.monotonic() - began < 15
    finally:
        LET_GO.set()


@in_threads
def test_coroutines_that_a_limit_made_needless_may_clean_up(where, tmp_path):
    """They are not waited for until they end."""
    asked = Pipeline(range(2), **where).class_task(Session, Session.ask, [tmp_path, "hang"], Session.close)
    assert asked.limit(1).wait_for_result() == [0]
    assert {path.name for path in tmp_path.iterdir()} == {"cleaned up", "closed"}
