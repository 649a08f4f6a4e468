"""Read-only views that a stage gives back go on as references, and stay what they are for as long as anybody needs them."""

from __future__ import annotations

import numpy as np
import pytest

from olympipe_ng import Pipeline
from olympipe_ng.transport.arrays import memory_under

ITEMS, FLOATS = 60, 250_000  # a megabyte each: they travel in shared memory


def make(number):
    return np.full(FLOATS, number, dtype=np.float32)


def same(array):
    return array


def is_even(array):
    return array[-1] % 2 == 0


def label(array):
    return array, int(array[0])


def ends(array):
    return float(array[0]), float(array[-1])


def arena_and_ends(array):
    place = getattr(memory_under(array), "ref", None)  # the first ones of a run are sent in messages
    return place and place.arena, float(array[0]), float(array[-1])


def ends_of_labelled(pair):
    array, number = pair
    array += 1  # a copy of one's own
    return float(array[0]) - 1, float(array[-1]) - 1, number


class Late:
    """Gives each array when several others have come: what was lent long ago."""

    def __init__(self):
        self.kept = []

    def swap(self, array):
        self.kept.append(array)
        return self.kept.pop(0) if len(self.kept) > 5 else self.kept[0]


@pytest.fixture
def arrays():
    return Pipeline((make(number) for number in range(ITEMS)), engine="process", start_method="fork", zero_copy=True)


def test_arrays_pass_stages_that_give_them_back_without_being_written_again(arrays):
    found = arrays.task(same).filter(is_even).task(same).task(arena_and_ends).wait_for_result()
    assert [ends for _, *ends in found] == [[number, number] for number in range(0, ITEMS, 2)]
    where = [arena for arena, _, _ in found]
    assert where.count(0) > len(where) // 2  # where the caller, number 0, wrote them


def test_a_stage_without_zero_copy_changes_its_own_copy(arrays):
    read, changed = arrays.task(same), arrays.task(label).task(ends_of_labelled, zero_copy=False)
    result = Pipeline.wait_for_all_results([read.task(lambda array: float(array.sum())), changed])
    assert result == [[number * FLOATS for number in range(ITEMS)], [(number, number, number) for number in range(ITEMS)]]


@pytest.mark.parametrize("count", [1, 2])
def test_an_array_that_a_stage_kept_for_long_is_given_unharmed(count):
    """Its frame was settled long ago; only that it was lent has kept it."""
    numbers = Pipeline(range(ITEMS), engine="process", start_method="fork").task(make)
    found = numbers.class_task(Late, Late.swap, count=count, zero_copy=True).task(same, zero_copy=True).task(arena_and_ends, zero_copy=True)
    told = [first for _, first, last in found.wait_for_result() if first == last]
    assert len(told) == ITEMS
    if count == 1:
        assert told == [max(0, number - 5) for number in range(ITEMS)]


def test_several_lanes_write_what_they_give():
    """One of them might tell that a view is gone before another has sent what it made of it."""
    numbers = Pipeline(range(ITEMS), engine="process", start_method="fork").task(make, name="maker")
    found = numbers.task(same, threads=3, zero_copy=True).task(arena_and_ends, zero_copy=True).wait_for_result()
    assert [first for _, first, _ in found] == list(range(ITEMS))
    maker = Pipeline(range(ITEMS), engine="process", start_method="fork").task(make).task(arena_and_ends, zero_copy=True).wait_for_result()
    assert {arena for arena, _, _ in found}.isdisjoint({arena for arena, _, _ in maker} - {None})


@pytest.mark.parametrize("options", [{}, {"threads": 2}])
def test_a_source_of_large_items_never_waits_for_the_thread_that_pulls_it(options):
    """The first of them is written when no segment was accepted yet, while the stage is hungry; many short runs, for that is a race."""
    for _ in range(10):
        large = (np.zeros(4 * FLOATS, dtype=np.float32) for _ in range(6))
        found = Pipeline(large, engine="process", start_method="fork").task(ends, **options).wait_for_result()
        assert found == [(0.0, 0.0)] * 6
