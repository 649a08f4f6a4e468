"""What becomes of an item that failed: ``on_error`` in all its forms, retries, budgets, and the ledger that counts it."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from olympipe_ng import DROP, Failure, Pipeline, StageError, TooManyFailures, current_item
from tests.engines.kinds import each_engine, everywhere, in_threads

METHODS = ["task", "filter", "explode", "starmap", "split"]


def refuse_three(*parts):
    """Fail for the third item; for every other give what each method can live with."""
    if parts[0] == 3:
        raise ValueError("not three")
    return parts


def build(method, policy, where, **options):
    """Return a pipeline of that method over (1,) to (4,), as a list of pipelines."""
    items = Pipeline([(x,) for x in (1, 2, 3, 4)], **where)
    if method == "task":
        return items.task(lambda item: refuse_three(*item), on_error=policy, **options)
    if method == "starmap":
        return items.starmap(refuse_three, on_error=policy, **options)
    if method == "filter":
        return items.filter(lambda item: refuse_three(*item), on_error=policy, **options)
    if method == "explode":
        return items.explode(lambda item: [refuse_three(*item)], on_error=policy, **options)
    return items.split(lambda item: (refuse_three(*item), None), n=2, on_error=policy, **options)


def first_of(built):
    return built[0] if isinstance(built, tuple) else built


GOOD = [(1,), (2,), (4,)]


@pytest.mark.parametrize("method", METHODS)
@each_engine
def test_skip_leaves_the_item_out(where, method):
    """``on_error="skip"``: the others come out, nothing is recorded but the count."""
    results = first_of(build(method, "skip", where)).wait_for_result()
    assert results == GOOD
    assert results.errors == []
    assert results.report.failed == 1


@pytest.mark.parametrize("method", METHODS)
@each_engine
def test_collect_records_the_failure(where, method):
    """``on_error="collect"``: the failure is in ``.errors`` and in the report."""
    results = first_of(build(method, "collect", where)).wait_for_result()
    assert results == GOOD
    assert len(results.errors) == 1
    assert "item 2 (3,): ValueError: not three" in results.errors[0]
    assert results.report.failed == 1


@pytest.mark.parametrize("method", METHODS)
@each_engine
def test_a_function_replaces_the_stages_output(where, method):
    """A callable gets the item and the original exception; what it returns stands for the output."""
    def replacement(item, error):
        assert isinstance(error, ValueError)
        return (item, None) if method == "split" else ("instead of", *item)

    expected = (3,) if method == "split" else ("instead of", 3)
    results = first_of(build(method, replacement, where)).wait_for_result()
    assert results == [(1,), (2,), expected, (4,)]


@pytest.mark.parametrize("nothing", [None, DROP])
@pytest.mark.parametrize("method", METHODS)
@each_engine
def test_a_replacement_of_nothing_drops_the_item(where, method, nothing):
    """``None`` (as in olympipe) and ``DROP`` drop the item, which still counts as failed."""
    results = first_of(build(method, lambda item, error: nothing, where)).wait_for_result()
    assert results == GOOD
    assert results.report.failed == 1


@pytest.mark.parametrize("method", METHODS)
@each_engine
def test_a_branch_hands_out_the_failures(where, method):
    """``on_error="branch"`` gives one more pipeline, of ``Failure``."""
    *good, bad = build(method, "branch", where)
    results, *_, failures = Pipeline.wait_for_all_results([*good, bad])
    assert results == GOOD
    (failure,) = failures
    assert isinstance(failure, Failure)
    assert (failure.item, failure.index, failure.attempts, failure.emitted) == ((3,), 2, 1, 0)
    assert type(failure.exception) is ValueError
    assert str(failure.exception) == "not three"
    assert 'raise ValueError("not three")' in failure.traceback
    assert failure.stage.startswith("1 ")


@everywhere
def test_failures_can_be_repaired_downstream(where):
    """A branch of failures is a pipeline like any other."""
    good, bad = Pipeline(["1", "x", "3"], **where).task(int, on_error="branch")
    letters = good.gather(bad.task(lambda failure: failure.item * 2)).task(str)
    assert letters.reduce("", lambda x, all: "".join(sorted(all + x))).wait_for_result() == ["13xx"]


@everywhere
def test_a_failure_whose_exception_cannot_cross_has_its_text(where):
    """Where an exception cannot be pickled a ``StageError`` stands for it; the item and the rest are as they were."""

    def complain(item):
        raise ValueError("no", lambda: item, threading.Lock())

    _, bad = Pipeline([7], **where).task(complain, on_error="branch")
    [failure] = bad.wait_for_result()
    assert failure.item == 7
    assert isinstance(failure.exception, StageError if where["engine"] == "process" else (StageError, ValueError))
    assert "no" in str(failure.exception)
    assert "ValueError" in failure.traceback


def test_inline_waits_for_what_is_slow():
    """With one thread nobody could cut a source that is silent, or a call that hangs: what is late comes late, and is not lost."""

    def source():
        yield 1
        time.sleep(0.2)
        yield 2

    assert Pipeline(source, engine="inline").timeout(0.1).wait_for_result() == [1, 2]
    slow = Pipeline([0.2], engine="inline").task(time.sleep, timeout=0.1).wait_for_result()
    assert slow == [None]


@each_engine
def test_an_unread_branch_of_failures_is_collected(where):
    """Failures that nobody reads are recorded, and the good items come out."""
    good, _bad = Pipeline(["1", "x", "3"], **where).task(int, on_error="branch")
    results = good.wait_for_result()
    assert results == [1, 3]
    assert len(results.errors) == 1


@each_engine
def test_only_the_failures_may_be_read(where):
    """The good items of a branch that nobody awaits are counted as unread."""
    _good, bad = Pipeline(["1", "x", "3"], **where).task(int, on_error="branch")
    failures = bad.wait_for_result()
    assert [failure.item for failure in failures] == ["x"]
    assert failures.report.stages[1].unread == 2


@pytest.mark.parametrize("kind", ["plain", "async"])
@everywhere
def test_what_an_explode_gives_to_an_unread_branch_is_counted_and_not_moved(where, kind):
    """An item that gave something which nobody reads is unread, one that gave nothing is filtered; what is given is not even encoded."""

    def many(x):
        return [threading.Lock() for _ in range(2 // x)]

    async def many_async(x):
        return many(x)

    _, bad = Pipeline([1, 0, 3, 2], **where).explode(many if kind == "plain" else many_async, on_error="branch")
    failures = bad.wait_for_result()
    assert [failure.item for failure in failures] == [0]
    explode = failures.report.stages[1]
    assert (explode.passed, explode.unread, explode.filtered, explode.failed, explode.items_out) == (0, 2, 1, 1, 1)



@each_engine
def test_an_explode_that_fails_half_way_gives_none_or_all_of_what_fits(where):
    """What one item gave before it failed is taken back while it is small."""
    def letters(word):
        yield from word[:2]
        if word == "bad":
            raise ValueError(word)

    assert Pipeline(["ok", "bad", "on"], **where).explode(letters, on_error="skip").wait_for_result() == list("okon")


@each_engine
def test_a_large_explode_that_fails_late_tells_how_much_it_gave(where):
    """Outputs that went out already stay, and ``emitted`` says how many."""
    def numbers(n):
        yield from range(n)
        raise ValueError("at the end")

    good, bad = Pipeline([20_000], queue_size=16, **where).explode(numbers, on_error="branch")
    with good.start([bad]) as run:
        failures = run.iterate(bad)
        came = list(run)
        (failure,) = failures
    assert came == list(range(len(came)))
    assert failure.emitted <= len(came) <= 20_000
    assert failure.emitted > 0


@each_engine
def test_an_on_error_function_that_fails_fails_the_run(where):
    """The error is then what the function raised."""
    def worse(item, error):
        raise KeyError("worse") from error

    with pytest.raises(StageError, match="worse"):
        Pipeline([0], **where).task(lambda x: 1 / x, on_error=worse).wait_for_result()


@each_engine
def test_a_stages_own_policy_beats_the_runs(where):
    """``on_error`` of a stage stands before that of the pipeline."""
    pipeline = Pipeline([1, 0], on_error="skip", **where).task(lambda x: 1 / x)
    assert pipeline.wait_for_result() == [1.0]
    with pytest.raises(StageError):
        pipeline.task(lambda x: 1 / (x - 1), on_error="raise").wait_for_result()


@pytest.mark.parametrize("kind", ["reduce", "scan", "unique", "bucket"])
@each_engine
def test_a_failing_function_of_a_stream_stage_costs_its_item_only(where, kind):
    """Reducers and keys that raise fail their item, under the run's policy."""
    def touch(x, *rest):
        if x == 2:
            raise ValueError("two")
        return x + sum(rest)

    args = {"reduce": (0, touch), "scan": (0, touch), "unique": (touch,), "bucket": (touch, 1)}[kind]
    results = getattr(Pipeline([1, 2, 3], on_error="collect", **where), kind)(*args).wait_for_result()
    assert results == {"reduce": [4], "scan": [1, 4], "unique": [1, 3], "bucket": [[1], [3]]}[kind]
    assert len(results.errors) == 1
    assert "item 1 2" in results.errors[0]


@pytest.mark.parametrize("replacement", [(1,), (1, 2, 3), "ab", 5])
@each_engine
def test_a_splits_replacement_has_a_value_for_each_outlet(where, replacement):
    """What ``on_error`` gives for a split is checked as a result of its function: no value vanishes, and none is missed."""
    left, right = Pipeline([0], **where).split(lambda x: 1 // x, n=2, on_error=lambda item, error: replacement)
    with pytest.raises(StageError, match=r"split function returns a tuple of 2 values|split has 2 outlets"):
        Pipeline.wait_for_all_results([left, right])


FOLDS = {
    "reduce": (lambda p: p.reduce(0, int.__add__), [4]),
    "checkpoint": (lambda p: p.checkpoint(0, int.__add__, lambda total: [total, total]), [4, 4]),
    "bucket": (lambda p: p.bucket(lambda x: x + 0 > 1, 1), [[1], [3]]),
    "scan": (lambda p: p.scan(0, int.__add__), [1, -1, 4]),
    "unique": (lambda p: p.unique(lambda x: x + 0), [1, -1, 3]),
}


@pytest.mark.parametrize("kind", FOLDS)
@each_engine
def test_a_replacement_is_an_output_of_its_item_or_the_item_is_left_out(where, kind):
    """What folds or groups its items has no output for one of them, so that a fold of the others is the result."""
    build, expected = FOLDS[kind]
    results = build(Pipeline([1, "x", 3], on_error=lambda item, error: -1, **where)).wait_for_result()
    assert results == expected
    assert results.report.stages[1].failed == (expected.count(-1) == 0)


@each_engine
def test_a_reduced_value_is_no_replacement(where):
    """``wait_and_reduce`` gives the fold, whatever ``on_error`` gave for an item before its end."""
    assert Pipeline([1, "x", 3], on_error=lambda item, error: -1, **where).wait_and_reduce(0, int.__add__) == 4


# --------------------------------------------------------------------------------------------------------------- retries


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
