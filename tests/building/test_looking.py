"""A few items, without a run: ``preview``, ``pipeline[7]``, ``len(pipeline)``."""

from __future__ import annotations

import itertools
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng import DROP, GraphError, Pipeline, SerializationError, SourceConsumed, StageError, current_item
from tests.strategies import lists_of


def test_preview_runs_in_this_process_and_starts_nothing():
    """Whatever the engine, a preview is evaluated here, in this thread."""
    threads = threading.active_count()
    where = Pipeline(range(100)).task(lambda x: (os.getpid(), threading.get_ident()), count=4).preview(2)
    assert where == [(os.getpid(), threading.get_ident())] * 2
    assert threading.active_count() == threads


def test_preview_of_an_endless_source_ends():
    """Only what the first results need is drawn."""
    drawn = []

    def endless():
        for number in itertools.count():
            drawn.append(number)
            yield number

    assert Pipeline(endless).filter(lambda x: x % 2).batch(2).preview(2) == [[1, 3], [5, 7]]
    assert len(drawn) <= 9


def test_a_preview_of_nothing_is_empty():
    """``preview(0)`` touches no source, a short stream gives what it has."""

    def untouched():
        raise AssertionError

    assert Pipeline(untouched).preview(0) == []
    assert Pipeline([1]).preview() == [1]


def test_a_preview_takes_nothing_from_a_one_shot_iterator():
    """What a preview draws is given to the next run first, however often one looks, and to a run of any other branch."""
    numbers = Pipeline(iter(range(6)), engine="inline")
    doubled = numbers.task(lambda x: 2 * x)
    assert doubled.preview(2) == [0, 2]
    assert numbers.batch(4).preview(1) == [[0, 1, 2, 3]]
    assert doubled.preview(1) == [0]
    assert numbers.wait_for_result() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(SourceConsumed):
        numbers.preview()


def test_a_preview_that_fails_takes_nothing_either():
    """The error of a stage is raised, and the items are still there."""

    def fail(x):
        raise OSError("disk")

    numbers = Pipeline(iter(range(3)), engine="inline")
    with pytest.raises(StageError, match="disk"):
        numbers.task(fail).preview()
    assert numbers.wait_for_result() == [0, 1, 2]


def test_a_preview_of_an_item_that_cannot_be_pickled_takes_nothing():
    """The error is raised, and a run that does not copy its items has them all."""
    items = [1, threading.Lock(), 3]
    once = Pipeline(iter(items), engine="thread")
    with pytest.raises(SerializationError):
        once.preview(3)
    assert once.options(copy_items=False).wait_for_result() == items


def test_a_preview_of_a_repeated_one_shot_takes_nothing():
    """A one-shot is found behind a ``repeat`` too."""
    numbers = Pipeline(iter([1, 2]), engine="inline")
    assert numbers.repeat(1).preview(1) == [1]
    assert numbers.task(abs).repeat(1).preview(1) == [1]
    assert numbers.wait_for_result() == [1, 2]


@given(data=lists_of(st.integers(), 8), index=st.integers(-10, 10))
def test_indexing_is_indexing_the_results(data, index):
    """``pipeline[i]`` is what ``list(pipeline)[i]`` is, or the same error."""
    pipeline = Pipeline(data).task(lambda x: x + 1)
    expected = [x + 1 for x in data]
    if -len(data) <= index < len(data):
        assert pipeline[index] == expected[index]
    else:
        with pytest.raises(IndexError):
            pipeline[index]
    assert len(pipeline) == len(expected)


@given(
    data=lists_of(st.integers(), 8),
    part=st.builds(slice, *[st.none() | st.integers(-10, 10)] * 2, st.none() | st.sampled_from([-2, -1, 1, 2, 3])),
)
def test_slicing_is_slicing_the_results(data, part):
    """``pipeline[a:b:c]`` is what ``list(pipeline)[a:b:c]`` is."""
    assert Pipeline(data).task(lambda x: x + 1)[part] == [x + 1 for x in data][part]


def test_only_the_items_asked_for_are_evaluated():
    """Looking at one item of many calls the functions once."""
    called = []
    pipeline = Pipeline(range(1000)).tap(called.append).task(abs)
    assert (pipeline[7], pipeline[-1], pipeline[2:4]) == (7, 999, [2, 3])
    assert called == [7, 999, 2, 3]


def test_an_item_keeps_its_index_and_its_random_numbers():
    """``pipeline[i]`` of a seeded pipeline is the item that a whole run gives."""
    pipeline = Pipeline(range(20), seed=3, engine="inline").task(lambda x: (current_item().index, current_item().rng.random()))
    whole = pipeline.wait_for_result()
    assert [pipeline[7], *pipeline[3:5], *pipeline[10:14:2]] == [whole[7], whole[3], whole[4], whole[10], whole[12]]


def test_an_error_names_the_index_in_the_source():
    """The failure of ``pipeline[7]`` is about item 7."""

    def fail(x):
        raise OSError("disk")

    with pytest.raises(StageError, match="item 7 70") as caught:
        Pipeline(range(0, 100, 10)).task(fail)[7]
    assert caught.value.index == 7


class Labelled:
    """As a series of pandas: its items are found by label, and iterated by place."""

    def __init__(self, **items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        return iter(self.items.values())

    def __getitem__(self, label):
        return self.items[label]

    def keys(self):
        return self.items.keys()


@pytest.mark.parametrize("look", [len, lambda pipeline: pipeline[0], lambda pipeline: pipeline[0:1]])
def test_what_is_indexed_by_label_has_no_place(look):
    """An item found under a label would not be that of a whole run, and a table has as many rows as it likes for its columns."""
    with pytest.raises(TypeError, match="its source has no length and no index"):
        look(Pipeline(Labelled(a=1, b=2)).task(abs))
    assert list(Pipeline(Labelled(a=1, b=2), engine="inline").task(abs)) == [1, 2]


class Photos:
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return f"photo {index}"


def test_an_indexable_source_is_indexed():
    """A data set with a length and items is enough."""
    pipeline = Pipeline(Photos()).task(str.upper)
    assert (pipeline[2], pipeline[-3], len(pipeline)) == ("PHOTO 2", "PHOTO 0", 3)


def test_an_item_that_a_stage_drops_has_no_place():
    """``DROP`` at that index is an ``IndexError`` that says so."""
    pipeline = Pipeline([1, 2]).task(lambda x: DROP if x == 1 else x)
    with pytest.raises(IndexError, match="a stage dropped it"):
        pipeline[0]
    assert pipeline[:] == [2]


NOT_INDEXABLE = {
    "filter": lambda p: p.filter(bool),
    "batch": lambda p: p.batch(2),
    "explode": lambda p: p.explode(range),
    "shuffle": lambda p: p.shuffle(),
    "enumerate": lambda p: p.enumerate(),
    "scan": lambda p: p.scan(0, max),
    "limit": lambda p: p.limit(2),
    "repeat": lambda p: p.repeat(2),
    "gather": lambda p: p.gather(p.task(abs)),
    "zip": lambda p: p.zip(p.task(abs)),
    "failures": lambda p: p.task(abs, on_error="branch")[1],
    "source": lambda p: Pipeline({"a": 1}),
    "set": lambda p: Pipeline({1}),
    "iterator": lambda p: Pipeline(iter([1])),
    "function": lambda p: Pipeline(lambda: [1]),
}


@pytest.mark.parametrize("kind", NOT_INDEXABLE)
def test_what_has_no_index_says_why(kind):
    """Where results and source items are not one to one, indexing and ``len`` are a ``TypeError`` that proposes ``preview``."""
    pipeline = NOT_INDEXABLE[kind](Pipeline([1, 2, 3]))
    for ask in (len, lambda p: p[0], lambda p: p[:1]):
        with pytest.raises(TypeError, match=r"preview\(n\) gives the first n items"):
            ask(pipeline)


def test_list_does_not_mind_that_there_is_no_length():
    """``list(pipeline)`` asks for a length, and runs without one."""
    assert list(Pipeline([1, 2], engine="inline").filter(bool)) == [1, 2]


def test_a_negative_preview_is_a_mistake():
    """It is told on the user's line."""
    with pytest.raises(GraphError, match="n must be >= 0, got -1") as caught:
        Pipeline([1]).preview(-1)
    assert caught.value.declared_at.rpartition(":")[0] == __file__
