"""Anything may be an item: ``None``, exceptions, classes, functions, arrays; and items are snapshots."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import functools
import operator
import re
import threading

import numpy as np
import pytest

from olympipe_ng import DROP, Pipeline, StageError, current_item
from olympipe_ng.engines.codecs import HubCodec
from olympipe_ng.transport.encoding import decode
from tests.engines.graphs import plain
from tests.engines.kinds import each_engine, everywhere, in_threads
from tests.engines.test_errors import NotLoadable

Point = collections.namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Record:
    name: str
    tags: list


ITEMS = [
    None, Ellipsis, NotImplemented, (), [], "", b"", 0, False, float("nan"), 1 + 2j, 2**70, [None], (None,), {}, {1: None}, frozenset(),
    ValueError("item"), KeyError("k"), StopIteration(3), SystemExit(1), KeyboardInterrupt(), ValueError, int, type, Record, Colour.RED,
    Record("a", [1]), Point(1, 2), range(3), slice(1, 2), datetime.datetime(2024, 1, 2), np.float32(1.5), np.arange(6).reshape(2, 3).T,
    np.array(["a", None], dtype=object), np.array(5), np.zeros((0, 3)), np.arange(100_000), bytearray(b"xy"), memoryview, print, len,
    functools.partial(max, 1), operator.itemgetter(1), collections.OrderedDict(a=1), collections.Counter("aab"), collections.deque([1], 2),
]  # fmt: skip


def known(item):
    return repr(plain(item)), type(item)


@everywhere
def test_any_object_is_an_item_like_any_other(where):
    """Nothing is taken for an end, an error or an absence: what goes in comes out, through stages with and without functions."""
    came = Pipeline(ITEMS, **where).task(lambda x: x, count=2).batch(4).explode().enumerate().starmap(lambda k, x: x).wait_for_result()
    assert list(map(known, came)) == list(map(known, ITEMS))


@everywhere
def test_exceptions_that_are_returned_are_results(where):
    """Only what is raised is a failure."""
    came = Pipeline([1, 2], **where).task(lambda x: ValueError(x) if x == 1 else StopIteration(x)).wait_for_result()
    assert [type(each) for each in came] == [ValueError, StopIteration]


class Refused(Exception):
    def __init__(self, code, why):
        super().__init__(f"{code}: {why}")
        self.code = code


@everywhere
@pytest.mark.parametrize("frame_pickling", ["item", "list"])
def test_exceptions_of_the_users_own_are_results_whatever_their_init_takes(where, frame_pickling):
    """Also within something else, and behind another stage."""
    base = Pipeline([401, 404], frame_pickling=frame_pickling, **where).task(lambda code: (code, Refused(code, "no")))
    came = base.task(lambda pair: pair).wait_for_result()
    assert [type(error) for _, error in came] == [Refused, Refused]
    assert [(str(error), error.code) for _, error in came] == [("401: no", 401), ("404: no", 404)]


@everywhere
@pytest.mark.parametrize("frame_pickling", ["item", "list"])
def test_cheap_items_that_are_run_together_fail_each_for_itself(where, frame_pickling):
    """Whose function raised, whose result cannot be pickled, and whose cannot be loaded; and each knows which it is."""

    def work(item):
        if item["number"] == 137:
            raise ValueError("no such number")
        if item["number"] == 201:
            return {"lock": threading.Lock()}
        if item["number"] == 303 and frame_pickling == "item":  # else what was pickled together fails together
            return {"sour": NotLoadable()}
        return {"number": item["number"], "index": current_item().index}

    numbers = Pipeline(({"number": k} for k in range(400)), on_error="collect", frame_pickling=frame_pickling, **where)
    results = numbers.task(work).task(lambda x: {**x, "again": current_item().index}).wait_for_result()
    lost = {137: "no such number", 201: "lock"} | ({303: "cannot be loaded"} if frame_pickling == "item" else {})
    assert results == [{"number": k, "index": k, "again": k} for k in range(400) if k not in lost]
    for (number, words), error in zip(lost.items(), results.errors, strict=True):
        assert re.search(f"'work'.* item {number}\\b.*{words}", error)


@each_engine
def test_only_drop_drops(where):
    """``None`` and falsy results are results; ``DROP`` is none, and counts as filtered."""
    results = Pipeline([None, 0, "", DROP, 1], **where).task(lambda x: x).wait_for_result()
    assert results == [None, 0, "", 1]
    assert results.report.stages[1].filtered == 1
    assert Pipeline([1, None, 2], **where).filter().wait_for_result() == [1, 2]


def twice_if_odd(x):
    return [x, DROP, x] if x % 2 else DROP


async def twice_if_odd_later(x):
    return twice_if_odd(x)


async def yield_twice_if_odd(x):
    for element in twice_if_odd(x) or [DROP]:
        yield element


@pytest.mark.parametrize("function", [twice_if_odd, twice_if_odd_later, yield_twice_if_odd])
@each_engine
def test_drop_in_an_explode_is_nothing(where, function):
    """``DROP`` is no item, as one of the elements or as all there is; an item that gives nothing counts as filtered."""
    results = Pipeline([1, 2, 3], **where).explode(function).wait_for_result()
    assert results == [1, 1, 3, 3]
    assert results.report.stages[1].filtered == 1


FOLDS = {
    "scan": (lambda p, f: p.scan(0, f), [1, 4]),
    "reduce": (lambda p, f: p.reduce(0, f), [4]),
    "checkpoint": (lambda p, f: p.checkpoint(0, f, lambda total: [DROP, total, DROP]), [4]),
}


@pytest.mark.parametrize("kind", FOLDS)
@each_engine
def test_drop_in_a_fold_leaves_the_item_out(where, kind):
    """A reducer that returns ``DROP`` drops its item, which counts as filtered, and the value stays; an emitter's ``DROP`` is no item."""
    build, expected = FOLDS[kind]
    results = build(Pipeline([1, 2, 3], **where), lambda x, total: total + x if x % 2 else DROP).wait_for_result()
    assert results == expected
    assert results.report.stages[1].filtered == 1


@each_engine
def test_items_of_a_split_are_dropped_by_none(where):
    """``None`` and ``DROP`` mean nothing for that branch, an empty tuple is an item."""
    a, b = Pipeline([1, 2], **where).split(lambda x: (None, ()) if x == 1 else (DROP, x), n=2)
    assert Pipeline.wait_for_all_results([a, b]) == [[], [(), 2]]


# ------------------------------------------------------------------------------------------------------------- snapshots


@everywhere
def test_a_source_that_changes_and_yields_the_same_object_again_gives_each_as_it_was(where):
    """A re-used dict and a re-used array, at once, one item after the other."""
    def source():
        record, picture = {}, np.zeros(50_000)
        for number in range(20):
            record["n"] = number
            picture[:] = number
            yield record, picture

    came = Pipeline(source, **where).task(lambda pair: (pair[0]["n"], pair[1][0], pair[1][-1])).wait_for_result()
    assert came == [(n, n, n) for n in range(20)]
    assert [(r["n"], p.max()) for r, p in Pipeline(source, **where)] == [(n, n) for n in range(20)]


class Reusing:
    """A task that gives the same objects again, changed."""

    def __init__(self):
        self.record, self.picture = {}, np.zeros(50_000)

    def work(self, x):
        self.record["n"] = x
        self.picture[:] = x
        return self.record, self.picture


@everywhere
def test_a_task_that_changes_and_returns_the_same_object_again_gives_each_as_it_was(where):
    """What a producer does to an object after handing it over is not seen downstream."""
    came = Pipeline(range(20), **where).class_task(Reusing, Reusing.work).batch(5).explode().wait_for_result()
    assert [(record["n"], picture.min(), picture.max()) for record, picture in came] == [(n, n, n) for n in range(20)]


@everywhere
def test_branches_do_not_see_what_the_other_does_to_an_item(where):
    """Each branch has its own copy of what both are given, and the source keeps its own."""
    data = [{"n": [k]} for k in range(5)]

    def spoil(item):
        item["n"].append("spoilt")
        return item

    shared = Pipeline(data, **where)
    spoilt, clean = Pipeline.wait_for_all_results([shared.task(spoil), shared.task(lambda x: x)])
    assert spoilt == [{"n": [k, "spoilt"]} for k in range(5)]
    assert clean == [{"n": [k]} for k in range(5)] == data


@everywhere
def test_a_running_value_that_the_reducer_changes_in_place_is_given_as_it_was(where):
    """``scan`` with one growing list gives each of its states; the accumulator is copied for each run."""
    start = []

    def grow(item, seen):
        seen.append(item)
        return seen

    growing = Pipeline(range(3), **where).scan(start, grow)
    assert [growing.wait_for_result(), growing.wait_for_result()] == [[[0], [0, 1], [0, 1, 2]]] * 2
    assert start == []


@pytest.mark.parametrize("engine", ["thread", "inline"])
def test_copying_can_be_switched_off_where_memory_is_shared(engine):
    """``copy_items=False``: the objects themselves go through, whatever they are."""
    lock = threading.Lock()
    items = [lock, [1], {"a": lock}]
    came = Pipeline(items, engine=engine, copy_items=False).task(lambda x: x).batch(2).explode().wait_for_result()
    assert all(a is b for a, b in zip(came, items, strict=True))


def test_processes_always_copy():
    """``copy_items=False`` lifts nothing where memory is not shared."""
    data = [[1]]
    assert Pipeline(data, copy_items=False, start_method="fork").task(lambda x: x).wait_for_result()[0] is not data[0]


@in_threads
def test_arrays_arrive_private_and_writable(where):
    """An array may be changed in place by whoever got it."""
    def double(array):
        array *= 2
        return array

    (came,) = Pipeline([np.ones(300_000)], **where).task(double).task(double).wait_for_result()
    came += 1
    assert came.sum() == 1_500_000


@each_engine
def test_objects_that_an_item_holds_twice_are_held_twice_afterwards(where):
    """Shared and circular references within one item survive."""
    inner = [1]
    loop = [inner, inner]
    loop.append(loop)
    (came,) = Pipeline([loop], **where).task(lambda x: x).wait_for_result()
    assert came[0] is came[1]
    assert came[2] is came


@each_engine
def test_an_item_whose_repr_fails_can_fail_too(where):
    """The failure of an item's ``__repr__`` does not hide the failure that is being described."""
    class Shy:
        def __repr__(self):
            raise RuntimeError("no")

    with pytest.raises(StageError, match="Shy whose repr raised RuntimeError"):
        Pipeline([Shy()], **where).task(lambda x: 1 / 0).wait_for_result()


def test_what_an_opaque_stage_emits_after_it_was_asked_for_its_size_is_taken_too():
    """The size is that of what is encoded, which is kept only as long as it is all."""
    encoder = HubCodec().encoder()
    sizes = []
    for change in (lambda: encoder.add("one"), lambda: encoder.extend(["two", "three"]), lambda: encoder.forget(1)):
        change()
        sizes.append(encoder.nbytes)
    assert list(decode(encoder.take())) == ["one", "two"]
    assert sizes[0] < sizes[2] < sizes[1]
