"""What is free of a stretch of bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.transport.space import Space
from tests.strategies import lists_of


def test_the_lowest_room_that_fits_is_taken_up_to_the_limit():
    """Room beside each other is one; where none fits nothing is taken."""
    space = Space(10)
    assert [space.take(4), space.take(4), space.take(4), space.take(2)] == [0, 4, None, 8]
    space.give(8, 2)
    space.give(0, 4)
    assert [space.take(5), space.take(3), space.take(1)] == [None, 0, 3]


@given(lists_of(st.tuples(st.booleans(), st.integers(1, 50))), st.none() | st.integers(20, 200))
def test_no_two_takers_have_the_same_space(moves, limit):
    """Whatever is taken and given back, in whatever order, all of it is free in the end."""
    space, taken = Space(limit), []
    for give, size in moves:
        if give and taken:
            space.give(*taken.pop(size % len(taken)))
        else:
            offset = space.take(size)
            if offset is None:
                assert limit is not None
                continue
            taken.append((offset, size))
        ordered = sorted(taken)
        assert all(a + length <= b for (a, length), (b, _) in pairwise(ordered))
        assert all(a + length <= space.end <= (limit or space.end) for a, length in ordered)
    for each in taken:
        space.give(*each)
    assert (space.end, space._holes) == (0, [])
