from __future__ import annotations

from hypothesis import given

from olympipe_ng.stages import Enumerate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run
from tests.strategies import Event, cuts, streams


def test_items_are_counted_from_zero() -> None:
    """The count goes on over the frames."""
    drive = Drive(Enumerate()).give("ab").give("c", start=7)
    assert drive.items == [(0, "a"), (1, "b"), (2, "c")]
    assert drive.origins == [((0, 0, 1),), ((0, 1, 2),), ((0, 7, 8),)]


@given(streams(), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """The numbers are those of the stream, not of its frames."""
    drive = assert_cuts_do_not_matter(Enumerate(), events, where)
    assert drive.items == list(enumerate(event.item for event in events))


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Enumerate(), 2) == [[0, 0], [1, 1]]
