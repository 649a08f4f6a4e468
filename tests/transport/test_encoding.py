"""Items to bytes and back, one by one, cut, and each on its own whatever becomes of the others."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympipe_ng.drop import DROP
from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.encoded import SHORT, Rows, Scalars
from olympipe_ng.transport.encoding import THRESHOLD, Encoder, decode
from tests.transport.values import ITEMS, CannotRebuild, CannotRestore, Colour, FakeStore, Point, encode, same, there_and_back, travel

# ------------------------------------------------------------------------------------------------------------- round trip


@settings(deadline=None, derandomize=True)
@given(ITEMS)
def test_items_come_back_as_they_were(items):
    """Every picklable value, alone or nested, None and exceptions included, comes back equal and of the same type."""
    assert same(there_and_back(items), items)
    assert same(there_and_back(items, ByValue()), items)
    assert same(there_and_back(items, ByValue(), zero_copy=True), items)


@settings(deadline=None, derandomize=True)
@given(ITEMS)
def test_extend_is_add_for_each(items):
    """The fast way for many items gives what the slow one gives."""
    encoder = Encoder()
    encoder.extend(items)
    assert encoder.count == len(items)
    assert same(list(decode(encoder.take())), items)


@settings(deadline=None, derandomize=True)
@given(ITEMS, st.data())
def test_cutting_is_slicing(items, data):
    """A cut of what travelled, and a cut of that cut, hold the items that slices hold, and travel on."""
    lo = data.draw(st.integers(0, len(items)))
    hi = data.draw(st.integers(lo, len(items)))
    cut = travel(travel(encode(items)).cut(lo, hi))
    assert cut.count == hi - lo
    assert same(list(decode(cut)), items[lo:hi])
    middle = (hi - lo) // 2
    assert same(list(decode(travel(cut.cut(middle, hi - lo)))), items[lo + middle : hi])
    assert same(list(decode(travel(encode(items)), lo, hi)), items[lo:hi])


def test_decoded_items_are_told_apart_by_type():
    """True is not 1, and 1.0 is neither."""
    assert [type(item) for item in there_and_back([True, 1, 1.0, "1", b"1", None])] == [bool, int, float, str, bytes, type(None)]


def test_frames_of_scalars_need_no_delimiting():
    """Scalars are one blob; one other item among them makes rows, and nothing else changes."""
    assert isinstance(encode([1, "a", None]), Scalars)
    mixed = encode([1, "a", [2], None, 3])
    assert isinstance(mixed, Rows)
    assert list(decode(mixed)) == [1, "a", [2], None, 3]


def test_singletons_stay_singletons():
    """DROP, enum members and classes are the same objects afterwards."""
    items = there_and_back([DROP, Colour.RED, Point, Ellipsis, NotImplemented, type(None)])
    assert all(one is other for one, other in zip(items, [DROP, Colour.RED, Point, Ellipsis, NotImplemented, type(None)], strict=True))


# --------------------------------------------------------------------------------------------------------------- snapshots


def test_items_are_snapshots():
    """What the producer does to an object afterwards is not seen."""
    item, array, text = {"a": [1]}, np.zeros(THRESHOLD), bytearray(THRESHOLD)
    nested = {"array": array}
    encoder = Encoder(ByValue())
    for each in (item, array, text, nested, array[::2]):
        encoder.add(each)
    item["a"].append(2)
    array[:] = 7
    text[0] = 7
    back = list(decode(encoder.take()))
    assert back[0] == {"a": [1]}
    assert not back[1].any()
    assert not any(back[2])
    assert not back[3]["array"].any()
    assert not back[4].any()


def test_each_decoding_is_private():
    """Two decodings of one frame share nothing."""
    encoded = travel(encode([{"a": np.zeros(THRESHOLD)}, np.zeros(THRESHOLD), [1]], ByValue()))
    first, second = list(decode(encoded)), list(decode(encoded))
    first[0]["a"][0] = 1
    first[1][0] = 1
    first[2].append(2)
    assert second[0]["a"][0] == second[1][0] == 0
    assert second[2] == [1]


def test_items_do_not_alias_each_other():
    """One list given twice arrives as two."""
    shared = [1]
    first, second = there_and_back([[shared], [shared]])
    first[0].append(2)
    assert second == [[1]]


# ---------------------------------------------------------------------------------------------------------------- failures


class CannotReduce:
    def __reduce__(self):
        raise RuntimeError("no way")


class HalfArray:
    """Gives a large buffer, then fails."""

    def __reduce__(self):
        return (list, ([pickle.PickleBuffer(bytes(THRESHOLD)), CannotReduce()],))


@pytest.mark.parametrize("by_value", [None, ByValue()], ids=["plain", "by value"])
@pytest.mark.parametrize("bad", [CannotReduce(), threading.Lock(), HalfArray(), [(2, threading.Lock())]], ids=lambda bad: str(type(bad)))
def test_an_item_that_cannot_be_pickled_harms_no_other(bad, by_value):
    """What pickling raised comes out of add; the encoder goes on with the items before and after."""
    encoder = Encoder(by_value)
    for before in ([1], 2):
        encoder.add(before)
    with pytest.raises((RuntimeError, TypeError)):
        encoder.add(bad)
    assert encoder.count == 2
    encoder.add({"after": 3})
    assert list(decode(travel(encoder.take()))) == [[1], 2, {"after": 3}]


def test_extend_stops_at_the_item_that_fails():
    """Count tells which item it was."""
    encoder = Encoder()
    with pytest.raises(RuntimeError, match="no way"):
        encoder.extend([1, [2], CannotReduce(), 4])
    assert encoder.count == 2


def test_an_item_that_cannot_be_rebuilt_harms_no_other():
    """Its place raises what unpickling raised, each time it is asked; all others are there."""
    items = decode(travel(encode([[0], CannotRebuild(), CannotRestore(), [3]])))
    assert len(items) == 4
    assert items[0] == [0]
    for _ in range(2):
        with pytest.raises(StopIteration, match="no way back"):
            items[1]
        with pytest.raises(OSError, match="no state"):
            items[2]
    assert items[3] == [3]


def test_many_items_at_once_are_those_one_by_one():
    """Pickles in one piece, and such with buffers of their own, in one frame; a cut keeps them apart."""
    large = [{"array": np.full(THRESHOLD, k, "u1")} for k in range(3)]
    small = [{"number": k} for k in range(6)]
    for items in (small, [*small, *large, *small], [*large, *small], [b"x" * 2 * SHORT, *small]):
        rows, end = travel(encode(items)), len(items)
        for lo, hi in ((0, end), (2, end - 1), (1, 1)):
            assert str(decode(rows).part(lo, hi)) == str(items[lo:hi])
            assert str(decode(travel(rows.cut(lo, end))).part(0, hi - lo)) == str(items[lo:hi])


def test_an_encoder_begins_anew_after_take():
    """Nothing is left behind, and nothing is empty."""
    encoder = Encoder()
    encoder.add([1])
    assert (encoder.count, encoder.nbytes > 0) == (1, True)
    encoder.take()
    assert (encoder.count, encoder.nbytes) == (0, 0)
    assert list(decode(travel(encoder.take()))) == []
    encoder.add(5)
    assert decode(travel(encoder.take())) == [5]


@settings(deadline=None, derandomize=True)
@given(ITEMS, ITEMS, st.data())
def test_items_that_were_forgotten_were_never_added(items, more, data):
    """The last few can be dropped again, down to none, and others added in their place."""
    count = data.draw(st.integers(0, len(items)))
    encoder, fresh = Encoder(), Encoder()
    for item in items:
        encoder.add(item)
    encoder.forget(count)
    assert encoder.count == len(items) - count
    for item in items[: len(items) - count]:
        fresh.add(item)
    assert abs(encoder.nbytes - fresh.nbytes) <= 10 * len(items)
    encoder.extend(more)
    assert same(list(decode(travel(encoder.take()))), items[: len(items) - count] + more)


def test_memory_of_a_huge_item_does_not_slow_later_ones():
    """The pickler whose memo grew is given up."""
    encoder = Encoder()
    encoder.add([object() for _ in range(100)])
    assert encoder._pickler is not None
    encoder.add([(i, str(i)) for i in range(20_000)])
    assert encoder._pickler is None


def test_blocks_of_an_item_that_failed_are_given_back():
    """What was put for an item that will not travel is free again."""
    store = FakeStore()
    encoder = Encoder(ByValue(), store)
    with pytest.raises(RuntimeError):
        encoder.add([np.zeros(THRESHOLD), CannotReduce()])
    assert store.freed == list(store.blocks)


class InterruptedPickler:
    """Has written, when a signal handler of the user's raises."""

    def __init__(self, write):
        self._write = write

    def dump(self, item):
        self._write(pickle.dumps(item))

    def clear_memo(self):
        raise TimeoutError("an alarm that was left on")


def test_what_was_pickled_of_an_item_that_was_interrupted_does_not_get_into_the_next():
    """Wherever between two lines of ours the handler raises."""
    encoder = Encoder()
    encoder._pickler = InterruptedPickler(encoder._chunks.append)
    with pytest.raises(TimeoutError):
        encoder.add({"item": 1})
    encoder.add({"item": 2})
    assert list(decode(encoder.take())) == [{"item": 2}]
