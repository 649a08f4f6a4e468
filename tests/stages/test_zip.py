from __future__ import annotations

from hypothesis import given

from olympipe_ng.origins import Origins
from olympipe_ng.stages import Zip
from olympipe_ng.stages.contract import Fate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def test_items_are_paired_by_position() -> None:
    """A pair leaves as soon as both are there, with the origins of both."""
    drive = Drive(Zip(2)).give("abc").give([1], port=1)
    assert drive.items == [("a", 1)]
    assert drive.origins == [((0, 0, 1), (1, 0, 1))]


def test_an_arm_that_is_ahead_is_not_asked_for_more() -> None:
    """Only those are ready that have nothing waiting."""
    drive = Drive(Zip(3))
    assert list(drive.transform.ready) == [0, 1, 2]
    drive.give("ab").give("x", port=2)
    assert list(drive.transform.ready) == [1]
    drive.give("p", port=1)
    assert list(drive.transform.ready) == [1, 2]


def test_it_ends_with_the_shortest() -> None:
    """What the others have beyond counts as unpaired, waiting or still to come."""
    drive = Drive(Zip(2)).give("abc").give([1], port=1)
    assert not drive.transform.done
    drive.end(1)
    assert drive.transform.done
    drive.give("d", start=3).finish()
    assert drive.items == [("a", 1)]
    assert sorted(drive.counted(Fate.UNPAIRED)) == [1, 2, 3]


def test_an_ended_arm_with_items_waiting_is_not_the_end() -> None:
    """Its items are paired first."""
    drive = Drive(Zip(2)).give("ab").end(0)
    assert not drive.transform.done
    drive.give([1, 2], port=1)
    assert drive.transform.done
    assert drive.items == [("a", 1), ("b", 2)]


def test_arms_of_one_source_that_are_abreast_keep_their_origin() -> None:
    """A pair made of one source item twice comes from that item."""
    drive = Drive(Zip(2))
    for port in range(2):
        drive.process(port, "ab", Origins.range(0, 0, 2))
    assert drive.origins == [((0, 0, 1),), ((0, 1, 2),)]


def test_a_flood_leaves_in_pieces() -> None:
    """However far one arm was ahead."""
    assert Drive(Zip(2)).give(range(10_000)).give(range(10_000), port=1).largest == 256


@given(streams(arms=3), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """The pairs are those of the streams, not of their frames."""
    drive = assert_cuts_do_not_matter(Zip(3), events, where)
    columns = [[event.item for event in events if event.port == port] for port in range(3)]
    assert drive.items == list(zip(*columns))  # noqa: B905 - it ends with the shortest


@given(streams(arms=2), cuts)
def test_cutting_arms_of_one_source_changes_no_origin(events: list[Event], where: frozenset[int]) -> None:
    """Origins are joined alike whether the arms are abreast or not."""
    of_one = [event._replace(origin=((0, *event.origin[0][1:]),)) for event in events]
    drive, cut = (Drive(Zip(2)), Drive(Zip(2)))
    for event in of_one:
        cut.process(event.port, [event.item], Origins.of([event.origin]))
    for port in range(2):
        items = [event for event in of_one if event.port == port]
        if items:
            drive.process(port, [event.item for event in items], Origins.of(event.origin for event in items))
    assert drive.finish().origins == cut.finish().origins


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Zip(2), 2) == [[0, 0], [1, 1]]


def test_mistakes_are_refused() -> None:
    """A zip has arms."""
    with refused("arms must be >= 1, got 0"):
        Zip(0)
