from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.stages import Latest
from olympipe_ng.stages.contract import Fate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def test_it_takes_items_without_giving_any() -> None:
    """Upstream is never slowed: only a tick, which needs room, gives an item."""
    drive = Drive(Latest()).give("abc")
    assert drive.items == []
    assert list(drive.transform.ready) == [0]


def test_a_tick_is_due_at_once() -> None:
    """As soon as there is room, the newest item is given."""
    drive = Drive(Latest()).give("abc")
    assert drive.transform.deadline == drive.context.time.now
    assert drive.wait(0).items == ["c"]
    assert drive.transform.deadline is None


def test_it_tells_how_far_it_is_when_nothing_waits() -> None:
    """What it dropped will never come, what waits may."""
    drive = Drive(Latest()).give("abc").watermark(0, 3)
    assert drive.transform.settled == 0
    assert drive.wait(0).transform.settled == 3


def test_items_that_were_overtaken_count_as_dropped() -> None:
    """The ledger knows each of them."""
    drive = Drive(Latest()).give("ab").give("c", start=2)
    assert drive.counted(Fate.DROPPED) == [0, 1]


def test_a_tick_gives_one_item() -> None:
    """While it travels, the others may still be overtaken."""
    drive = Drive(Latest(2)).give("abc")
    drive.take(drive.transform.tick())
    assert drive.items == ["b"]
    drive.give("de", start=3)
    assert drive.finish().items == ["b", "d", "e"]
    assert drive.counted(Fate.DROPPED) == [0, 2]


@given(streams(), cuts, st.integers(1, 5))
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int], n: int) -> None:
    """While there is no room, the newest are kept, however they come."""
    drive = assert_cuts_do_not_matter(Latest(n), events, where, ticks=False)
    assert drive.items == [event.item for event in events[-n:]]


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Latest(2), 3) == [1, 2]


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("n must be >= 1, got 0"):
        Latest(0)
