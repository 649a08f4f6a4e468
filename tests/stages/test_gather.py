from __future__ import annotations

from hypothesis import given

from olympipe_ng.stages import Gather
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def test_items_pass_as_they_come() -> None:
    """Whichever arm has something gives it; each arm's own order is kept."""
    drive = Drive(Gather(2)).give("ab").give("x", port=1).give("c", start=2)
    assert drive.items == ["a", "b", "x", "c"]
    assert drive.origins[2] == ((1, 0, 1),)


def test_no_arm_waits_for_another() -> None:
    """All are asked for items at all times."""
    drive = Drive(Gather(3)).give("ab").end(1)
    assert set(drive.transform.ready) >= {0, 2}


@given(streams(arms=3), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """For the same sequence of arms the frames do not matter."""
    drive = assert_cuts_do_not_matter(Gather(3), events, where)
    assert drive.items == [event.item for event in events]


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Gather(2), 2) == [0, 1, 0, 1]


def test_mistakes_are_refused() -> None:
    """A gather has arms."""
    with refused("arms must be >= 1, got 0"):
        Gather(0)
