"""``rejoin`` in whole runs: what may stand before its fork and in its arms, and that nothing piles up before it."""

from __future__ import annotations

import itertools
import time

import pytest

from olympipe_ng import Pipeline, StageError
from tests.engines.kinds import each_engine

FORKS = {
    "batch": lambda p: p.batch(4),
    "batch of what a filter kept": lambda p: p.filter(lambda x: x % 3).batch(4),
    "batch of batches": lambda p: p.batch(2).batch(3),
    "batch within": lambda p: p.batch(4, within=30.0),
    "temporal_batch": lambda p: p.temporal_batch(0.01),
    "window": lambda p: p.window(3),
    "window with gaps": lambda p: p.window(2, 5),
    "repeat": lambda p: p.repeat(3),
    "zip": lambda p: p.zip(p.task(abs)),
    "skip": lambda p: p.skip(7),
    "rejoin": lambda p: p.rejoin(p.task(abs)),
    "batch out of order": lambda p: p.task(abs, 2, ordered=False).batch(4),
}


def is_even(item):
    return sum(map(int, filter(str.isdigit, str(item)))) % 2 == 0


@each_engine
@pytest.mark.parametrize("kind", FORKS)
def test_a_fork_behind_a_stage_that_joins_source_items_is_rejoined_item_by_item(kind, where):
    """A batch, a window, a pair stand for the items in them: those of two arms are never mixed up, none is lost, order is kept."""
    base = FORKS[kind](Pipeline(range(60), queue_size=8, **where))
    even, text = base.filter(is_even), base.task(str, 2)
    everything, dropped, filled = base.wait_for_results([even.rejoin(text), even.rejoin(text, missing=None)])
    if "out of order" in kind:
        everything, dropped, filled = (sorted(items, key=str) for items in (everything, dropped, filled))
        filled.sort(key=lambda pair: pair[1])
    assert filled == [(item if is_even(item) else None, str(item)) for item in everything]
    assert dropped == [(item, str(item)) for item in everything if is_even(item)]


@each_engine
@pytest.mark.parametrize("missing", [None, False, 1.5, "no", b"no", 1j, frozenset({1}), Ellipsis], ids=repr)
def test_whatever_the_user_gives_may_stand_for_what_is_missing(missing, where):
    """A plain value stands among encoded items as it is; anything else (a complex number, a set) is encoded like an item."""
    base = Pipeline(range(3), **where)
    assert base.filter(is_even).rejoin(base.task(str), missing=missing).wait_for_result() == [(0, "0"), (missing, "1"), (2, "2")]


ARMS = {
    "task": lambda p: p.task(abs),
    "enumerate": lambda p: p.enumerate(),
    "skip": lambda p: p.skip(3),
    "unique": lambda p: p.unique(lambda x: x if isinstance(x, list) else x // 100),
    "scan": lambda p: p.scan(0, lambda item, count: count + 1),
    "limit": lambda p: p.limit(100_000),
    "timeout": lambda p: p.timeout(60.0),
    "throttle": lambda p: p.throttle(100_000),
    "rejoin": lambda p: p.rejoin(p.task(abs)),
    "two": lambda p: p.skip(1).enumerate(),
}
ENDLESS = 100_000  # far more than any bound, and few enough for a failing test to end


@each_engine
@pytest.mark.parametrize("kind", ARMS)
def test_an_endless_source_is_rejoined_as_it_comes(kind, where):
    """Whatever stands in an arm, a row leaves when it is known: the source is not read to its end, and nothing piles up."""
    drawn = itertools.count()

    def source():
        while next(drawn) < ENDLESS:
            yield next(numbers)

    numbers = itertools.count()
    base = Pipeline(source, queue_size=8, **where)
    rows = base.rejoin(ARMS[kind](base), missing=None).limit(5).wait_for_result()
    assert [row[0] for row in rows] == list(range(5))
    assert next(drawn) < 1000


SPARSE = {
    "uncache": lambda p: p.uncache(),
    "throttle": lambda p: p.throttle(100_000),
    "latest": lambda p: p.latest(3),
    "rejoin": lambda p: p.rejoin(p.filter(lambda x: x < 0)),
    "throttle of a rejoin": lambda p: p.rejoin(p.filter(lambda x: x < 0)).throttle(100_000),
}


@each_engine
@pytest.mark.parametrize("kind", SPARSE)
def test_an_arm_through_which_little_comes_tells_how_far_it_is(kind, where):
    """Also one that holds items back for a while: the rows of the other arm come, of an endless source too, and its error."""
    drawn = itertools.count()
    base = Pipeline(lambda: (next(drawn) for _ in range(ENDLESS)), queue_size=8, **where)
    few = SPARSE[kind](base.filter(lambda x: x < 2))
    rows = []
    with pytest.raises(StageError, match="not 5"):
        rows.extend(few.rejoin(base.task(fail_at(5)), missing=None))
    given = [None, None] if "rejoin" in kind else [0, 1]
    assert rows == [(given[0], 0), (given[1], 1), (None, 2), (None, 3), (None, 4)]
    assert next(drawn) < 1000


@each_engine
def test_a_rejoin_that_drops_every_row_does_not_hold_back_the_one_behind_it(where):
    """It says how far it is, though nothing comes out of it: an endless source is rejoined as it comes."""
    drawn = itertools.count()
    base = Pipeline(lambda: iter(lambda: next(drawn), ENDLESS), queue_size=8, **where)
    nothing = base.filter(lambda x: x < 0).rejoin(base)
    rows = base.rejoin(nothing, base.rejoin(nothing, missing=None), missing=None).limit(3).wait_for_result()
    assert rows == [(item, None, (item, None)) for item in range(3)]
    assert next(drawn) < 1000


@each_engine
def test_batches_of_an_endless_source_are_rejoined_as_they_come(where):
    """The batch before the fork tells its arms how far they are."""
    base = Pipeline(itertools.count, queue_size=8, **where).batch(4)
    rows = base.task(sum).rejoin(base.filter(lambda batch: batch[0] % 8)).limit(3).wait_for_result()
    assert rows == [(sum(batch), batch) for batch in ([4, 5, 6, 7], [12, 13, 14, 15], [20, 21, 22, 23])]


@each_engine
@pytest.mark.parametrize("kind", ["batch", "window"])
def test_an_error_behind_such_a_fork_comes_after_all_rows_before_it(kind, where):
    """The row before the item that failed comes out first, though a window shares source items with it."""

    def fail_at_six(item):
        if item[0] == 6:
            raise ValueError("six")
        return item[0]

    base = Pipeline(range(60), **where)
    base = base.batch(2) if kind == "batch" else base.window(3)
    came = []
    with pytest.raises(StageError, match="six"):
        for first, _ in base.task(fail_at_six).rejoin(base.task(list)):
            came.append(first)
    assert came == ([0, 2, 4] if kind == "batch" else [0, 1, 2, 3, 4, 5])


def fail_at(number):
    def check(item):
        if item == number:
            raise ValueError(f"not {number}")
        return item

    return check


def linger(item):
    """Take longer than the other arm, which has failed by then."""
    time.sleep(0.03)
    return item


@each_engine
def test_rows_that_a_slower_arm_still_makes_come_before_an_error(where):
    """The quick arm dropped them; it has failed long before the slow one gives what stands in them."""
    base = Pipeline(range(6), **where)
    quick, slow = base.filter(lambda x: x > 2).task(fail_at(3)), base.task(linger)
    rows = []
    with pytest.raises(StageError, match="not 3") as caught:
        rows.extend(quick.rejoin(slow, missing=None))
    assert rows == [(None, 0), (None, 1), (None, 2)]
    assert caught.value.index == 3


@each_engine
def test_rows_that_a_slower_rejoin_in_an_arm_still_makes_come_before_an_error(where):
    """Rejoined branches are an arm like any other: it tells how far it is, and what it holds before the item that failed comes first."""
    base = Pipeline(range(6), **where)
    quick, slow = base.filter(lambda x: x > 2).task(fail_at(3)), base.task(linger)
    inside, outside = [], []
    with pytest.raises(StageError, match="not 3"):
        inside.extend(quick.rejoin(slow.rejoin(base), missing=None))
    with pytest.raises(StageError, match="not 3"):
        outside.extend(slow.rejoin(quick.rejoin(base), missing=None))
    assert inside == [(None, (x, x)) for x in range(3)]
    assert outside == [(x, None) for x in range(3)]


@each_engine
def test_of_two_errors_before_a_rejoin_the_one_earlier_in_order_wins(where):
    """The later one comes first in time: in the branch that the earlier item did not take."""
    base = Pipeline(range(4), **where).task(fail_at(1))
    even, odd = base.split(lambda x: (x, None) if x % 2 == 0 else (None, x), 2)
    with pytest.raises(StageError, match="not 0") as caught:
        list(even.task(linger).task(fail_at(0)).rejoin(odd))
    assert caught.value.index == 0


@each_engine
def test_an_arm_that_gives_nothing_more_does_not_hold_back_an_error(where):
    """It says how far it is: an endless source must not run for ever behind an error."""
    base = Pipeline(itertools.count, **where)
    rows = []
    with pytest.raises(StageError, match="not 5"):
        rows.extend(base.filter(lambda x: x < 2).rejoin(base.task(fail_at(5)), missing=None))
    assert rows == [(0, 0), (1, 1), (None, 2), (None, 3), (None, 4)]


BEHIND = {"nothing": lambda p: p, "unique": lambda p: p.unique(), "scan": lambda p: p.scan(0, lambda x, _: x)}


@each_engine
@pytest.mark.parametrize("between", BEHIND.values(), ids=BEHIND)
def test_an_item_that_comes_late_in_an_arm_out_of_order_is_not_lost(where, between):
    """What came out of a stage behind ``ordered=False`` says nothing of its elders: the first item is tried again, and comes last."""
    failed = []

    def fail_first(x):
        if x == 0 and not failed:
            failed.append(x)
            raise OSError("not yet")
        return x

    numbers = Pipeline(range(40), **where)
    late = between(numbers.task(fail_first, ordered=False, retries=1, backoff=0.2))
    assert late.rejoin(numbers).wait_for_result() == [(x, x) for x in range(40)]
