from __future__ import annotations

import itertools

import pytest
from hypothesis import given

from olympipe_ng.stages import Scan
from tests.stages.driving import Drive, assert_cuts_do_not_matter, refused
from tests.strategies import Event, cuts, streams


def append(item: int, into: list[int]) -> list[int]:
    into.append(item)
    return into


def test_the_running_value_after_each_item() -> None:
    """As many values as items, each with its item's origin."""
    drive = Drive(Scan(10, int.__add__)).give([1, 2, 3])
    assert drive.items == [11, 13, 16]
    assert drive.origins == [((0, 0, 1),), ((0, 1, 2),), ((0, 2, 3),)]


def test_a_value_changed_in_place_is_seen_as_it_was() -> None:
    """Values leave one by one, so that each is a snapshot."""
    drive = Drive(Scan([], append)).give([1, 2])
    assert drive.items == [[1], [1, 2]]
    assert drive.largest == 1


def test_each_run_has_its_own_accumulator() -> None:
    """What the user gave is never changed."""
    mine: list[int] = []
    Drive(Scan(mine, append)).give([1]).finish()
    assert mine == []


def test_an_item_that_fails_touches_no_other() -> None:
    """The running value goes on behind it."""
    drive = Drive(Scan(0, lambda item, total: total + int(item))).give([1, 2])
    with pytest.raises(ValueError, match="x"):
        drive.give(["x"], start=2)
    assert drive.give([4], start=3).items == [1, 3, 7]
    assert [start for ((_, start, _),) in drive.origins] == [0, 1, 3]


@given(streams(), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """The running values are those of the stream, not of its frames."""
    drive = assert_cuts_do_not_matter(Scan(0, int.__add__), events, where)
    assert drive.items == list(itertools.accumulate(event.item for event in events))
    assert_cuts_do_not_matter(Scan([], append), events, where)


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("scan needs a callable, got None"):
        Scan(0, None)  # type: ignore[arg-type]
