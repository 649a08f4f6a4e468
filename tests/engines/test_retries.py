"""An item that failed is tried again: how often, for what, after which pause, and still in its place."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from olympipe_ng import Pipeline, StageError
from tests.engines.kinds import each_engine, in_threads


class FailsFirst:
    """Fails so often for each item, counted in files (workers share nothing else)."""

    def __init__(self, folder, times, kind=OSError):
        self.folder, self.times, self.kind = folder, times, kind

    def __call__(self, item):
        tries = self.folder / f"{item}"
        tried = int(tries.read_text()) if tries.exists() else 0
        tries.write_text(str(tried + 1))
        if tried < self.times:
            raise self.kind(f"try {tried} of {item}")
        return item, tried


@pytest.mark.parametrize("options", [{}, {"count": 3}, {"threads": 3}, {"ordered": False}])
@each_engine
def test_an_item_is_tried_again_and_keeps_its_place(where, options, tmp_path):
    """``retries=2``: an item that fails twice comes out, in order."""
    results = Pipeline(range(9), **where).task(FailsFirst(tmp_path, 2), retries=2, **options).wait_for_result()
    assert sorted(results) == [(x, 2) for x in range(9)]
    assert options.get("ordered") is False or results == sorted(results)
    assert results.report.stages[1].retried == 18


@each_engine
def test_attempts_are_told_when_they_are_used_up(where, tmp_path):
    """One failure too many: the item fails, with its number of attempts."""
    good, bad = Pipeline(range(3), **where).task(FailsFirst(tmp_path, 3), retries=2, on_error="branch")
    good, failures = Pipeline.wait_for_all_results([good, bad])
    assert good == []
    assert [failure.attempts for failure in failures] == [3, 3, 3]
    with pytest.raises(StageError, match=r"after 2 attempts"):
        Pipeline(["x"], retries=1, **where).task(FailsFirst(tmp_path, 9)).wait_for_result()


@pytest.mark.parametrize("pauses", [{}, {"backoff": 1e-9, "max_backoff": 1e-6}])
@each_engine
def test_an_item_may_be_tried_more_often_than_a_pause_can_be_doubled(where, pauses):
    """``retries=1100``, as who waits for a service gives: no float holds two to that power."""
    good, bad = Pipeline([0], **where).task(lambda x: 1 / x, retries=1100, on_error="branch", **pauses)
    _, [failure] = Pipeline.wait_for_all_results([good, bad])
    assert failure.attempts == 1101


@pytest.mark.parametrize("retry_on", [OSError, (KeyError, OSError), lambda error: "try" in str(error)])
@each_engine
def test_retry_on_says_what_is_worth_another_try(where, retry_on, tmp_path):
    """Types or a predicate choose; what they do not choose fails at once."""
    tried = Pipeline([1], **where).task(FailsFirst(tmp_path, 1), retries=1, retry_on=retry_on).wait_for_result()
    assert tried == [(1, 1)]
    with pytest.raises(StageError, match="try 0 of 2"):
        Pipeline([2], **where).task(FailsFirst(tmp_path, 1), retries=1, retry_on=ZeroDivisionError).wait_for_result()


def slip(error):
    return error.code == 5


async def hang(item):
    await asyncio.sleep(60)


@each_engine
def test_what_took_too_long_is_tried_again_whatever_retry_on_says(where):
    """Which is about what the function raises."""
    late = Pipeline([7], on_error="collect", **where).task(hang, timeout=0.05, retries=1, retry_on=ZeroDivisionError).wait_for_result()
    assert late.report.stages[1].retried == 1
    assert "(after 2 attempts)" in late.errors[0]


async def divide_later(item):
    return 1 // item


@pytest.mark.parametrize("function", [lambda item: 1 // item, divide_later])
@each_engine
def test_a_retry_on_that_fails_is_the_items_failure(where, function):
    """What the predicate raised is the cause, beside what the function raised, and other items are not touched."""
    dividing = Pipeline([1, 0, -1], **where).task(function, retries=1, retry_on=slip)
    with pytest.raises(StageError, match=r"item 1 0: AttributeError: .* has no attribute 'code'$") as caught:
        dividing.wait_for_result()
    assert type(caught.value.__cause__) is AttributeError
    assert "ZeroDivisionError" in caught.value.traceback_text
    assert dividing.options(on_error="skip").wait_for_result() == [1, -1]


@in_threads
def test_a_waiting_retry_holds_no_worker(where, tmp_path):
    """With one worker, later items are run while an earlier one waits for its next attempt; order is kept all the same."""
    def stamped(item):
        if item == 0:
            FailsFirst(tmp_path, 1)(item)
        return item, time.monotonic()

    results = Pipeline(range(5), **where).task(stamped, retries=1, backoff=0.5).wait_for_result()
    assert [item for item, _ in results] == list(range(5))
    assert results[0][1] > max(at for _, at in results[1:])


@in_threads
def test_the_pause_before_a_retry_doubles_up_to_its_bound(where, tmp_path):
    """``backoff * 2**k`` with jitter down to a half, never above ``max_backoff``."""
    times = tmp_path / "times"

    def failing(item):
        with times.open("a") as file:
            file.write(f"{time.monotonic()}\n")
        raise OSError

    with pytest.raises(StageError):
        Pipeline([1], **where).task(failing, retries=3, backoff=0.1, max_backoff=0.2).wait_for_result()
    at = list(map(float, times.read_text().split()))
    pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert len(pauses) == 3
    assert all(pause >= least for pause, least in zip(pauses, (0.05, 0.1, 0.1), strict=True))


class Diary:
    """Keeps what it was asked; refuses each seventh item once."""

    def __init__(self):
        self.asked = []

    def write(self, item):
        self.asked.append(item)
        if item % 7 == 3 and self.asked.count(item) == 1:
            raise ValueError(item)
        return len(self.asked)


@each_engine
def test_an_instance_that_accumulates_sees_an_item_again_before_the_items_behind_it(where):
    """``stateful=True``: what waits for another attempt holds back what comes after it, however much was in the worker's hand."""
    diary = Pipeline(range(60), **where).class_task(Diary, Diary.write, stateful=True, retries=1, backoff=0.001)
    asked = [item for item in range(60) for _ in range(2 if item % 7 == 3 else 1)]
    assert diary.wait_for_result() == [place for place, item in enumerate(asked, 1) if asked[place : place + 1] != [item]]
