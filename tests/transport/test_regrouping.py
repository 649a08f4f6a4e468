"""What an opaque stage builds of tokens, it built of the items."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympipe_ng.transport.encoded import Scalars
from olympipe_ng.transport.encoding import Token, decode, encode_tokens
from tests.strategies import lists_of
from tests.transport.values import ITEMS, CannotRebuild, CannotRestore, encode, same, travel

SHAPES = st.recursive(
    st.integers(0, 10**6), lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple), max_leaves=8
)


def fill(shape, values):
    """Put values in the place of a shape's numbers; odd ones stay as a number that the stage made itself."""
    if isinstance(shape, int):
        return values[shape % len(values)] if values and shape % 2 == 0 else shape
    return type(shape)(fill(part, values) for part in shape)


@settings(deadline=None, derandomize=True)
@given(ITEMS, lists_of(SHAPES, 5, 2))
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


def test_an_opaque_stage_emits_nothing_else():
    """A mistake of ours is named."""
    with pytest.raises(TypeError, match="opaque stage emitted"):
        encode_tokens([{"a": 1}])
