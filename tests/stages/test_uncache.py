from __future__ import annotations

from hypothesis import given

from olympipe_ng.stages import Uncache
from tests.stages.driving import assert_cuts_do_not_matter, opaque_run
from tests.strategies import Event, cuts, streams


@given(streams(), cuts)
def test_it_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """Items and origins are as they were, however the stream is cut."""
    drive = assert_cuts_do_not_matter(Uncache(), events, where)
    assert drive.items == [event.item for event in events]


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Uncache(), 2) == [0, 1]
