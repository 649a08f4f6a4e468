"""Views of shared memory that are lent: read-only, given back when the last is gone, and passed on without being written again."""

from __future__ import annotations

import gc
from collections import deque

import numpy as np
import pytest

from olympipe_ng.transport.arena import Reader, arena_supported
from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.encoding import THRESHOLD, BufferRef, Encoded, Encoder, decode, encode_tokens
from tests.transport.memory import MB

pytestmark = pytest.mark.skipif(not arena_supported(), reason="no memory by descriptor here")


def test_a_lent_view_is_read_only_and_says_when_it_is_done(trio):
    """It lives as long as anything made upon it, and its return is told after its loan."""
    ref = trio.put(np.arange(MB, dtype="u1").tobytes())
    trio.show([ref])
    array = np.frombuffer(trio.reader.lend(ref), "u1")
    assert array[255] == 255
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    part = array[10:20].reshape(2, 5)
    del array
    gc.collect()
    assert trio.reader.take_returned() == []
    assert part[0, 0] == 10
    del part
    gc.collect()
    assert trio.reader.take_returned() == []  # nobody was told of the loan yet
    assert trio.reader.take_lent() == [ref]
    assert trio.reader.take_returned() == [ref]
    assert trio.reader.take_returned() == []


class Raced(deque):
    """Another thread takes the rest whenever one is taken."""

    def popleft(self):
        taken = super().popleft()
        self.clear()
        return taken


def test_two_threads_may_ask_at_once_what_is_returned(trio):
    """Each view is told of by one of them, and the other finds nothing."""
    refs = [BufferRef(7, 0, place, 9) for place in range(3)]
    trio.reader._returned = Raced(refs)
    assert trio.reader.take_returned() == refs[:1]


def test_a_lent_view_outlives_its_reader(trio):
    """Unmapping waits for those who still look."""
    ref = trio.put(b"x" * MB)
    trio.show([ref])
    view = trio.reader.lend(ref)
    trio.reader.forget(7)
    gc.collect()
    assert view == b"x" * MB


def test_items_travel_by_reference(trio):
    """Encoder to decoder through the arena: private copies by default, views on request, batches by reference."""
    arrays = [np.full(100_000, n, "f8") for n in range(3)]
    items = [*arrays, {"a": arrays[1]}, bytes(THRESHOLD), "x" * THRESHOLD, 5]
    trio.put(bytes(MB))
    encoder = Encoder(ByValue(), trio.arena)
    encoder.extend(items)
    encoded = encoder.take()
    encoded = Encoded.from_wire(encoded.header(), memoryview(b"".join(encoded.segments())))
    assert len(encoded.refs()) == 6
    trio.show(encoded.refs())
    back = list(decode(encoded, memory=trio.reader))
    assert back[0].flags.writeable
    assert np.array_equal(back[2], arrays[2])
    assert np.array_equal(back[3]["a"], arrays[1])
    assert back[4:] == items[4:]
    batch = encode_tokens([encoded.tokens()])
    (lent,) = decode(batch, zero_copy=True, memory=trio.reader)
    assert np.array_equal(lent[1], arrays[1])
    assert not lent[1].flags.writeable
    assert len(trio.reader.take_lent()) == 6
    del lent
    gc.collect()
    assert len(trio.reader.take_returned()) == 6
    for ref in encoded.refs():
        trio.arena.free(ref)


def lend(trio, items):
    """Give items to the consumer, as views."""
    trio.put(bytes(MB))
    encoder = Encoder(ByValue(), trio.arena)
    encoder.extend(items)
    encoded = encoder.take()
    trio.show(encoded.refs())
    return encoded, list(decode(encoded, zero_copy=True, memory=trio.reader))


class Passing:
    """A consumer that writes too: what was lent to it stays where it is."""

    def __init__(self, reader, arena):
        self.reader, self.arena = reader, arena

    def put(self, data):
        return self.reader.find(data) or self.arena.put(data)


def given_back(trio, item, reader=None):
    """Encode what a consumer gives."""
    encoder = Encoder(ByValue(), Passing(reader or trio.reader, trio.arena))
    encoder.add(item)
    return encoder.take()


def test_a_lent_array_that_is_given_back_is_not_written_again(trio):
    """As it is, in another shape, as another type, and within something larger; whoever gets it may have a copy to change."""
    encoded, (array, (nested, label)) = lend(trio, [np.arange(50_000.0), (np.ones(50_000, "f4"), "one")])
    alone, inner = encoded.refs()
    for item in (array, array.reshape(100, 500), array.reshape(100, 500).T, array.view("u8"), array[:], [array, array]):
        again = given_back(trio, item)
        assert again.refs() == [alone]
        assert np.array_equal(decode(again, memory=trio.reader)[0], item)
    again = given_back(trio, {"image": nested, "label": label})
    assert again.refs() == [inner]
    (copy,) = decode(again, memory=trio.reader)
    copy["image"] += 1
    assert copy["image"][0] == 2
    assert nested[0] == 1
    del array, nested, copy


@pytest.mark.parametrize("change", [lambda a: a[1:], lambda a: a[::-1], lambda a: a + 0, lambda a: a.copy()])
def test_what_is_not_the_whole_lent_array_in_order_is_written(trio, change):
    """A part, the same backwards, or other memory is new data."""
    encoded, (array,) = lend(trio, [np.arange(60_000.0).reshape(200, 300)])
    made = given_back(trio, change(array))
    assert made.refs() != encoded.refs()
    assert np.array_equal(decode(made, memory=trio.reader)[0], change(array))
    del array


def test_what_another_run_lent_is_written(trio):
    """Two runs of one process number their arenas alike."""
    encoded, (array,) = lend(trio, [np.arange(50_000.0)])
    assert given_back(trio, array, Reader()).refs() != encoded.refs()
    trio.reader.forget(7)
    assert given_back(trio, array).refs() != encoded.refs()
    del array


def test_small_read_only_arrays_within_something_come_back_writable(trio):
    """They travel within the pickle, where nothing is lent."""
    array = np.arange(5)
    array.flags.writeable = False
    (back,) = decode(given_back(trio, [array]))
    back[0] += 1
    assert back[0][4] == 5
