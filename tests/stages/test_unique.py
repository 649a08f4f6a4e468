from __future__ import annotations

import pytest
from hypothesis import given

from olympipe_ng.stages import Unique
from olympipe_ng.stages.contract import Fate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, refused
from tests.strategies import Event, cuts, streams


def test_the_first_of_equal_items_is_kept() -> None:
    """The others count as dropped."""
    drive = Drive(Unique()).give([1, 2, 1]).give([2, 3, None, None], start=3)
    assert drive.items == [1, 2, 3, None]
    assert drive.counted(Fate.DROPPED) == [2, 3, 6]


def test_a_key_decides_what_is_equal() -> None:
    """Unhashable items need one."""
    assert Drive(Unique(len)).give(["a", "b", [1, 2], "xy"]).items == ["a", [1, 2]]


def test_an_unhashable_item_is_named() -> None:
    """The error says what to do."""
    with pytest.raises(TypeError, match="unique needs hashable items, or key=, got list"):
        Drive(Unique()).give([[]])
    with pytest.raises(TypeError, match="unique needs hashable keys, got dict"):
        Drive(Unique(lambda item: {})).give([1])


def test_an_item_that_fails_touches_no_other() -> None:
    """What was seen before it is still seen behind it."""
    drive = Drive(Unique()).give([1])
    with pytest.raises(TypeError):
        drive.give([[]], start=1)
    assert drive.give([1, 2], start=2).finish().items == [1, 2]
    assert drive.counted(Fate.DROPPED) == [2]


@given(streams(), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """Seen is seen, in whatever frame."""
    drive = assert_cuts_do_not_matter(Unique(), events, where)
    assert drive.items == list(dict.fromkeys(event.item for event in events))


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("unique needs a callable, got 'name'"):
        Unique("name")  # type: ignore[arg-type]
