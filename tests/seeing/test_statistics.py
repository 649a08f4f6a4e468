from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from olympipe_ng import Pipeline
from olympipe_ng.failures import Kind
from olympipe_ng.scheduler.messages import Counts
from olympipe_ng.statistics import Statistics
from tests.seeing.hand_made import StillRun, failure, load, record, resize

GONE = 2**22 + 1  # above the largest pid that Linux gives


class Unwilling:
    """Iterable, with a length that raises."""

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        raise RuntimeError("unknown")


def test_a_stage_is_described_in_the_users_words() -> None:
    """Name, kind and line are those of the code that made the stage."""
    source, stage = StillRun([Pipeline(range(9)).task(load, name="read")]).statistics().stages
    assert (source.number, source.kind, stage.number, stage.name, stage.kind) == (0, "source", 1, "read", "task")
    assert stage.declared_at.startswith(__file__)


def test_counts_are_those_of_the_scheduler() -> None:
    """Each word of the ledger is there, and what is not decided yet is under way."""
    counts = Counts(passed=4, filtered=3, failed=2, retried=5)
    stage = StillRun([Pipeline(range(9)).filter(load)], record(0, 10, 10), record(1, 10, 4, counts=counts)).statistics().stages[1]
    assert (stage.items_in, stage.items_out, stage.filtered, stage.failed, stage.retried) == (10, 4, 3, 2, 5)
    assert (stage.settled, stage.under_way) == (9, 1)


def test_busy_is_of_all_hands() -> None:
    """Two workers of two threads that worked 20 of 40 seconds are half busy."""
    run = StillRun([Pipeline(range(9)).task(load, 2, threads=2)], record(0, 8, 8), record(1, 8, 8, busy=20.0, moving=4.0, slowest=6.0))
    stage = run.statistics().stages[1]
    assert stage.busy_percent == 50
    assert stage.waiting_seconds == 16
    assert (stage.mean_seconds, stage.max_seconds, stage.items_per_second) == (2.5, 6.0, 0.8)


@pytest.mark.parametrize("elapsed", [0.0, -1.0, 10.0])
def test_an_empty_run_is_all_zeros(elapsed: float) -> None:
    """Nothing is divided by nothing."""
    statistics = StillRun([Pipeline([]).task(load)], elapsed=elapsed).statistics()
    stage = statistics.stages[1]
    assert (stage.items_per_second, stage.busy_percent, stage.mean_seconds, stage.max_seconds) == (0, 0, 0, 0)
    assert (statistics.done, statistics.total, statistics.results, statistics.failed) == (0, 0, 0, 0)


def test_nothing_in_it_can_be_changed() -> None:
    """What was true at a moment stays what it was."""
    statistics = StillRun([Pipeline([])]).statistics()
    with pytest.raises(AttributeError):
        statistics.done = 5  # type: ignore[misc]
    with pytest.raises(AttributeError):
        statistics.stages[0].items_in = 5  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------------------------ total


@pytest.mark.parametrize(
    ("pipeline", "options", "total"),
    [
        (Pipeline([1, 2, 3]), {}, 3),
        (Pipeline(iter([1, 2, 3])), {}, None),
        (Pipeline(iter([1, 2, 3])), {"total": 7}, 7),
        (Pipeline([1, 2]).gather(Pipeline(range(3))), {}, 5),
        (Pipeline([1, 2]).gather(Pipeline(iter([]))), {}, None),
        (Pipeline(Unwilling()), {}, None),
    ],
)
def test_the_total_is_told_or_measured(pipeline: Pipeline[Any], options: dict[str, Any], total: int | None) -> None:
    """``total=`` beats the length of the source; where one source of several has none there is no total."""
    assert StillRun([pipeline], **options).statistics().total == total


# ------------------------------------------------------------------------------------------------------------------- done


def test_done_counts_items_that_left_the_last_stage() -> None:
    """Of 100 items drawn 40 are taken: 40 are done."""
    run = StillRun([Pipeline(range(500)).task(load)], record(0, 100, 100), record(1, 90, 50, counts=Counts(passed=50)), record(2, 50, 40))
    assert (run.statistics().done, run.statistics().results, run.statistics().one_to_one) == (40, 40, True)


def test_a_failed_item_is_done() -> None:
    """An item that will never come out is not waited for."""
    run = StillRun([Pipeline(range(9)).task(load)], record(0, 9, 9), record(1, 9, 7, counts=Counts(passed=7, failed=2)), record(2, 7, 7))
    assert run.statistics().done == 9


def test_what_was_cancelled_is_not_done() -> None:
    """Of a run that was stopped nobody hears that it is through with all it drew."""
    stopped = Counts(passed=3, failed=1, cancelled=5)
    run = StillRun([Pipeline(range(9)).task(load)], record(0, 9, 9), record(1, 9, 3, counts=stopped), record(2, 3, 3))
    assert run.statistics().done == 4


def test_a_failure_that_is_awaited_is_done_once() -> None:
    """Of a branch of failures alone the good items are unread, and no failure counts as a result and as one that never comes out."""
    _, failures = Pipeline(range(9), engine="inline").task(load).task(lambda x: 1 // (x % 3), on_error="branch")
    statistics = failures.wait_for_result().report.statistics
    assert (statistics.done, statistics.results, statistics.one_to_one) == (9, 3, False)


def test_done_is_in_items_of_the_source() -> None:
    """A filter that drops and a batch that gathers do not change how far the run is."""
    pipeline = Pipeline(range(1000)).filter(load).batch(10)
    half = Counts(passed=20, filtered=180)
    run = StillRun([pipeline], record(0, 400, 400), record(1, 400, 20, counts=half), record(2, 20, 2), record(3, 2, 1))
    assert run.statistics().done == 100  # half of what came to the filter, half of the batches


def test_of_two_branches_the_slower_counts() -> None:
    """An item is done when every awaited pipeline is through with it."""
    base = Pipeline(range(100))
    run = StillRun(
        [base, base.task(load)], record(0, 80, 80), record(1, 80, 20, counts=Counts(passed=20)), record(2, 80, 80), record(3, 20, 20)
    )
    assert (run.statistics().done, run.statistics().results) == (20, 100)


def test_items_of_merged_sources_add_up() -> None:
    """Each source counts for itself."""
    pipeline = Pipeline(range(10)).gather(Pipeline(range(30)))
    records = [record(0, 10, 10), record(1, 30, 30), record(2, 40, 40), record(3, 40, 20)]
    assert StillRun([pipeline], *records).statistics().done == 20


def test_results_are_what_the_caller_took() -> None:
    """The caller knows of items that it took before the scheduler hears of them."""
    run = StillRun([Pipeline(range(9))], record(0, 9, 9), record(1, 9, 2))
    run.sinks[0].taken = 5
    assert run.statistics().results == 5


# ------------------------------------------------------------------------------------------------------ failures, workers


def test_failures_are_grouped_by_stage_and_exception() -> None:
    """The most frequent comes first, with the text of its first."""
    run = StillRun([Pipeline(range(9)).task(load)])
    run.record(failure(summary="ValueError: a"))
    run.record(failure(index=7))
    run.record(failure(index=9))
    run.record(failure(kind=Kind.DIED, summary="killed by signal 9"))
    groups = run.statistics().failures
    assert [(group.stage, group.exception, group.count) for group in groups] == [
        ("1 'load'", "OSError", 2),
        ("1 'load'", "ValueError", 1),
        ("1 'load'", "WorkerDied", 1),
    ]
    assert groups[0].first == "stage 1 'load' (app.py:41), item 7: OSError: image file is truncated"


def test_skipped_failures_count_too() -> None:
    """``on_error="skip"`` keeps no text, and the number is there."""
    run = StillRun([Pipeline(range(9)).task(load)], record(0, 9, 9), record(1, 9, 6, counts=Counts(passed=6, failed=3)))
    assert run.statistics().failed == 3


def test_a_live_worker_shows_its_memory() -> None:
    """CPU and memory are those of its process."""
    run = StillRun([Pipeline(range(9)).task(load)], record(1, workers=((0, os.getpid()),)))
    [worker] = run.statistics().stages[1].workers
    assert (worker.number, worker.pid) == (0, os.getpid())
    assert worker.rss > 1_000_000
    assert worker.cpu_percent >= 0


def test_a_worker_that_is_gone_is_absent() -> None:
    """A worker may end between two looks: that is no error."""
    run = StillRun([Pipeline(range(9)).task(load)], record(1, workers=((0, GONE), (1, os.getpid()))))
    assert [worker.number for worker in run.statistics().stages[1].workers] == [1]


def test_workers_are_not_looked_at_unless_wanted() -> None:
    """A line of progress needs no question to the operating system."""
    run = StillRun([Pipeline(range(9)).task(load)], record(1, workers=((0, os.getpid()),)))
    assert run.statistics(workers=False).stages[1].workers == ()


def test_what_gives_a_stage_more_hands_depends_on_its_kind() -> None:
    """A stage with state, and one without a function, has one worker whatever one asks for."""

    async def fetch(url: int) -> int:
        return url

    pipeline = Pipeline(range(9)).task(resize).task(fetch).reduce(0, max).batch(2)
    stages = StillRun([pipeline]).statistics().stages
    assert [stage.grows_by for stage in stages] == ["", "count", "concurrency", "", ""]


def test_the_error_that_ended_the_run_is_there() -> None:
    """Its text is that of the exception."""
    run = StillRun([Pipeline(range(9))]).finish()
    run.note = failure()
    statistics: Statistics = run.statistics()
    assert statistics.error.endswith("image file is truncated")
    assert statistics.finished


def test_importing_them_costs_nothing_heavy() -> None:
    """Neither psutil nor a graphical or numerical library is loaded to show a line."""
    code = "import sys, olympipe_ng.progress, olympipe_ng.report; print(*(m for m in ('psutil', 'numpy', 'asyncio') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
