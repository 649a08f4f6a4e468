"""What is counted: failures against their budget, the errors that are kept, and the fate of every item in the ledger."""

from __future__ import annotations

import itertools
import threading

import pytest

from olympipe_ng import DROP, Pipeline, StageError, TooManyFailures, current_item
from tests.engines.kinds import each_engine, everywhere

# --------------------------------------------------------------------------------------------------------------- budgets


@pytest.mark.parametrize("place", ["run", "stage"])
@each_engine
def test_a_count_of_failures_is_a_budget(where, place):
    """``max_failures=2``: the third failure fails the run."""
    def build(items):
        ours = {"max_failures": 2}
        run, stage = (ours, {}) if place == "run" else ({}, ours)
        return Pipeline(items, on_error="skip", **run, **where).task(lambda x: 1 / x, **stage)

    assert build([0, 1, 0, 1]).wait_for_result() == [1.0, 1.0]
    with pytest.raises(TooManyFailures, match="3 of"):
        build([0, 1, 0, 0, 1]).wait_for_result()


@pytest.mark.parametrize("place", ["run", "stage"])
@each_engine
def test_too_many_failures_name_their_stage_and_show_the_last_that_was_kept(where, place):
    """The stage, and the line that declared it, are those in which most items failed; the cause is the traceback of a failure that was
    collected; where failures are skipped, nothing of them was kept."""
    run, stage = ({"max_failures": 2}, {}) if place == "run" else ({}, {"max_failures": 2})
    for policy, cause in (("collect", "ZeroDivisionError: division by zero"), ("skip", "None")):
        broken = Pipeline([0, 0, 0], on_error=policy, **run, **where).task(abs).task(lambda x: 1 / x, name="inverse", **stage)
        with pytest.raises(TooManyFailures, match=r"^stage 2 'inverse' \(.*: 3 of 3 items failed, more than max_failures=2") as caught:
            broken.wait_for_result()
        assert caught.value.stage == "2 'inverse'"
        assert caught.value.declared_at == broken.outlet.node.declared_at
        assert cause in str(caught.value.__cause__)


@each_engine
def test_the_failure_that_was_too_much_is_recorded_like_those_before_it(where):
    with Pipeline([0, 0, 0], on_error="collect", max_failures=2, **where).task(lambda x: 1 / x).start() as run:
        with pytest.raises(TooManyFailures):
            list(run)
        assert len(run.errors) == 3
        assert "item 2 0" in run.errors[2]


class NotLoadable:
    """Pickles, and cannot be loaded again."""

    def __reduce__(self):
        return int, ("not a number",)


@pytest.mark.parametrize("place", ["run", "stage"])
@each_engine
def test_what_the_next_stage_cannot_load_is_taken_off_the_budget_of_the_stage_that_made_it(where, place):
    """The maker's third failure is one too many; the reader's own budget is not touched."""
    run, maker = ({"max_failures": 2}, {}) if place == "run" else ({}, {"max_failures": 2})

    def build(items):
        made = Pipeline(items, on_error="collect", **run, **where).task(lambda x: NotLoadable() if x else x, name="maker", **maker)
        return made.task(lambda x: x, max_failures=0)

    assert build([1, 0, 1, 0]).wait_for_result() == [0, 0]
    with pytest.raises(TooManyFailures, match=r"^stage 1 'maker' .*: 3 of \d items failed, more than max_failures=2"):
        build([1, 0, 1, 1]).wait_for_result()


@each_engine
def test_a_fraction_of_failures_is_judged_after_a_hundred_items_and_at_the_end(where):
    """``max_failures=0.1``: an early failure is forgiven, one in five is not."""
    def build(items):
        return Pipeline(items, on_error="collect", max_failures=0.1, **where).task(lambda x: 1 / x)

    assert len(build([0] + [1] * 20).wait_for_result()) == 20
    with pytest.raises(TooManyFailures):
        build([0, 1, 1, 1]).wait_for_result()
    with pytest.raises(TooManyFailures):
        build([x % 5 for x in range(1000)]).wait_for_result()


@each_engine
def test_a_fraction_of_failures_is_one_of_all_that_was_drawn(where):
    """Items of the source that cannot be sent are among them: four of ten are no more than half."""
    items = [threading.Lock()] * 4 + [1] * 6
    assert Pipeline(items, on_error="collect", max_failures=0.5, **where).task(abs).wait_for_result() == [1] * 6
    with pytest.raises(TooManyFailures, match="6 of 10 items failed"):
        Pipeline(items[:4] + items[:2] + items[6:], on_error="collect", max_failures=0.5, **where).task(abs).wait_for_result()


@each_engine
def test_a_source_that_fails_too_often_is_not_read_to_its_end(where):
    """It may have none."""
    with pytest.raises(TooManyFailures, match="items failed, more than max_failures=2"):
        Pipeline(itertools.repeat(threading.Lock()), on_error="collect", max_failures=2, **where).task(abs).wait_for_result()


@each_engine
def test_errors_keep_the_first_thousand_and_all_counts(where):
    """``.errors`` is bounded, the report counts all."""
    results = Pipeline(range(1500), on_error="collect", **where).task(lambda x: 1 / 0).wait_for_result()
    assert results == []
    assert len(results.errors) == 1000
    assert "item 0 0" in results.errors[0]
    assert results.report.failed == 1500


# ---------------------------------------------------------------------------------------------------------------- ledger


@everywhere
def test_the_ledger_accounts_for_every_item(where):
    """in = out + filtered + dropped + failed + unpaired + unread + cancelled, at every stage."""
    def refuse(x):
        if x % 7 == 0:
            raise ValueError(x)
        return DROP if x % 5 == 0 else x

    numbers = Pipeline(range(300), on_error="skip", **where).task(refuse, count=2)
    left, _right = numbers.split(lambda x: (x, None) if x % 2 else (None, x) if x % 3 else (None, None), n=2)
    unique = left.unique(lambda x: x % 50)
    with pytest.warns(UserWarning, match="rejoin"):
        zipped = unique.zip(numbers.skip(3))
    results = zipped.limit(9).wait_for_result()
    assert len(results) == 9
    for stage in results.report.stages:
        assert stage.items_in == stage.settled, stage
    refused = results.report.stages[1]
    assert refused.failed > 0
    assert refused.filtered > 0


@each_engine
def test_the_ledger_counts_each_fate(where):
    """A run that goes to its end has each item in its place."""
    numbers = Pipeline(range(100), **where)
    dropped = numbers.filter(lambda x: x % 2).unique(lambda x: x % 10)
    report = dropped.batch(2).explode().task(lambda x: DROP if current_item().index == 1 else x).wait_for_result().report
    assert [(stage.items_in, stage.passed, stage.filtered, stage.dropped) for stage in report.stages[1:]] == [
        (100, 50, 50, 0), (50, 5, 0, 45), (5, 5, 0, 0), (3, 3, 0, 0), (5, 3, 2, 0),
    ]  # fmt: skip


def refuse_the_third(item, *total):
    if item == 3:
        raise ValueError("three")
    return item


GATHERING = {
    "bucket": lambda p: p.bucket(refuse_the_third, 2),
    "unique": lambda p: p.unique(refuse_the_third),
    "scan": lambda p: p.scan(0, refuse_the_third),
    "reduce": lambda p: p.reduce(0, refuse_the_third),
    "task": lambda p: p.task(refuse_the_third),
}


@each_engine
@pytest.mark.parametrize("kind", GATHERING)
def test_the_ledger_of_a_run_that_failed_is_balanced(kind, where):
    """The item that ended the run has failed, those before it went through, those behind it are cancelled."""
    with GATHERING[kind](Pipeline(range(9), **where)).start() as run:
        with pytest.raises(StageError, match="three"):
            list(run)
        stage = run.report().stages[1]
    assert (stage.passed, stage.failed, stage.settled) == (3, 1, stage.items_in)


@each_engine
def test_the_ledger_is_balanced_where_a_stage_fails_at_the_end_of_its_stream(where):
    """All its items went through: what failed was none of them."""

    def emit(total):
        yield total
        raise ValueError("at the end")

    with Pipeline(range(9), **where).checkpoint(0, lambda item, total: total + item, emit).start() as run:
        with pytest.raises(StageError, match="at the end"):
            list(run)
        stage = run.report().stages[1]
    assert (stage.passed, stage.failed, stage.settled) == (9, 0, stage.items_in)
