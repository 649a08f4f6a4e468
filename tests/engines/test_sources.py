"""Sources in whole runs: read anew by each run or used up by one, failing in every way, giving what cannot be sent."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from olympipe_ng import Pipeline, SerializationError, SourceConsumed, SourceError, StageError, TooManyFailures, current_item
from tests.engines.kinds import each_engine, everywhere, in_threads


@everywhere
def test_an_iterator_that_was_used_up_is_an_error_in_the_second_run(where):
    """A one-shot source raises ``SourceConsumed``; it never gives ``[]``."""
    pipeline = Pipeline(iter([1, 2]), **where).task(abs)
    assert pipeline.wait_for_result() == [1, 2]
    with pytest.raises(SourceConsumed, match="was already consumed"):
        pipeline.wait_for_result()


@each_engine
def test_an_error_of_the_users_with_the_name_of_ours_is_a_source_error(where):
    """What a source raises is told by its type, with the index of its item."""
    theirs = type("SourceConsumed", (Exception,), {})

    def source():
        yield 1
        raise theirs("the tank is empty")

    with pytest.raises(SourceError, match="the tank is empty") as caught:
        Pipeline(source, **where).wait_for_result()
    assert caught.value.index == 1


@everywhere
def test_a_function_that_makes_a_generator_can_be_run_again(where):
    """A callable source is called once per run."""
    pipeline = Pipeline(lambda: iter("ab"), **where).task(str.upper)
    assert [pipeline.wait_for_result(), pipeline.wait_for_result()] == [["A", "B"]] * 2


@everywhere
def test_what_was_looked_at_is_given_to_the_next_run(where):
    """A preview of a one-shot source loses nothing: its items come first in the run that follows."""
    numbers = iter(range(6))
    doubled = Pipeline(numbers, **where).task(lambda x: x * 2)
    assert doubled.preview(2) == [0, 2]
    assert doubled.wait_for_result() == [0, 2, 4, 6, 8, 10]


@everywhere
def test_a_source_that_raises_gives_what_it_drew_and_then_its_error(where):
    """Items drawn before come out first; then ``SourceError`` with the source's own exception as its cause."""
    def source():
        yield 1
        yield 2
        raise FileNotFoundError("no third")

    came = []
    with pytest.raises(SourceError, match="FileNotFoundError: no third") as caught:
        came.extend(Pipeline(source, **where).task(lambda x: -x))
    assert came == [-1, -2]
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.index == 2


@each_engine
def test_a_source_that_ends_by_raising_after_a_limit_is_no_error(where):
    """A limit that is satisfied before the source fails wins over it."""
    def source():
        yield from range(3)
        raise RuntimeError("nobody needs this")

    assert Pipeline(source, **where).limit(3).wait_for_result() == [0, 1, 2]


@each_engine
def test_a_finally_that_raises_changes_no_result_and_is_said(where, caplog):
    """What closing the source raises is logged with its traceback."""
    def source():
        try:
            yield from itertools.count()
        finally:
            raise OSError("the camera is gone")

    with caplog.at_level("WARNING", logger="olympipe_ng"):
        assert Pipeline(source, **where).limit(2).wait_for_result() == [0, 1]
    assert "closing it failed" in caplog.text
    assert "OSError: the camera is gone" in caplog.text


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, TimeoutError, KeyboardInterrupt])
@in_threads
def test_whatever_a_source_raises_is_a_source_error(where, kind):
    """Also what is no ``Exception``: it must not end a thread of ours silently."""
    def source():
        yield 1
        raise kind("the reason")

    with pytest.raises(SourceError, match=f"{kind.__name__}: the reason") as caught:
        Pipeline(source, **where).task(abs).wait_for_result()
    assert type(caught.value.__cause__) is kind


class NoException(BaseException):
    """As those by which trio and others cancel what runs."""


@pytest.mark.parametrize("kind", [NoException, asyncio.CancelledError, BaseException])
@each_engine
def test_what_is_no_exception_is_an_error_like_any_other(where, kind):
    """Of a source, a task and a coroutine, and inline too, where only ``KeyboardInterrupt`` is the caller's own."""
    def source():
        yield 1
        raise kind("the reason")

    def fail(x):
        raise kind("the reason")

    async def fail_later(x):
        raise kind("the reason")

    broken = [(Pipeline(source, **where), SourceError)]
    broken += [(Pipeline([1], **where).task(function), StageError) for function in (fail, fail_later)]
    for pipeline, error in broken:
        with pytest.raises(error, match=f"{kind.__name__}: the reason"):
            pipeline.wait_for_result()


def interrupted(*args):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "options",
    [{}, {"on_error": interrupted}, {"retries": 1, "retry_on": interrupted}],
    ids=["task", "on_error", "retry_on"],
)
def test_ctrl_c_in_whatever_inline_calls_is_an_interrupt(options):
    """Of the user's functions, and of what is done when one fails."""
    function = abs if options else interrupted
    with pytest.raises(KeyboardInterrupt):
        Pipeline(["no number"], engine="inline").task(function, **options).wait_for_result()


def test_ctrl_c_while_inline_hands_a_failure_on_is_an_interrupt():
    """It is none of the item's, which would be replaced by its text."""

    class Item:
        begun = False

        def __reduce__(self):
            return interrupted() if Item.begun else (Item, ())

    def fail(item):
        Item.begun = True
        raise ValueError

    with pytest.raises(KeyboardInterrupt):
        Pipeline.wait_for_all_results(Pipeline([Item()], engine="inline").task(fail, on_error="branch"))


def test_ctrl_c_while_an_inline_source_is_read_is_an_interrupt():
    """In the calling thread a ``KeyboardInterrupt`` is the user's own, and the source is closed."""
    closed = []

    def source():
        try:
            yield 1
            raise KeyboardInterrupt
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        Pipeline(source, engine="inline").task(abs).wait_for_result()
    assert closed == [True]


@each_engine
def test_a_source_function_that_fails_or_gives_nothing_to_iterate_is_a_source_error(where):
    """Its call is part of the run, and its mistake is named."""
    with pytest.raises(SourceError, match="ZeroDivisionError"):
        Pipeline(lambda: 1 / 0, **where).wait_for_result()
    with pytest.raises(SourceError, match="must return something to iterate, it returned 3"):
        Pipeline(lambda: 3, **where).wait_for_result()


@each_engine
@pytest.mark.parametrize("frame_pickling", ["item", "list"])
def test_an_input_that_cannot_be_pickled_closes_the_source(where, frame_pickling):
    """The generator's ``finally`` has run when the error is raised."""
    closed = []

    def source():
        try:
            yield from [1, threading.Lock(), 3]
        finally:
            closed.append(True)

    with pytest.raises(SerializationError, match="item 1 <unlocked") as caught:
        Pipeline(source, frame_pickling=frame_pickling, **where).wait_for_result()
    assert closed, f"{caught.value} was raised before"


@each_engine
def test_inputs_that_cannot_be_pickled_may_be_left_out(where):
    """``on_error="collect"`` records them with their index; the others keep theirs."""
    numbers = Pipeline([10, threading.Lock(), 30], on_error="collect", **where).task(lambda x: (x, current_item().index))
    results = numbers.wait_for_result()
    assert results == [(10, 0), (30, 2)]
    assert "item 1 <unlocked _thread.lock" in results.errors[0]


@each_engine
@pytest.mark.parametrize("policy", ["skip", "collect"])
def test_inputs_that_cannot_be_pickled_count_as_failures(where, policy):
    """``max_failures=2``: the third fails the run, also of an endless source of nothing else."""
    def build(items):
        return Pipeline(items, on_error=policy, max_failures=2, **where).task(lambda x: x)

    assert build([threading.Lock(), 1, threading.Lock()]).wait_for_result() == [1]
    with pytest.raises(TooManyFailures, match=r"^stage 0 .source. .*: 3 of 3 items failed"):
        build(lambda: (threading.Lock() for _ in itertools.count())).wait_for_result()
