"""Values of all kinds for items, some that cannot be rebuilt, how they travel, how what comes back is compared, and a store of buffers."""

from __future__ import annotations

import dataclasses
import enum

from hypothesis import strategies as st

from olympipe_ng.drop import DROP
from olympipe_ng.transport.encoded import SHORT
from olympipe_ng.transport.encoding import THRESHOLD, BufferRef, Encoded, Encoder, decode
from tests.strategies import lists_of


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
ITEMS = lists_of(SCALAR_VALUES, 8) | lists_of(VALUES, 8)


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
