from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.stages import Skip
from olympipe_ng.stages.contract import Fate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def test_the_first_items_are_left_out() -> None:
    """They count as filtered."""
    drive = Drive(Skip(2)).give("a").give("bcd", start=1)
    assert drive.items == ["c", "d"]
    assert drive.counted(Fate.FILTERED) == [0, 1]


@given(streams(), cuts, st.integers(0, 45))
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int], n: int) -> None:
    """All but the first items of the stream, however it comes."""
    drive = assert_cuts_do_not_matter(Skip(n), events, where)
    assert drive.items == [event.item for event in events[n:]]


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Skip(1), 3) == [1, 2]


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("n must be a whole number >= 0, got 'two'"):
        Skip("two")  # type: ignore[arg-type]
