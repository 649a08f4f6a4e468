"""Arrays and other large buffers: they come back as they were, and are neither joined nor copied more than once, in a store or without."""

from __future__ import annotations

import array
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from olympipe_ng.transport.arrays import is_plain_array
from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.encoding import THRESHOLD, Encoder, decode, encode_tokens
from tests.transport.values import FakeStore, encode, there_and_back, travel

# ------------------------------------------------------------------------------------------------------------------ arrays

NUMBERS = hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes() | hnp.complex_number_dtypes()
DATES = hnp.datetime64_dtypes(endianness="=") | hnp.timedelta64_dtypes(endianness="=")  # NumPy's own pickling makes foreign ones native
ARRAYS = hnp.arrays(
    NUMBERS | DATES | hnp.array_dtypes(NUMBERS | DATES, allow_subarrays=False) | hnp.byte_string_dtypes() | hnp.unicode_string_dtypes(),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)


def same_array(one, other):
    return (
        type(one) is type(other) and one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
        and one.flags.f_contiguous >= (other.flags.f_contiguous and not other.flags.c_contiguous)
    )  # fmt: skip


@settings(deadline=None, derandomize=True)
@given(ARRAYS, st.sampled_from(["as it is", "transposed", "strided", "read-only"]), st.booleans())
def test_arrays_come_back_as_they_were(array, how, nested):
    """Any dtype, shape and layout; writable, and for one that was given alone, owning its data."""
    if how == "transposed":
        array = array.T
    elif how == "strided" and array.ndim:
        array = np.repeat(array, 2, axis=0)[::2]
    elif how == "read-only":
        array.flags.writeable = False
    (back,) = there_and_back([{"array": array} if nested else array], ByValue())
    back = back["array"] if nested else back
    assert same_array(back, array)
    plain = array.dtype.names is None and array.dtype.itemsize and (array.flags.c_contiguous or not array.flags.f_contiguous)
    assert back.flags.writeable or not array.dtype.itemsize
    assert back.flags.owndata or nested or not plain


@pytest.mark.parametrize(
    "array",
    [
        np.arange(100_000.0).reshape(100, 1000),
        np.asfortranarray(np.arange(100_000.0).reshape(100, 1000)),
        np.arange(200_000.0)[::2],
        np.zeros(20_000, [("a", "i4"), ("b", "f8")]),
        np.array([{"a": 1}, None, [2]], object),
        np.zeros((3, 0, 2)),
        np.array(7),
        np.array(["2020-01-01", "NaT"], "M8[D]"),
        np.arange(30_000, dtype=">i4"),
        np.arange(100_000).view(np.recarray),
        np.ma.masked_array([1, 2, 3], [0, 1, 0]),
        np.float32(2.5),
    ],
    ids=lambda array: f"{type(array).__name__}-{array.dtype}-{array.shape}",
)
def test_large_and_odd_arrays_come_back(array):
    """Buffers out of band, records, objects, no elements, no dimensions, dates, foreign byte order, subclasses, scalars."""
    for back in (*there_and_back([array], ByValue()), there_and_back([[array]], ByValue())[0][0]):
        assert type(back) is type(array)
        assert back.dtype == array.dtype
        assert np.array_equal(back, array) or array.dtype.kind == "M"
        assert back.flags.writeable or not isinstance(array, np.ndarray)


def test_zero_copy_gives_read_only_views():
    """On request arrays are views of the memory that arrived, and cannot be written."""
    array = np.arange(100_000.0)
    encoded = travel(encode([array, {"array": array}], ByValue()))
    alone, nested = decode(encoded, zero_copy=True)
    assert np.array_equal(alone, array)
    assert np.array_equal(nested["array"], array)
    assert not alone.flags.writeable
    assert not nested["array"].flags.writeable


@pytest.mark.parametrize("rows", [100, 100_000])
@pytest.mark.parametrize(
    "make",
    [
        np.arange,
        lambda rows: np.asfortranarray(np.arange(2.0 * rows).reshape(rows, 2)),
        lambda rows: np.ones(rows, [("a", "i4"), ("b", "f8")]),
        lambda rows: np.full(rows, b"raw", "V3"),
        lambda rows: np.arange(rows).astype(np.dtype("i8", metadata={"unit": "m"})),
    ],
    ids=["plain", "Fortran", "records", "void", "metadata"],
)
def test_what_was_lent_is_writable_again_downstream(make, rows):
    """A read-only view that is passed on, whole or a few rows of it, alone or within something, arrives as an ordinary array."""
    lent = decode(travel(encode([make(100_000)], ByValue())), zero_copy=True)[0][:rows]
    assert not lent.flags.writeable
    alone, nested = there_and_back([lent, {"array": lent}], ByValue())
    for back in (alone, nested["array"]):
        assert same_array(back, lent)
        assert back.flags.writeable


def test_an_array_whose_dtype_a_library_made_is_pickled():
    """Its string may be that of no dtype: ``<f1`` is what ml_dtypes says of ``float8_e5m2``, and of others."""
    dtype = types.SimpleNamespace(kind="f", str="<f1", itemsize=1, metadata=None, isbuiltin=2)
    flags = types.SimpleNamespace(c_contiguous=True, f_contiguous=True)
    assert not is_plain_array(types.SimpleNamespace(dtype=dtype, flags=flags), np.ndarray)


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b"bytes"),
        memoryview(array.array("i", range(20_000))),
        memoryview(np.arange(6.0).reshape(2, 3)),
        memoryview(np.arange(6))[::2],
        memoryview(np.array(5)),
        memoryview(np.arange(6).reshape(2, 3).T),
        memoryview(b""),
        memoryview(np.zeros((0, 3))),
    ],
    ids=lambda view: f"{view.format}-{view.shape}-{view.c_contiguous}",
)
def test_a_memoryview_comes_back_as_one(view):
    """Of the same elements and shape, upon memory of its own; it was ``bytes``, of other elements."""
    for back in (*there_and_back([view], ByValue()), there_and_back([{"view": view}], ByValue())[0]["view"]):
        assert type(back) is memoryview
        assert (back.format, back.tolist()) == (view.format, view.tolist())


def test_a_memoryview_that_could_not_be_made_again_is_an_error():
    """Python makes none of records, nor of foreign byte order."""
    with pytest.raises(TypeError, match="memoryview of the format '>i'"):
        encode([memoryview(np.zeros(3, ">i4"))], ByValue())


def test_a_large_array_is_a_segment_of_its_own():
    """Its bytes are sent from where the snapshot lies; nothing is joined to them."""
    encoded = encode([np.zeros(THRESHOLD, "u1"), bytes(THRESHOLD), {"k": np.zeros(THRESHOLD)}, ["x" * THRESHOLD]], ByValue())
    small, *large = encoded.segments()
    assert len(small) < 2000
    assert sorted(map(len, large))[:2] == [THRESHOLD, THRESHOLD]
    assert encoded.nbytes == len(small) + sum(map(len, large))


def test_large_bytes_are_not_copied_by_the_encoder():
    """Nobody can change them, so the snapshot is the object."""
    blob = bytes(THRESHOLD)
    assert encode([blob]).segments()[1] is blob


# ------------------------------------------------------------------------------------------------------------------- store


def test_large_buffers_go_to_the_store_and_only_their_place_travels():
    """What is inline stays small, cuts keep their references, and the items come back from the store."""
    store = FakeStore()
    array = np.arange(100_000.0)
    items = [array, {"a": array, "b": [array]}, bytes(THRESHOLD), "x" * THRESHOLD, ["y" * THRESHOLD], 1]
    encoded = travel(encode(items, ByValue(), store=store))
    assert len(encoded.refs()) == 5  # one array twice in one item is one
    assert sum(map(len, encoded.segments())) < 3000
    assert encoded.nbytes > 2 * array.nbytes
    back = list(decode(encoded, memory=store))
    assert np.array_equal(back[0], array)
    assert np.array_equal(back[1]["b"][0], array)
    assert back[2:] == items[2:]
    assert len(travel(encoded.cut(1, 3)).refs()) == 2
    assert decode(encoded.cut(2, 4), memory=store)[0] == items[2]
    assert not decode(encoded, zero_copy=True, memory=store)[0].flags.writeable


def test_a_full_store_leaves_buffers_inline():
    """No room is no failure."""
    encoded = travel(encode([bytes(THRESHOLD), np.zeros(THRESHOLD)], store=FakeStore(room=0)))
    assert encoded.refs() == []
    assert decode(encoded)[0] == bytes(THRESHOLD)


def test_blocks_of_forgotten_items_are_given_back():
    """As well as those of items that were in, and are dropped."""
    store = FakeStore()
    encoder = Encoder(ByValue(), store)
    for item in (bytes(THRESHOLD), [1], [np.zeros(THRESHOLD), "x" * THRESHOLD]):
        encoder.add(item)
    encoder.forget(2)
    assert sorted(store.freed) == sorted(store.blocks)[1:]
    assert encoder.nbytes == THRESHOLD
    assert len(encoder.take().refs()) == 1


def test_regrouping_copies_no_large_buffer():
    """A batch of arrays holds the buffers that arrived."""
    arrays = [np.full(100_000, number, "f8") for number in range(4)]
    arrived = travel(encode([{"a": array} for array in arrays] + [arrays[0], "x" * THRESHOLD], ByValue()))
    batch = encode_tokens([(number, token) for number, token in enumerate(arrived.tokens())])
    small, *large = batch.segments()
    assert len(small) < 2000
    assert all(buffer.obj is arrived.segments()[0].obj for buffer in large)
    assert np.array_equal(decode(travel(batch))[3][1]["a"], arrays[3])


def test_references_into_a_store_are_passed_on():
    """A batch of what lies in shared memory is references again."""
    store = FakeStore()
    tokens = travel(encode([np.zeros(THRESHOLD), [np.ones(THRESHOLD)]], ByValue(), store=store)).tokens()
    batch = travel(encode_tokens([tokens, tokens[::-1]]))
    assert len(batch.refs()) == 4
    assert len(set(batch.refs())) == 2
    assert np.array_equal(decode(batch, memory=store)[1][0][0], np.ones(THRESHOLD))
