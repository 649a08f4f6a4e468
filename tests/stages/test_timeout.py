from __future__ import annotations

import pytest
from hypothesis import given

from olympipe_ng.errors import StreamTimeout
from olympipe_ng.options import StageConfig
from olympipe_ng.origins import Origins
from olympipe_ng.stages import Timeout
from olympipe_ng.stages.contract import Fate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def test_the_stream_ends_when_no_item_came_for_that_long() -> None:
    """After the last item, exactly the given time, with a warning."""
    drive = Drive(Timeout(5.0)).give("ab").wait(4.99)
    assert not drive.transform.done
    drive.wait(0.011)
    assert drive.transform.done
    assert drive.items == ["a", "b"]
    assert drive.context.warnings == ["timeout: no item came for 5 s: cut after 2 items"]


def test_each_item_begins_the_time_anew() -> None:
    """Only a pause counts, not the whole."""
    drive = Drive(Timeout(1.0))
    for number in range(10):
        drive.wait(0.9).give([number], start=number)
    assert not drive.transform.done


def test_the_first_item_is_waited_for_as_long() -> None:
    """A stream that never begins is cut too."""
    assert Drive(Timeout(1.0)).wait(1.1).transform.done


def test_an_error_is_raised_where_asked_for() -> None:
    """``error=True`` makes the run fail."""
    with pytest.raises(StreamTimeout, match="no item came for 2 s: cut after 1 items"):
        Drive(Timeout(2.0, error=True)).give("a").wait(3.0)


def test_items_after_the_cut_count_as_cancelled() -> None:
    """What was on its way is accounted for."""
    drive = Drive(Timeout(1.0)).wait(2.0).give("ab").finish()
    assert drive.items == []
    assert drive.counted(Fate.CANCELLED) == [0, 1]


def test_time_without_room_does_not_count() -> None:
    """A tick that comes much too late shows that downstream was full: the time begins anew."""
    drive = Drive(Timeout(1.0)).give("a")
    drive.context.time.advance(10.0)
    drive.take(drive.transform.tick())
    drive.wait(0.9)
    assert not drive.transform.done
    assert drive.wait(0.2).transform.done


def test_items_that_waited_for_room_come_in_time() -> None:
    """Between the first tick and the cut there is time for what waits upstream."""
    drive = Drive(Timeout(0.2)).give("a")
    drive.context.time.advance(0.25)
    drive.take(drive.transform.tick())
    assert not drive.transform.done
    assert not drive.give("b", start=1).wait(0.19).transform.done


def test_time_within_an_emission_does_not_count() -> None:
    """While an emission waits for room, the clock stands still for it."""
    drive = Drive(Timeout(1.0))
    for emission in drive.transform.process(0, ["a"], Origins.range(0, 0, 1)):
        drive.context.time.advance(10.0)
        drive.take([emission])
    assert not drive.wait(0.9).transform.done


def test_the_time_begins_when_all_before_it_is_set_up() -> None:
    """Also where the set-up, of a worker that takes another's place, ended between the two ticks."""
    drive = Drive(Timeout(1.0)).wait(0.97)
    drive.take(drive.transform.begin())
    assert not drive.wait(0.99).transform.done
    assert drive.wait(0.02).transform.done


def test_a_set_up_behind_the_end_or_the_cut_begins_nothing() -> None:
    """Nothing more is waited for."""
    for drive in (Drive(Timeout(1.0)).end(0), Drive(Timeout(1.0)).wait(2.0)):
        drive.take(drive.transform.begin())
        assert drive.transform.deadline is None


def test_the_end_of_the_stream_is_no_timeout() -> None:
    """Nothing more is waited for."""
    drive = Drive(Timeout(1.0)).give("a").end(0)
    assert drive.transform.deadline is None
    drive.wait(10.0).finish()
    assert drive.context.warnings == []


@given(streams(pauses=(0.0, 0.0, 0.4, 0.9, 1.5)), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """Only the moments count in which items came."""
    assert_cuts_do_not_matter(Timeout(1.0), events, where)


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Timeout(1.0), 2) == [0, 1]


def test_the_warning_names_the_stage() -> None:
    """Of several timeouts the user sees which it was."""
    drive = Drive(Timeout(1.0, config=StageConfig(name="camera"))).wait(2.0)
    assert drive.context.warnings[0].startswith("camera: ")


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("seconds must be > 0, got 0"):
        Timeout(0)
    with refused("error must be True or False, got 'yes'"):
        Timeout(1.0, "yes")  # type: ignore[arg-type]
