from __future__ import annotations

import pytest
from hypothesis import given

from olympipe_ng.stages import TemporalBatch
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


@pytest.mark.parametrize("interval", [0.25, 1.0, 8.0])
def test_each_window_gives_its_items(interval: float) -> None:
    """Windows follow one another from the first item on; one without items gives nothing."""
    drive = Drive(TemporalBatch(interval)).give("ab").wait(0.75 * interval).give("c", start=2)
    assert drive.items == []
    assert drive.wait(0.25 * interval).items == [["a", "b", "c"]]
    drive.wait(1.5 * interval).give("d", start=3)
    assert drive.wait(0.375 * interval).items[1:] == []
    drive.wait(0.125 * interval)
    assert drive.items[1:] == [["d"]]
    assert drive.origins == [((0, 0, 3),), ((0, 3, 4),)]


def test_an_item_after_the_window_is_not_in_it() -> None:
    """Even if the tick found no room before it came."""
    drive = Drive(TemporalBatch(1.0)).give("a")
    drive.context.time.advance(1.0)
    assert drive.give("b", start=1).items == [["a"]]


def test_the_last_window_ends_with_the_stream() -> None:
    """The end does not wait for the clock."""
    drive = Drive(TemporalBatch(60.0)).give("a").end(0)
    assert drive.transform.deadline is None
    assert drive.finish().items == [["a"]]


def test_windows_shorter_than_the_clocks_digits_do_not_stand_still() -> None:
    """The next window always ends in the future."""
    drive = Drive(TemporalBatch(1e-300)).give("a").wait(1.0).give("b", start=1)
    assert drive.finish().items == [["a"], ["b"]]


@given(streams(pauses=(0.0, 0.0, 0.4, 1.0, 3.3)), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """Only the moment counts in which an item came."""
    assert_cuts_do_not_matter(TemporalBatch(1.0), events, where)


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(TemporalBatch(1.0), 2) == [[0, 1]]


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("time_interval must be > 0, got 0"):
        TemporalBatch(0)
