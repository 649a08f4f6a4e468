"""What becomes of an item that failed: ``on_error`` in all its forms."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from olympipe_ng import DROP, Failure, Pipeline, StageError
from tests.engines.kinds import each_engine, everywhere

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


def test_inline_waits_for_set_ups_that_are_slow():
    """They are made one after the other: ``setup_timeout`` counts neither those of other stages and workers nor one's own."""
    slow = Pipeline([-1, -2], engine="inline", initializer=lambda: time.sleep(0.1)).task(abs)
    assert slow.task(abs, setup_timeout=0.15).wait_for_result() == [1, 2]
    assert slow.task(abs, count=2, setup_timeout=0.05).wait_for_result() == [1, 2]


def test_inline_cancels_a_coroutine_that_is_late():
    """It can: the loop of that coroutine runs in the one thread that there is."""
    late = Pipeline([60], engine="inline").task(asyncio.sleep, timeout=0.1, on_error="collect").wait_for_result()
    assert "took longer than timeout=0.1 s" in late.errors[0]


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


@each_engine
def test_plain_numbers_that_nobody_reads_are_counted_as_unread_however_many_come_together(where):
    """They are not moved either: what cheap items give is taken by the shortest way only where somebody reads it."""
    _good, bad = Pipeline(range(2000), **where).task(lambda x: 1 / (x % 100), on_error="branch")
    divide = bad.wait_for_result().report.stages[1]
    assert (divide.passed, divide.unread, divide.failed, divide.items_out) == (0, 1980, 20, 20)


@each_engine
def test_of_a_filter_whose_failures_alone_are_read_what_it_would_keep_is_unread(where):
    """And what it would not keep is filtered, as ever."""
    _kept, bad = Pipeline([0, 1, 2, "x", 4], **where).filter(lambda x: x % 2 == 0, on_error="branch")
    failures = bad.wait_for_result()
    stage = failures.report.stages[1]
    assert (stage.unread, stage.filtered, stage.failed) == (3, 1, 1)


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
