"""F45 to F50: graphs, caches, options."""

from __future__ import annotations

import sqlite3
import threading
import time
import warnings

import pytest

from olympipe_ng import Pipeline

METHODS = ["fork", "forkserver"]


def test_f45_a_branch_that_nobody_awaits(caplog):
    """It runs; its items count as unread, with one log line."""
    evens, _ = Pipeline(range(10), start_method="fork").split(lambda x: (x, None) if x % 2 == 0 else (None, x), 2)
    results = evens.wait_for_result()
    assert results == [0, 2, 4, 6, 8]
    assert results.report.to_dict()["stages"][1]["unread"] == 5
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"stage 1 'split' ({__file__}:")
    assert caplog.messages[0].endswith("of its items 5 went to a branch that nobody awaits")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("arms", ["slow", "dropping"])
def test_f46_a_diamond_of_unequal_arms_does_not_stop(method, arms):
    """rejoin matches by origin and is told of what was dropped."""

    def slow(x):
        time.sleep(0.002)
        return -x

    source = Pipeline(range(200), start_method=method, queue_size=3)
    other = source.task(slow) if arms == "slow" else source.filter(lambda x: x % 2 == 0)
    joined = source.task(lambda x: x).rejoin(other).wait_for_result()
    assert joined == ([(x, -x) for x in range(200)] if arms == "slow" else [(x, x) for x in range(0, 200, 2)])


def test_f46_zip_of_a_dropping_arm_warns_and_ends():
    """The build warns and names rejoin; the run ends with the shortest."""
    source = Pipeline(range(200), start_method="fork", queue_size=3)
    with pytest.warns(UserWarning, match="rejoin"):
        zipped = source.zip(source.filter(lambda x: x % 2 == 0))
    assert zipped.wait_for_result() == [(x, 2 * x) for x in range(100)]


def test_f47_two_consumers_of_one_pipeline_both_see_every_item():
    """Broadcast: nothing is stolen."""
    numbers = Pipeline(range(10), start_method="fork").task(abs)
    plus, times = Pipeline.wait_for_all_results([numbers.task(lambda x: x + 1), numbers.task(lambda x: 2 * x)])
    assert plus == [x + 1 for x in range(10)]
    assert times == [2 * x for x in range(10)]


def test_f48_an_idle_timeout_counts_from_the_last_item():
    """An active stream is never cut; a silent one is, with a warning that says after how many items."""
    results = Pipeline(range(6), start_method="fork").task(lambda x: time.sleep(0.2) or x).timeout(1.0).wait_for_result()
    assert results == [0, 1, 2, 3, 4, 5]


@pytest.mark.no_leak_check  # the source's thread waits until it is released
def test_f48_a_silent_stream_is_cut_with_a_mark(caplog):
    """The report and the log say so."""
    release = threading.Event()

    def silent():
        yield 1
        release.wait()

    results = Pipeline(silent, start_method="fork").timeout(0.3).wait_for_result()
    release.set()
    assert results == [1]
    assert "cut after 1 item" in caplog.text


def test_f49_torn_cache_files_are_recomputed_with_a_warning(tmp_path, caplog):
    """Empty, halved, foreign: a bad entry is recomputed, nothing is lost."""

    def square(x):
        return x * x

    def run():
        return Pipeline(range(9), start_method="fork").cached_task(square, tmp_path).wait_for_result()

    assert run() == [x * x for x in range(9)]
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) >= 9
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:-3])
    files[2].write_bytes(b"something else altogether")
    assert run() == [x * x for x in range(9)]
    assert caplog.text.count("computed again") == 3
    caplog.clear()
    assert run() == [x * x for x in range(9)]
    assert "computed again" not in caplog.text


@pytest.mark.parametrize("method", METHODS)
def test_f50_a_class_stage_may_hold_what_cannot_be_pickled(method):
    """The instance lives only in its worker."""

    class Store:
        def __init__(self):
            self.connection = sqlite3.connect(":memory:")
            self.lock = threading.Lock()

        def ask(self, x):
            with self.lock:
                return self.connection.execute("select ? + 1", (x,)).fetchone()[0]

        def close(self):
            self.connection.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = Pipeline(range(9), start_method=method).class_task(Store, Store.ask, None, Store.close, count=2).wait_for_result()
    assert results == list(range(1, 10))
