"""What a function knows of its item: where it comes from, and random numbers that are the same wherever it is run."""

from __future__ import annotations

import asyncio
import random

import numpy as np
import pytest

from olympipe_ng import Pipeline, current_item, current_worker
from tests.engines.kinds import each_engine, everywhere, in_processes


@everywhere
def test_current_item_knows_where_an_item_comes_from(where):
    """The index survives filters and explodes; a batch has the indices of all its items, a zip those of both arms."""
    numbers = Pipeline(range(10, 20), **where).filter(lambda x: x % 2)
    assert numbers.task(lambda x: current_item().index).wait_for_result() == [1, 3, 5, 7, 9]
    assert numbers.explode(lambda x: "ab").task(lambda x: current_item().index).wait_for_result() == [1, 1, 3, 3, 5, 5, 7, 7, 9, 9]
    assert numbers.batch(2).task(lambda x: current_item().indices).wait_for_result() == [(1, 3), (5, 7), (9,)]
    other = Pipeline(["xyz"] * 3, **where)
    assert numbers.skip(2).zip(other).task(lambda x: current_item().indices).wait_for_result() == [(5, 0), (7, 1), (9, 2)]
    assert other.gather(numbers).task(lambda x: current_item().source).reduce(0, lambda x, n: n + x).wait_for_result() in ([5], [3])


@each_engine
def test_current_item_works_in_every_function_of_a_stage(where):
    """Filters, splits, keys, reducers, threads, coroutines and ``on_error`` functions."""
    def at(*item):
        return current_item().index

    async def later(item):
        await asyncio.sleep(0)
        return current_item().index

    def fail(x):
        raise ValueError

    numbers = Pipeline(list("abcd"), **where)
    assert numbers.filter(lambda x: at() % 2).wait_for_result() == ["b", "d"]
    assert numbers.task(at, threads=3).wait_for_result() == [0, 1, 2, 3]
    assert numbers.task(later).wait_for_result() == [0, 1, 2, 3]
    assert numbers.scan(0, at).wait_for_result() == [0, 1, 2, 3]
    assert numbers.unique(lambda x: at() // 2).wait_for_result() == ["a", "c"]
    assert numbers.task(fail, on_error=at).wait_for_result() == [0, 1, 2, 3]
    with pytest.raises(LookupError, match="current_item"):
        current_item()


def where_am_i(item):
    """Say where this is, and at which item if there is one, again and again; and at the end."""
    try:
        for _ in range(40):
            yield current_worker().stage, item and current_item().rng.random()
    finally:
        SEEN.append(current_worker().stage)


SEEN = []


@pytest.mark.parametrize("kind", ["explode", "checkpoint"])
@each_engine
def test_what_has_waited_for_room_is_still_where_it_was(where, kind):
    """Inline other stages have run in the same thread meanwhile: it is not in theirs, nor at their items."""
    SEEN.clear()
    one = Pipeline([7], seed=3, **where)
    spread = one.explode(where_am_i, name="spread") if kind == "explode" else one.checkpoint(0, min, where_am_i)
    found = spread.task(lambda x: x, queue_size=1).batch(3).task(lambda x: x, queue_size=1).explode()
    name = "spread" if kind == "explode" else "min"
    draws = found.limit(30).wait_for_result()
    assert [stage for stage, _ in draws] == [name] * 30
    assert len({drawn for _, drawn in draws}) == 1
    assert set(SEEN) <= {name}


def draw(x):
    return random.random(), float(np.random.rand())


def draw_own(x):
    return current_item().rng.random()


@in_processes
def test_with_a_seed_global_generators_give_the_same_for_any_count(where):
    """``random`` and NumPy are seeded for each item from seed, stage and origin."""
    one, many = (Pipeline(range(30), seed=7, **where).task(draw, count=count).wait_for_result() for count in (1, 3))
    assert one == many
    assert len(set(one)) == 30
    assert one != Pipeline(range(30), seed=8, **where).task(draw).wait_for_result()


async def draw_later(x):
    return draw(x)


SEEDED = {
    "filter": lambda p: p.filter(lambda x: random.random() < 0.5),
    "split": lambda p: p.split(lambda x: (draw(x), None), n=2)[0],
    "explode": lambda p: p.explode(lambda x: [draw(x), draw(x)], count=2),
    "async": lambda p: p.task(draw_later, concurrency=1),
    "async explode": lambda p: p.explode(draw_later, concurrency=1),
    "scan": lambda p: p.scan((), lambda x, drawn: draw(x)),
    "reduce": lambda p: p.reduce((), lambda x, drawn: (*drawn, *draw(x))),
    "unique": lambda p: p.unique(lambda x: int(draw(x)[0] * 20)),
    "bucket": lambda p: p.bucket(lambda x: draw(x)[0] < 0.5, 3),
}


@pytest.mark.parametrize("kind", SEEDED)
def test_with_a_seed_every_function_of_a_stage_draws_the_same_again(kind):
    """The global generators are seeded for each item in process stages of one thread, whatever their shape."""
    drawing = SEEDED[kind](Pipeline(range(30), seed=7, start_method="fork"))
    drawn = drawing.wait_for_result()
    assert drawn
    assert drawn == drawing.wait_for_result()
    assert drawn != drawing.options(seed=8).wait_for_result()


@everywhere
def test_with_a_seed_the_items_own_generator_gives_the_same_everywhere(where):
    """``current_item().rng`` depends on seed, stage and origin only."""
    came = Pipeline(range(20), seed=7, **where).task(draw_own, count=2, threads=2).wait_for_result()
    assert came == Pipeline(range(20), seed=7, engine="inline").task(draw_own).wait_for_result()
    assert len(set(came)) == 20


@in_processes
def test_without_a_seed_workers_draw_numbers_of_their_own(where):
    """Forked workers do not all draw the caller's next number."""
    first, second = Pipeline([1], **where).task(draw).wait_for_result() + Pipeline([1], **where).task(draw).wait_for_result()
    assert first != second


@everywhere
def test_a_shuffle_takes_its_order_from_the_seed(where):
    """The same seed, the same order; another seed, another."""
    shuffled = Pipeline(range(50), seed=1, **where).shuffle()
    assert shuffled.wait_for_result() == Pipeline(range(50), seed=1, engine="inline").shuffle().wait_for_result()
    assert shuffled.options(seed=2).wait_for_result() != shuffled.wait_for_result()
