"""Items to bytes and back, one by one, cut and regrouped."""

from __future__ import annotations

import dataclasses
import enum
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from olympipe_ng.drop import DROP
from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.encoded import SHORT, Rows, Scalars
from olympipe_ng.transport.encoding import THRESHOLD, BufferRef, Encoded, Encoder, Token, decode, encode_tokens


@dataclasses.dataclass
class Point:
    x: int
    tags: list = dataclasses.field(default_factory=list)


class Colour(enum.Enum):
    RED = "red"
    BLUE = ("b", 1)


SCALAR_VALUES = (
    st.none() | st.booleans() | st.integers() | st.integers(-(2**200), 2**200) | st.floats() | st.text() | st.binary()
    | st.sampled_from(["x" * SHORT, "é" * (SHORT + 1), b"y" * (SHORT + 1), "\udc80 surrogate", "z" * THRESHOLD, b"w" * (THRESHOLD + 1)])
)  # fmt: skip
HASHABLE = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
OBJECTS = st.sampled_from([ValueError("a", 3), Colour.RED, Colour.BLUE, DROP, Ellipsis, Point, len, (), {}, 3 + 4j, range(3)]) | st.builds(
    Point, st.integers(), st.lists(st.text(max_size=3), max_size=3)
)
VALUES = st.recursive(
    SCALAR_VALUES | OBJECTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(HASHABLE, inner, max_size=4) | st.frozensets(HASHABLE)
    ),
    max_leaves=8,
)
ITEMS = st.lists(SCALAR_VALUES, max_size=8) | st.lists(VALUES, max_size=8)


def encode(items, by_value=None, **options):
    encoder = Encoder(by_value, **options)
    for item in items:
        encoder.add(item)
    return encoder.take()


def travel(encoded):
    """Take it through the wire's form."""
    return Encoded.from_wire(encoded.header(), memoryview(b"".join(encoded.segments())))


def there_and_back(items, by_value=None, **options):
    return list(decode(travel(encode(items, by_value)), **options))


def same(one, other):
    """Compare with the types, nan being itself and exceptions being equal by what they say."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, BaseException):
        return same(one.args, other.args)
    if isinstance(one, Point):
        return same(vars(one), vars(other))
    return one == other or (one != one and other != other)


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
    assert back.flags.writeable or not plain
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


def test_what_was_lent_is_writable_again_downstream():
    """A read-only view that is passed on, alone or within something, arrives as an ordinary array."""
    lent = decode(travel(encode([np.arange(100_000.0)])), zero_copy=True)[0]
    alone, nested = there_and_back([lent, {"array": lent}], ByValue())
    assert alone.flags.writeable
    assert nested["array"].flags.writeable


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


# ---------------------------------------------------------------------------------------------------------------- failures


class CannotReduce:
    def __reduce__(self):
        raise RuntimeError("no way")


class CannotRebuild:
    def __reduce__(self):
        return (CannotRebuild._rebuild, ())

    @staticmethod
    def _rebuild():
        raise StopIteration("no way back")


class CannotRestore:
    def __setstate__(self, state):
        raise OSError("no state")

    def __getstate__(self):
        return {"a": 1}


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


# ------------------------------------------------------------------------------------------------------------------- store


class FakeStore:
    """Shared memory that is a dictionary."""

    def __init__(self, room=10**9):
        self.blocks = {}
        self.freed = []
        self.room = room

    def put(self, data):
        if len(data) > self.room:
            return None
        ref = BufferRef(1, 0, len(self.blocks), len(data))
        self.blocks[ref] = bytes(data)
        return ref

    def free(self, ref):
        self.freed.append(ref)

    def view(self, ref):
        return memoryview(self.blocks[ref])

    lend = view


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


def test_blocks_of_an_item_that_failed_are_given_back():
    """What was put for an item that will not travel is free again."""
    store = FakeStore()
    encoder = Encoder(ByValue(), store)
    with pytest.raises(RuntimeError):
        encoder.add([np.zeros(THRESHOLD), CannotReduce()])
    assert store.freed == list(store.blocks)


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


# --------------------------------------------------------------------------------------------------------------- regrouping

SHAPES = st.recursive(
    st.integers(0, 10**6), lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple), max_leaves=8
)


def fill(shape, values):
    """Put values in the place of a shape's numbers; odd ones stay as a number that the stage made itself."""
    if isinstance(shape, int):
        return values[shape % len(values)] if values and shape % 2 == 0 else shape
    return type(shape)(fill(part, values) for part in shape)


@settings(deadline=None, derandomize=True)
@given(ITEMS, st.lists(SHAPES, max_size=5))
def test_regrouping_tokens_is_regrouping_items(items, shapes):
    """Whatever lists and tuples an opaque stage builds of its tokens, it built of the items; twice in a row, too."""
    tokens = travel(encode(items)).tokens()
    once = travel(encode_tokens([fill(shape, tokens) for shape in shapes]))
    expected = [fill(shape, items) for shape in shapes]
    assert same(list(decode(once)), expected)
    twice = travel(encode_tokens([once.tokens(), (0, *once.tokens())]))
    assert same(list(decode(twice)), [expected, (0, *expected)])


def test_tokens_of_scalars_are_the_scalars():
    """An opaque stage may look at them; what it emits of them is plain again."""
    tokens = travel(encode([1, "a", None])).tokens()
    assert tokens == [1, "a", None]
    assert isinstance(encode_tokens(tokens), Scalars)
    assert list(decode(travel(encode_tokens([tokens, (0, tokens)])))) == [[1, "a", None], (0, [1, "a", None])]


def test_regrouping_runs_no_code_of_the_users():
    """Items that cannot even be rebuilt are grouped all the same."""
    tokens = travel(encode([CannotRebuild(), CannotRestore(), [3]])).tokens()
    assert all(isinstance(token, Token) for token in tokens)
    encoded = travel(encode_tokens([[tokens[2], 7], tokens]))
    assert decode(encoded)[0] == [[3], 7]
    with pytest.raises(StopIteration):
        decode(encoded)[1]


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


def test_an_opaque_stage_emits_nothing_else():
    """A mistake of ours is named."""
    with pytest.raises(TypeError, match="opaque stage emitted"):
        encode_tokens([{"a": 1}])


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
