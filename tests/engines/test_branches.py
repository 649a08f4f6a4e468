"""Branches: each sees every item, whatever its neighbours do."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from olympipe_ng import Pipeline, StageError, current_item
from tests.engines.kinds import METHODS, each_engine, everywhere, in_threads

RECORDS = [{"email": k % 3 > 0, "phone": k % 2 > 0} for k in range(300)]


def has_email(record):
    return record["email"]


def branching(**options):
    """Return the three sinks of the client-data example."""
    clients = Pipeline(RECORDS, **options)
    missing = clients.filter(lambda c: not has_email(c))
    valid = clients.filter(has_email)
    return [missing, valid.filter(lambda c: not c["phone"]), valid.filter(lambda c: c["phone"])]


@pytest.mark.timeout(300)  # 120 fresh interpreters with spawn
@pytest.mark.parametrize("method", METHODS)
def test_every_record_is_in_exactly_one_of_three_lists_twenty_times_of_twenty(method):
    """The branching example loses nothing and repeats nothing, in any run, under any start method."""
    expected = [[r for r in RECORDS if not r["email"]], *([r for r in RECORDS if r["email"] and r["phone"] is p] for p in (False, True))]
    for _ in range(20):
        assert Pipeline.wait_for_all_results(branching(start_method=method)) == expected


@everywhere
def test_branches_give_the_same_everywhere(where):
    """The branching example under every engine."""
    a, b, c = Pipeline.wait_for_all_results(branching(**where))
    assert len(a) + len(b) + len(c) == len(RECORDS)


@in_threads
def test_a_limit_in_one_branch_does_not_starve_the_other(where):
    """A branch that has enough leaves the whole source to its neighbour."""
    numbers = Pipeline(range(2000), **where).task(abs)
    few, all_of_them = numbers.limit(3), numbers.task(lambda x: -x)
    assert Pipeline.wait_for_all_results([few, all_of_them]) == [[0, 1, 2], [-x for x in range(2000)]]


@in_threads
def test_one_half_of_a_split_can_be_iterated_while_nobody_reads_the_other(where):
    """``for x in train`` gives all of it; what goes to the unread half counts as unread."""
    train, _val = Pipeline(range(3000), **where).split(lambda x: (x, None) if x % 10 else (None, x), n=2)
    with train.start() as run:
        assert list(run) == [x for x in range(3000) if x % 10]
        split = run.report().stages[1]
    assert (split.passed, split.unread) == (2700, 300)


@each_engine
def test_a_loop_over_one_half_of_a_split_needs_nobody_at_the_other(where, caplog):
    """``for x in train`` on a one-shot source; one log line says what nobody read."""
    train, _val = Pipeline(iter(range(10)), **where).split(lambda x: (x, None) if x % 2 else (None, x), n=2)
    came = []
    for item in train:
        came.append(item)
    assert came == [1, 3, 5, 7, 9]
    assert caplog.text.count("a branch that nobody awaits") == 1


@pytest.mark.parametrize("slow", ["left", "right"])
@each_engine
def test_a_zip_ends_with_its_shortest_arm_whatever_fails_behind_it(where, slow):
    """The row at which one arm fails and another of the same source has ended is no row: however the two are timed."""

    def fail_at(x):
        time.sleep(0.05 * (slow == "left"))
        if x >= 2:
            raise ValueError(x)
        return x

    def take_two(x):
        time.sleep(0.05 * (slow == "right"))
        return x

    numbers = Pipeline(range(6), **where)
    short = numbers.task(take_two).limit(2)
    assert numbers.task(fail_at).zip(short).wait_for_result() == [(0, 0), (1, 1)]
    with pytest.raises(StageError, match="item 2"):
        numbers.task(fail_at).zip(numbers.task(take_two).limit(3)).wait_for_result()


@in_threads
def test_both_halves_of_a_split_may_be_read_together(where):
    """``train`` and ``val`` are iterated in turns, from one run."""
    train, val = Pipeline(range(40), **where).split(lambda x: (x, None) if x % 2 else (None, x), n=2)
    with train.start([val]) as run:
        odd, even = run.iterate(train), run.iterate(val)
        assert [item for pair in zip(odd, even, strict=True) for item in pair] == [k + d for k in range(0, 40, 2) for d in (1, 0)]


@each_engine
def test_of_an_item_of_which_one_branch_cannot_be_sent_no_branch_is(where):
    """It fails as a whole, and its neighbours keep their places."""
    left, right = Pipeline(range(4), on_error="collect", **where).split(lambda x: (x, threading.Lock() if x == 2 else -x), n=2)
    results = Pipeline.wait_for_all_results([left.task(lambda x: (x, current_item().index)), right])
    assert results == [[(0, 0), (1, 1), (3, 3)], [0, -1, -3]]
    assert len(results.errors) == 1
    assert "item 2" in results.errors[0]


@each_engine
def test_only_what_the_awaited_sinks_need_is_run(where):
    """A branch that nobody awaits does not run."""
    numbers = Pipeline([1, 2], **where)
    numbers.task(lambda x: 1 / 0)
    assert numbers.task(lambda x: -x).wait_for_result() == [-1, -2]


@in_threads
def test_arms_of_very_unequal_rates_do_not_deadlock(where):
    """A zip of one arm that gives a hundred for each item, and one that gives one: the waiting arm grows, nothing hangs."""
    numbers = Pipeline(range(100), queue_size=2, **where)
    many, one = numbers.explode(lambda x: [x] * 100), numbers.filter(lambda x: x % 50 == 49)
    with pytest.warns(UserWarning, match="rejoin"):
        zipped = many.zip(one)
    assert zipped.wait_for_result() == [(0, 49), (0, 99)]


WAITING = {
    "timeout": (lambda p: p.filter(lambda x: x % 50 == 49).timeout(1.0), [49, 99]),
    "batch within": (lambda p: p.batch(50, within=60.0), [list(range(50)), list(range(50, 100))]),
}


@each_engine
@pytest.mark.parametrize("kind", WAITING)
@pytest.mark.filterwarnings("ignore:.*rejoin")
def test_an_arm_that_also_waits_for_its_time_does_not_deadlock(kind, where):
    """The waiting arm grows at once: the time of the other runs while its items come, so no stream is cut, no batch incomplete."""
    numbers = Pipeline(range(100), queue_size=2, **where)
    arm, gives = WAITING[kind]
    assert arm(numbers).zip(numbers).wait_for_result() == list(zip(gives, range(2), strict=True))


@each_engine
def test_a_sink_is_read_before_another_that_stands_behind_a_timeout(where):
    """What nobody reads yet grows at once; the timeout's own time is not waited for."""
    numbers = Pipeline(range(100), queue_size=2, **where)
    total, watched = numbers.reduce(0, lambda item, total: item + total), numbers.timeout(60.0)
    with total.start([watched]) as run:
        first, second = iter(run), run.iterate(watched)
        assert (list(first), list(second)) == ([4950], list(range(100)))


@in_threads
def test_a_rejoin_gives_each_item_with_what_became_of_it(where):
    """An item that one arm dropped is dropped, or filled in, and the order is the source's."""
    numbers = Pipeline(range(500), queue_size=3, **where)
    rare, all_of_them = numbers.filter(lambda x: x % 100 == 7), numbers.task(lambda x: -x, count=2)
    assert rare.rejoin(all_of_them).wait_for_result() == [(x, -x) for x in range(7, 500, 100)]
    filled = all_of_them.rejoin(rare, missing=None).wait_for_result()
    assert filled == [(-x, x if x % 100 == 7 else None) for x in range(500)]


@in_threads
def test_a_gather_keeps_the_order_of_each_branch(where):
    """Merged items come as they come, those of one branch in their order."""
    numbers = Pipeline(range(200), **where)
    merged = numbers.task(lambda x: (0, x), count=2).gather(numbers.task(lambda x: (1, x))).wait_for_result()
    assert [[x for arm, x in merged if arm == k] for k in (0, 1)] == [list(range(200))] * 2


@in_threads
def test_two_sources_run_together(where):
    """Sinks of several graphs are run in one go."""
    first, second = Pipeline(range(5), **where).task(abs), Pipeline(["a", "b"], **where)
    assert Pipeline.wait_for_all_results([first, second.task(str.upper)]) == [[0, 1, 2, 3, 4], ["A", "B"]]
    endless = Pipeline(itertools.count, **where)
    assert list(itertools.islice(first.zip(endless), 10)) == [(k, k) for k in range(5)]
