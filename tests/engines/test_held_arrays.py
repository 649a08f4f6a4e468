"""Large arrays that an opaque stage holds (for a batch, for another arm) are those that were made, however often memory is used anew."""

from __future__ import annotations

import numpy as np
import pytest

from olympipe_ng import Pipeline

ITEMS, FLOATS = 48, 250_000  # a megabyte each: they travel in shared memory


def make(number):
    return np.full(FLOATS, number, dtype=np.float32)


def ends(array):
    return float(array[0]), float(array[-1])


def all_ends(arrays):
    return [ends(array) for array in arrays]


def is_tenth(array):
    return array[0] % 10 == 0


@pytest.fixture
def arrays():
    return Pipeline(range(ITEMS), engine="process", start_method="fork").task(make)


def test_a_batch_keeps_its_arrays_until_it_is_full(arrays):
    batches = arrays.batch(16).task(all_ends).wait_for_result()
    assert [pair for batch in batches for pair in batch] == [(number, number) for number in range(ITEMS)]


def test_zip_keeps_the_arrays_of_the_faster_arm(arrays):
    pairs = arrays.zip(arrays.task(ends)).starmap(lambda array, told: (ends(array), told)).wait_for_result()
    assert pairs == [((number, number), (number, number)) for number in range(ITEMS)]


def test_rejoin_keeps_arrays_until_the_other_arm_has_spoken(arrays):
    pairs = arrays.rejoin(arrays.filter(is_tenth).task(ends)).starmap(lambda array, told: (ends(array), told)).wait_for_result()
    assert pairs == [((number, number), (number, number)) for number in range(0, ITEMS, 10)]
