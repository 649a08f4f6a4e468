from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.stages import Limit
from olympipe_ng.stages.contract import Fate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def test_it_is_done_on_its_last_item() -> None:
    """Another item is not waited for."""
    drive = Drive(Limit(2)).give("a")
    assert not drive.transform.done
    drive.give("b", start=1)
    assert drive.transform.done
    assert drive.items == ["a", "b"]


def test_a_limit_of_nothing_is_done_at_once() -> None:
    """No item is asked for."""
    assert Drive(Limit(0)).transform.done


def test_items_beyond_count_as_cancelled() -> None:
    """What was on its way is accounted for."""
    drive = Drive(Limit(1)).give("abc").give("d", start=3).finish()
    assert drive.items == ["a"]
    assert drive.counted(Fate.CANCELLED) == [1, 2, 3]


@given(streams(), cuts, st.integers(0, 45))
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int], n: int) -> None:
    """The first items of the stream, however it comes."""
    drive = assert_cuts_do_not_matter(Limit(n), events, where)
    assert drive.items == [event.item for event in events[:n]]


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Limit(2), 3) == [0, 1]


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("n must be >= 0, got -1"):
        Limit(-1)
