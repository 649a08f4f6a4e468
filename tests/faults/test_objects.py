"""F11 to F21: errors and odd objects."""

from __future__ import annotations

import math
import queue
import threading

import numpy as np
import pytest

from olympipe_ng import Pipeline, SerializationError, StageError
from tests.faults import menu

METHODS = ["fork", "forkserver"]


def numbers(upto=9, **options):
    return Pipeline(range(upto), **{"start_method": "fork", **options})


def raising(error, at=5):
    def stage(x):
        if x == at:
            raise error
        return x

    return stage


@pytest.mark.parametrize("kind", [OSError, TimeoutError, queue.Empty, EOFError, FileNotFoundError, BrokenPipeError, ConnectionResetError])
def test_f11_errors_that_queues_use_are_errors_of_the_item(kind):
    """User code runs in a try of its own: whatever it raises is that item's failure, nothing is dropped silently."""
    with pytest.raises(StageError, match=r"stage 1 .*item 5 5: ") as caught:
        numbers().task(raising(kind("mine"))).wait_for_result()
    assert type(caught.value.__cause__) is kind
    results = numbers().task(raising(kind("mine")), count=2, on_error="collect").wait_for_result()
    assert results == [0, 1, 2, 3, 4, 6, 7, 8]
    assert len(results.errors) == 1


def test_f12_an_unpicklable_input_is_named_with_its_index_and_what_is_in_it():
    """The item's index, and the path to what cannot be pickled."""
    with pytest.raises(SerializationError, match=r"item 1 .*lock"):
        Pipeline([1, {"a": threading.Lock()}, 3], start_method="fork").task(str).wait_for_result()
    results = Pipeline([1, threading.Lock(), 3], start_method="fork", on_error="collect").task(str).wait_for_result()
    assert results == ["1", "3"]
    assert len(results.errors) == 1


@pytest.mark.parametrize("method", METHODS)
def test_f13_an_unpicklable_result_is_an_error_of_its_item(method):
    """As for inputs; the others are there."""
    source = Pipeline(range(9), start_method=method)
    results = source.task(lambda x: menu.unpicklable_result(x) if x == 5 else x, on_error="collect").wait_for_result()
    assert results == [0, 1, 2, 3, 4, 6, 7, 8]
    assert "generator" in results.errors[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", ["exception_that_cannot_be_pickled", "exception_that_cannot_be_rebuilt"])
def test_f14_f15_an_exception_that_cannot_cross_arrives_with_type_and_text(method, fault):
    """Unpicklable, or with an __init__ of its own: type and text always arrive."""
    expected = menu.MENU[fault]
    with pytest.raises(StageError, match=expected.says) as caught:
        Pipeline(range(9), start_method=method).task(lambda x: expected.act(x) if x == 5 else x).wait_for_result()
    assert caught.value.index == 5
    assert fault in caught.value.traceback_text


@pytest.mark.parametrize("stages", ["last", "before another"])
def test_f16_a_result_that_fails_to_load_is_the_producers_error(stages):
    """The producing stage is named, whether the next stage or the caller is to load it."""
    pipeline = numbers().task(lambda x: menu.CannotBeLoaded() if x == 5 else x)
    if stages != "last":
        pipeline = pipeline.task(str)
    with pytest.raises(SerializationError, match=r"stage 1 .*will not be loaded"):
        pipeline.wait_for_result()


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, GeneratorExit])
def test_f17_stop_iteration_in_a_task_is_an_error_that_says_so(kind):
    """It does not end the stream."""
    with pytest.raises(StageError, match=rf"item 5 5: {kind.__name__}"):
        numbers().task(raising(kind())).wait_for_result()


@pytest.mark.parametrize("engine", ["process", "thread"])
def test_f18_keyboard_interrupt_raised_in_a_task_is_an_item_error(engine):
    """Only the caller's own SIGINT is an interrupt."""
    with pytest.raises(StageError, match="item 5 5: KeyboardInterrupt"):
        numbers(engine=engine).task(raising(KeyboardInterrupt())).wait_for_result()


@pytest.mark.parametrize("engine", ["process", "thread", "inline"])
def test_f19_exceptions_are_ordinary_items(engine):
    """As inputs, results, classes and instances."""
    items = [1, ValueError("x"), StopIteration(3), KeyboardInterrupt, 2]
    results = Pipeline(items, engine=engine, start_method="fork").task(lambda x: x).batch(2).explode().wait_for_result()
    assert [repr(item) for item in results] == [repr(item) for item in items]


@pytest.mark.parametrize("engine", ["process", "thread", "inline"])
def test_f20_none_and_other_odd_values_are_ordinary_items(engine):
    """Skipping is absence: None, Ellipsis, empty things, NaN and arrays pass every stage."""
    items = [1, None, ..., (), [], "", 0, False, math.nan, np.arange(3), NotImplemented]
    pipeline = Pipeline(items, engine=engine, start_method="fork").task(lambda x: x).filter(lambda x: True).batch(4).explode()
    assert [repr(item) for item in pipeline.window(1).task(lambda one: one[0]).wait_for_result()] == [repr(item) for item in items]


def test_f21_a_long_message_is_kept_whole_and_printed_nowhere(capfd):
    """Head and tail of an error are there, it is raised once and chained, nothing is printed."""

    def stage(x):
        raise ValueError("E" * 50_000 + "CAUSE")

    with pytest.raises(StageError, match="CAUSE") as caught:
        numbers().task(stage).wait_for_result()
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value.__cause__) == "E" * 50_000 + "CAUSE"
    assert capfd.readouterr() == ("", "")
