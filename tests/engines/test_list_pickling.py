"""``frame_pickling="list"``: items pickled together behave as single ones do, but for what its documentation says."""

from __future__ import annotations

import os
import threading

import pytest

from olympipe_ng import DROP, Pipeline, SerializationError, StageError
from tests.engines.kinds import each_engine, everywhere

LIST = {"frame_pickling": "list", "progress": False}


def record(k):
    return {"number": k, "text": f"text {k}"}


def locked_at(*numbers):
    """Return a task whose results are dicts, and cannot be pickled for some items."""

    def lock(k):
        return {"number": k, "lock": threading.Lock() if k in numbers else None}

    return lock


def numbers_of(items):
    return [item["number"] for item in items]


class Stamped:
    """Remembers every process that loaded it."""

    def __init__(self, pids=()):
        self.pids = pids

    def __reduce__(self):
        return _stamp, (self.pids,)


def _stamp(pids):
    return Stamped((*pids, os.getpid()))


@everywhere
def test_every_kind_of_stage_takes_items_pickled_together(where):
    """Filters, dropped items, explosions, batches, limits and branches give what they give without."""

    def run(options):
        source = Pipeline([record(k) for k in range(300)], **where, **options)
        base = source.task(lambda item: {**item, "more": 1} if item["number"] % 7 else DROP)
        kept = base.filter(lambda item: item["number"] % 3)
        exploded = kept.explode(lambda item: [item, {"number": -item["number"]}]).batch(7).skip(2).limit(20)
        low, high = base.split(lambda item: (item, None) if item["number"] < 100 else (None, item), n=2)
        joined = base.task(lambda item: [item]).zip(base.task(lambda item: {"twin": item}))
        again = kept.rejoin(base.task(lambda item: item["text"]))
        return Pipeline.wait_for_all_results([exploded, low, high, joined, again, kept.window(3)])

    assert list(run(LIST)) == list(run({}))


@each_engine
@pytest.mark.parametrize("count", [1, 3])
def test_order_is_kept(where, count):
    """Whatever is packed with what."""
    source = Pipeline([record(k) for k in range(2000)], **where, **LIST)
    chain = source.task(lambda item: item, count=count).task(lambda item: item, count=count)
    assert numbers_of(chain.wait_for_result()) == list(range(2000))


@each_engine
def test_only_the_guilty_item_fails(where):
    """Of many results that are pickled together, one that cannot be is that item's failure, recorded as ever."""
    results = Pipeline(range(500), **where, **LIST, on_error="collect").task(locked_at(7, 300)).wait_for_result()
    assert numbers_of(results) == [k for k in range(500) if k not in (7, 300)]
    assert len(results.errors) == 2
    assert "lock" in results.errors[0]
    assert "item 7" in results.errors[0]


@each_engine
def test_a_filter_fails_for_what_it_keeps(where):
    """Where the item itself does not travel on."""

    def spoil(item):
        item["lock"] = threading.Lock() if item["number"] == 40 else None
        return item["number"] % 2 == 0

    results = Pipeline([record(k) for k in range(100)], **where, **LIST, on_error="skip").filter(spoil).wait_for_result()
    assert numbers_of(results) == [k for k in range(0, 100, 2) if k != 40]


@each_engine
def test_what_came_before_an_unpicklable_result_comes_out(where):
    """With ``"raise"``: the elders in order, then the error with its index."""
    came = []
    with pytest.raises(SerializationError) as caught:
        came.extend(numbers_of([item]) for item in Pipeline(range(500), **where, **LIST).task(locked_at(123)))
    assert came == [[k] for k in range(123)]
    assert caught.value.index == 123


@each_engine
def test_policies_hold_for_unpicklable_results(where):
    """A replacement stands in the item's place; a failure branch gets the item."""
    replaced = Pipeline(range(200), **where, **LIST).task(
        locked_at(50), on_error=lambda item, error: {"number": (item, type(error).__name__)}
    )
    assert numbers_of(replaced.wait_for_result())[49:52] == [49, (50, "TypeError"), 51]
    good, bad = Pipeline(range(200), **where, **LIST).task(locked_at(50), on_error="branch")
    good_results, bad_results = Pipeline.wait_for_all_results([good, bad])
    assert numbers_of(good_results) == [k for k in range(200) if k != 50]
    assert [(failure.item, failure.index) for failure in bad_results] == [(50, 50)]


@each_engine
def test_an_unpicklable_result_is_tried_again(where):
    """Retries are for these as well, and others' results come once each."""
    tries = []

    def sometimes(k):
        tries.append(k)
        return {"number": k, "lock": threading.Lock() if k == 30 and tries.count(30) == 1 else None}

    assert numbers_of(Pipeline(range(100), **where, **LIST, retries=1).task(sometimes).wait_for_result()) == list(range(100))


@each_engine
def test_a_failure_behind_what_waits_keeps_its_place(where):
    """A function that raises: what was computed before comes out before."""

    def fail(k):
        if k == 60:
            raise ValueError(k)
        return {"number": k}

    came = []
    with pytest.raises(StageError) as caught:
        came.extend(Pipeline(range(100), **where, **LIST).task(fail))
    assert (numbers_of(came), caught.value.index) == (list(range(60)), 60)


@each_engine
@pytest.mark.parametrize("kind", [list, iter, lambda items: (item for item in items)], ids=["list", "iterator", "generator"])
def test_a_source_leaves_out_only_what_cannot_be_pickled(where, kind):
    """Whether its items are there at once or one by one; each item keeps its index."""
    items = [{"number": k, "lock": threading.Lock() if k in (3, 90) else None} for k in range(200)]
    results = Pipeline(lambda: kind(items), **where, **LIST, on_error="collect").task(lambda item: item).wait_for_result()
    assert numbers_of(results) == [k for k in range(200) if k not in (3, 90)]
    assert [f"item {k} {{" in error for k, error in zip((3, 90), results.errors, strict=True)] == [True, True]
    with pytest.raises(SerializationError) as caught:
        Pipeline(lambda: kind(items), **where, **LIST).task(lambda item: item).wait_for_result()
    assert caught.value.index == 3


@each_engine
def test_a_source_that_raises_gives_what_it_had(where):
    """Items that wait to be pickled together come out before the error, which has the right index."""

    def numbers():
        yield from map(record, range(70))
        raise OSError("no more")

    came = []
    with pytest.raises(Exception, match="no more") as caught:
        came.extend(Pipeline(numbers, **where, **LIST).task(lambda item: item))
    assert (numbers_of(came), caught.value.index) == (list(range(70)), 70)


def test_the_supervisor_loads_nothing():
    """Batches and tuples are made of packs that nobody opened on the way: items are loaded by the last stage and the caller only."""
    items = [Stamped() for _ in range(50)]
    batches = Pipeline(items, **LIST, start_method="fork").batch(5).enumerate()
    pipeline = batches.task(lambda pair: (os.getpid(), [item.pids for item in pair[1]]))
    for pid, seen in pipeline.wait_for_result():
        assert seen == [(pid,)] * 5


@each_engine
def test_two_occurrences_of_an_item_are_two_objects(where):
    """What a stage does to an item of one window is not seen in the next."""

    def spoil(window):
        seen = [item["number"] for item in window]
        for item in window:
            item["number"] = "spoilt"
        return seen

    results = Pipeline([record(k) for k in range(10)], **where, **LIST).window(3).task(spoil).wait_for_result()
    assert list(results) == [[k, k + 1, k + 2] for k in range(8)]


def test_the_environment_may_ask_for_it(monkeypatch):
    """As for every run option; what is neither is a mistake."""
    monkeypatch.setenv("OLYMPIPE_NG_FRAME_PICKLING", "list")
    shared = ["shared"]
    results = Pipeline([{"k": k, "shared": shared} for k in range(1000)], start_method="fork").wait_for_result()
    assert len({id(item["shared"]) for item in results}) < 500
    monkeypatch.setenv("OLYMPIPE_NG_FRAME_PICKLING", "neither")
    with pytest.raises(ValueError, match="frame_pickling must be one of 'item', 'list', got 'neither'"):
        Pipeline([1])
