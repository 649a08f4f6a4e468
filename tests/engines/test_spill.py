"""Arms of very different rates: memory stays bounded, what waits goes to a file that nobody sees, the results are right."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

import numpy as np
import psutil
import pytest

from olympipe_ng import Pipeline

pytestmark = pytest.mark.filterwarnings("ignore:zip pairs by position")
ITEMS, LAST, FLOATS = 400, 20, 125_000  # 200 MB in all, of which all but the last items wait
BOUND = 4 << 20
PEAK = 100 << 20  # bytes more than before: workers and what they import, and twice the bound


def make(number):
    return np.full(FLOATS, number, dtype=np.float32)


def is_last(array):
    return array[0] >= ITEMS - LAST


def numbers(first, second):
    return float(first[0]), float(first[-1]), float(second[0])


def zipped(**options):
    arrays = Pipeline(range(ITEMS), queue_bytes=BOUND, **options).task(make)
    return arrays.zip(arrays.filter(is_last)).starmap(numbers)


EXPECTED = [(number, number, number + ITEMS - LAST) for number in range(LAST)]


class Peak:
    """The memory of this process and its descendants, watched by a thread: what they share counts once."""

    def __init__(self):
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self._stop.wait(0.02):
            self.bytes = max(self.bytes, _tree())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()


def _tree():
    total, process = 0, psutil.Process()
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):
            total += each.memory_full_info().pss
    return total


@pytest.mark.parametrize("engine", ["inline", "thread"])
def test_results_are_right_when_most_of_an_arm_went_to_a_file(engine, caplog):
    with caplog.at_level(logging.WARNING, "olympipe_ng"):
        assert zipped(engine=engine).wait_for_result() == EXPECTED
    assert "'make'" in caplog.text
    assert "temporary file" in caplog.text


@pytest.mark.parametrize("start_method", ["fork", "forkserver"])
def test_memory_is_bounded_when_an_arm_waits_for_long(start_method, caplog):
    before = _tree()
    with caplog.at_level(logging.WARNING, "olympipe_ng"), zipped(start_method=start_method).start() as run, Peak() as peak:
        assert list(run) == EXPECTED
    assert "temporary file" in caplog.text
    assert peak.bytes - before < PEAK


def test_rejoin_of_an_arm_that_drops_nearly_everything_needs_no_file(caplog):
    arrays = Pipeline(range(ITEMS), queue_bytes=BOUND).task(make)
    with caplog.at_level(logging.WARNING, "olympipe_ng"):
        pairs = arrays.rejoin(arrays.filter(is_last)).starmap(numbers).wait_for_result()
    assert pairs == [(number, number, number) for number in range(ITEMS - LAST, ITEMS)]
    assert "temporary file" not in caplog.text


def test_a_run_that_is_left_half_way_leaves_no_file():
    with zipped(start_method="fork").start() as run:
        next(iter(run))


def test_objects_that_are_not_copied_stay_in_memory():
    assert zipped(engine="thread", copy_items=False).wait_for_result() == EXPECTED
