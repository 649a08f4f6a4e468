"""Items pickled together: ``frame_pickling="list"`` between encoder and decoder."""

from __future__ import annotations

import pickle
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.encoded import Rows, Scalars
from olympipe_ng.transport.encoding import THRESHOLD, decode, encode_tokens
from olympipe_ng.transport.packed import Packed
from olympipe_ng.transport.packing import MOST, TogetherEncoder
from tests.transport.values import ITEMS, same, travel


class Stubborn:
    """Cannot be pickled."""

    def __reduce__(self):
        raise OSError("not me")


class Sour:
    """Cannot be loaded."""

    def __reduce__(self):
        return _refuse, ()


def _refuse():
    raise ValueError("sour")


def pack(items, by_value=None, pieces=1):
    encoder = TogetherEncoder(by_value)
    step = max(1, -(-len(items) // pieces))
    for at in range(0, len(items), step):
        encoder.extend(items[at : at + step])
    assert encoder.count == len(items)
    return encoder.take()


class Watched:
    """May be watched by a weak reference."""


def records(count):
    return [{"number": k, "text": f"{k}"} for k in range(count)]


# ------------------------------------------------------------------------------------------------------------- round trip


@settings(deadline=None, derandomize=True)
@given(ITEMS, st.integers(1, 4))
def test_items_come_back_as_they_were(items, pieces):
    """Whatever is packed together comes back equal and of the same type, with and without views."""
    assert same(list(decode(travel(pack(items, pieces=pieces)))), items)
    assert same(list(decode(travel(pack(items, ByValue(), pieces)), zero_copy=True)), items)


@settings(deadline=None, derandomize=True)
@given(ITEMS, st.data())
def test_cutting_is_slicing(items, data):
    """A cut, and a cut of that cut, hold the items that slices hold; no pack is opened for it."""
    lo = data.draw(st.integers(0, len(items)))
    hi = data.draw(st.integers(lo, len(items)))
    cut = travel(travel(pack(items, pieces=3)).cut(lo, hi))
    assert cut.count == hi - lo
    assert same(list(decode(cut)), items[lo:hi])
    middle = (hi - lo) // 2
    assert same(list(decode(travel(cut.cut(middle, hi - lo)))), items[lo + middle : hi])
    assert same(list(decode(travel(pack(items)), lo, hi)), items[lo:hi])


@settings(deadline=None, derandomize=True)
@given(ITEMS, st.data())
def test_parts_are_slices(items, data):
    """Many items at once are those that would be given one by one, in whatever order parts are asked for, and however they were grouped."""
    tokens = travel(pack(items, pieces=3)).tokens()
    items, decoded = [*items, items], decode(travel(encode_tokens([*tokens, tokens])))
    for _ in range(3):
        lo = data.draw(st.integers(0, len(items)))
        hi = data.draw(st.integers(lo, len(items)))
        assert same(decoded.part(lo, hi), items[lo:hi])


@settings(deadline=None, derandomize=True)
@given(ITEMS, st.data())
def test_forgetting_leaves_what_was_there_before(items, data):
    """The last items are dropped, wherever packs begin and end, and others may follow."""
    dropped = data.draw(st.integers(0, len(items)))
    encoder = TogetherEncoder()
    encoder.extend(items[: len(items) // 2])
    encoder.extend(items[len(items) // 2 :])
    encoder.forget(dropped)
    assert encoder.count == len(items) - dropped
    encoder.extend([{"more": 1}, {"more": 2}])
    encoder.add("last")
    assert same(list(decode(encoder.take())), [*items[: len(items) - dropped], {"more": 1}, {"more": 2}, "last"])


def test_scalars_are_packed_as_ever():
    """Numbers and short texts need no pickle: one blob of ``marshal``, which may be cut."""
    assert isinstance(pack([1, 2.0, None, "a"]), Scalars)


def test_dicts_share_a_pickle_and_their_keys():
    """A pack is smaller than its items by themselves, and holds no more of them than is good for regrouping."""
    encoder = TogetherEncoder()
    for _ in range(20):
        encoder.extend(records(10))
    packed = encoder.take()
    assert isinstance(packed, Packed)
    alone = sum(len(pickle.dumps(record, 5)) for record in records(10)) * 20
    assert packed.nbytes < 0.7 * alone
    many = pack([{"k": k} for k in range(10 * MOST)])
    assert max(len(part) for part in many.segments()) < 4096


def test_what_is_large_is_alone_in_its_pack():
    """After a pack with large items the next ones are small; single items are encoded as without packing."""
    encoder = TogetherEncoder()
    encoder.extend([{"text": "x" * 10_000} for _ in range(8)])
    encoder.extend([{"text": "x" * 40_000} for _ in range(8)])
    encoder.take()
    encoder.extend([{"text": "x" * 40_000} for _ in range(3)])
    assert isinstance(encoder.take(), Rows)


def test_large_buffers_stay_out_of_the_pickle():
    """Arrays within packed items travel beside the pickle, come back private and writable, or as views where asked for."""
    items = [{"k": k, "array": np.full(THRESHOLD, k, "u1")} for k in range(3)]
    packed = travel(pack(items))
    assert isinstance(packed, Packed)
    assert max(len(part) for part in packed.segments()) == THRESHOLD
    copies, views = list(decode(packed)), list(decode(packed, zero_copy=True))
    copies[0]["array"][:] = 9
    assert [each["array"][0] for each in views] == [0, 1, 2]
    assert not views[0]["array"].flags.writeable


def test_an_array_among_others_takes_its_own_way():
    """Plain arrays and long bytes are not pickled, whatever stands beside them."""
    items = [{"a": 1}, np.arange(3), b"y" * 2000, {"b": 2}]
    assert isinstance(pack(items), Rows)
    assert str(list(decode(travel(pack(items))))) == str(items)


def test_local_classes_and_functions_travel_by_value():
    """What no other process could import is packed as well."""

    class Local:
        def __init__(self, k):
            self.k = k

    items = [[Local(k), lambda: 7] for k in range(5)]
    back = list(decode(travel(pack(items, ByValue()))))
    assert [(thing.k, function()) for thing, function in back] == [(k, 7) for k in range(5)]


# ------------------------------------------------------------------------------------------------------- what it costs


def test_items_of_a_pack_share_what_they_shared():
    """That is what is asked for: the copy of an object in two items is one."""
    common = ["common"]
    first, second = decode(pack([{"a": common}, {"b": common}]))
    assert first["a"] is second["b"]


def test_a_pack_that_was_given_out_is_let_go():
    """What a frame's items need lives no longer than they do: memory that is used again at once is still in the cache."""
    items = decode(travel(pack([Watched() for _ in range(3 * MOST)])))
    seen = [weakref.ref(items[k]) for k in range(3 * MOST)]
    assert 0 < sum(ref() is not None for ref in seen) <= MOST


def test_an_item_that_cannot_be_pickled_leaves_the_rest_addable():
    """After a failure the items are forgotten and added one by one: only the guilty one raises."""
    encoder = TogetherEncoder(ByValue())
    encoder.extend(records(3))
    items = [*records(5), Stubborn(), {"z": 1}]
    with pytest.raises(OSError, match="not me"):
        encoder.extend(items)
    encoder.forget(encoder.count - 3)
    failed = []
    for item in items:
        try:
            encoder.add(item)
        except OSError:
            failed.append(item)
    assert failed == [items[5]]
    assert list(decode(encoder.take())) == [*records(3), *records(5), {"z": 1}]


def test_items_that_cannot_be_loaded_fail_with_their_pack_and_no_other():
    """Each item of the pack raises; those of other packs come."""
    encoder = TogetherEncoder()
    encoder.extend(records(2))
    encoder.extend([{"sour": Sour()}, {"sweet": 1}])
    encoder.extend(records(2))
    items = decode(travel(encoder.take()))
    for k in (2, 3):
        with pytest.raises(ValueError, match="sour"):
            items[k]
    assert [items[k]["number"] for k in (0, 1, 4, 5)] == [0, 1, 0, 1]


# ------------------------------------------------------------------------------------------------------------- regrouping


def test_tokens_are_regrouped_without_opening_packs():
    """Batches, tuples, duplicates and scalars of packed items; a pack travels once, and no item is another's copy."""
    tokens = travel(pack(records(6))).tokens()
    grouped = travel(encode_tokens([tokens[:2], (3, tokens[2]), tokens[1], [tokens[0], [tokens[0], "x"]]]))
    whole = pack(records(6))
    assert len(grouped.segments()) == len(whole.segments())
    a, b = records(6)[0], records(6)[1]
    batch, pair, single, nested = decode(grouped)
    assert (batch, pair, single, nested) == ([a, b], (3, records(6)[2]), b, [a, [a, "x"]])
    assert single is not batch[1]
    assert nested[0] is not nested[1][0]
    assert nested[0] is not batch[0]


def test_packed_and_other_items_are_regrouped_together():
    """A batch may hold packed items and such that were encoded alone."""
    tokens = travel(pack(records(3))).tokens() + travel(pack([np.arange(2), b"x" * 2000])).tokens() + [7]
    (batch,) = decode(travel(encode_tokens([tokens])))
    assert str(batch) == str([*records(3), np.arange(2), b"x" * 2000, 7])


@settings(deadline=None, derandomize=True)
@given(ITEMS, st.integers(1, 3), st.integers(1, 3))
def test_windows_of_packed_items_are_right(items, size, pieces):
    """Whatever is regrouped, and regrouped again, holds the items it should."""
    tokens = travel(pack(items, pieces=pieces)).tokens()
    windows = [tuple(tokens[k : k + size]) for k in range(len(tokens))]
    again = travel(encode_tokens(windows)).tokens()
    pairs = [again[k : k + 2] for k in range(len(again))]
    wanted = [tuple(items[k : k + size]) for k in range(len(items))]
    assert same(list(decode(travel(encode_tokens(pairs)))), [wanted[k : k + 2] for k in range(len(wanted))])
