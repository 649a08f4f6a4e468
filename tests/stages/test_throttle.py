from __future__ import annotations

from hypothesis import given

from olympipe_ng.stages import Throttle
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def moments(drive: Drive, seconds: float) -> list[float]:
    """Tell when items left, with each tick on time."""
    begin, found = drive.context.time.now, [0.0] * len(drive.items)
    while drive.transform.deadline is not None and drive.transform.deadline <= begin + seconds:
        drive.tick_when_due()
        found += [round(drive.context.time.now - begin, 6)] * (len(drive.items) - len(found))
    return found


def test_items_leave_evenly_spaced() -> None:
    """The first at once, the others one interval apart."""
    drive = Drive(Throttle(4)).give("abcd")
    assert drive.items == ["a"]
    assert moments(drive, 10.0) == [0.0, 0.25, 0.5, 0.75]


def test_it_asks_for_nothing_while_it_holds_items() -> None:
    """Upstream waits with it."""
    drive = Drive(Throttle(1)).give("ab")
    assert not drive.transform.ready
    drive.wait(1.0)
    assert list(drive.transform.ready) == [0]


def test_it_tells_how_far_it_is_when_it_holds_none() -> None:
    """Also where nothing came that it could have given: so the other arms of a ``rejoin`` go on."""
    drive = Drive(Throttle(1)).watermark(0, 7)
    assert drive.transform.settled == 7
    assert drive.give("ab", start=7).transform.settled == 0
    assert drive.wait(1.0).watermark(0, 9).transform.settled == 9


def test_a_pause_is_not_saved_up() -> None:
    """After a quiet time there is no burst."""
    drive = Drive(Throttle(1)).give("a").wait(100.0).give("bcd", start=1)
    assert drive.items == ["a", "b"]
    assert drive.wait(0.9).items == ["a", "b"]


def test_late_ticks_do_not_make_a_burst() -> None:
    """Time in which downstream was full is not made good."""
    drive = Drive(Throttle(10)).give("abcdef")
    drive.context.time.advance(5.0)
    drive.take(drive.transform.tick())
    assert drive.items == ["a", "b"]
    assert drive.wait(0.097).items == ["a", "b"]


def test_a_little_lateness_is_made_good() -> None:
    """A fast rate is kept although each tick takes its time."""
    drive = Drive(Throttle(1000)).give(range(1000))
    for _ in range(1000):
        drive.context.time.advance(0.0015)
        drive.take(drive.transform.tick())
    assert len(drive.items) == 1000


def test_the_last_items_are_spaced_too() -> None:
    """The end of the stream waits for what is held: its deadline says so."""
    drive = Drive(Throttle(2)).give("abc").end(0)
    assert moments(drive, 10.0) == [0.0, 0.5, 1.0]
    assert drive.finish().items == ["a", "b", "c"]


def test_an_early_flush_loses_nothing() -> None:
    """When the run is drained at once, what is held is given."""
    drive = Drive(Throttle(1)).give("abc")
    assert drive.take(drive.transform.flush()).items == ["a", "b", "c"]


@given(streams(pauses=(0.0, 0.0, 0.4, 1.0, 3.0)), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """Only the moment counts in which an item came."""
    drive = assert_cuts_do_not_matter(Throttle(2), events, where)
    assert drive.items == [event.item for event in events]


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Throttle(100), 3) == [0, 1, 2]


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("per_second must be > 0, got 0"):
        Throttle(0)
