from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.errors import InternalError
from olympipe_ng.origins import Origins
from olympipe_ng.stages import Rejoin
from olympipe_ng.stages.contract import Fate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, forks


def at(*indices: int) -> Origins:
    return Origins.of(((0, index, index + 1),) for index in indices)


def test_items_are_matched_by_their_origin() -> None:
    """An item that one branch lost is dropped, and shifts no other."""
    drive = Drive(Rejoin(2)).process(0, "abc", at(0, 1, 2)).watermark(0, 3)
    assert drive.items == []
    drive.process(1, "AC", at(0, 2)).watermark(1, 3)
    assert drive.items == [("a", "A"), ("c", "C")]
    assert drive.origins == [((0, 0, 1),), ((0, 2, 3),)]
    assert drive.counted(Fate.DROPPED) == [1]


def test_what_an_arm_lacks_may_be_filled() -> None:
    """``missing`` stands for what a branch lost."""
    drive = Drive(Rejoin(2, None)).process(0, "ab", at(0, 1)).process(1, "BC", at(1, 2)).finish()
    assert drive.items == [("a", None), ("b", "B"), (None, "C")]
    assert not drive.fates


def test_an_item_leaves_as_soon_as_all_arms_are_settled() -> None:
    """Marks let items go that no one will complete, without waiting for the end."""
    drive = Drive(Rejoin(2, None)).process(0, "a", at(5)).watermark(0, 6).watermark(1, 5)
    assert drive.transform.settled == 5
    assert drive.items == []
    assert drive.watermark(1, 6).items == [("a", None)]


def test_source_order_is_kept_when_arms_are_out_of_order() -> None:
    """An arm with ``ordered=False`` gives its items as they finish."""
    drive = Drive(Rejoin(2)).process(0, "ca", at(2, 0)).process(1, "ABC", at(0, 1, 2)).watermark(1, 3).watermark(0, 1)
    assert drive.items == [("a", "A")]
    drive.process(0, "b", at(1)).watermark(0, 3)
    assert drive.items == [("a", "A"), ("b", "B"), ("c", "C")]


def test_an_ended_arm_holds_nothing_back() -> None:
    """Its end settles everything."""
    drive = Drive(Rejoin(2, 0)).process(0, "ab", at(0, 1)).watermark(0, 2).end(1)
    assert drive.items == [("a", 0), ("b", 0)]


def test_an_arm_that_is_ahead_is_not_asked_for_more() -> None:
    """The one with the lowest watermark always is, so there is always one that can go on."""
    drive = Drive(Rejoin(2)).process(0, "ab", at(0, 1)).watermark(0, 2)
    assert list(drive.transform.ready) == [1]
    drive.watermark(1, 2)
    assert list(drive.transform.ready) == [0, 1]


def test_two_items_of_one_origin_are_an_error_of_ours() -> None:
    """No item is overwritten in silence."""
    with pytest.raises(InternalError, match="two items of one origin by arm 0"):
        Drive(Rejoin(2)).process(0, "aa", at(1, 1))


def test_an_object_of_the_users_makes_it_look_at_items() -> None:
    """Only plain values can stand among encoded items."""
    assert Rejoin(2).opaque
    assert Rejoin(2, None).opaque
    assert not Rejoin(2, {}).opaque
    assert Rejoin(2).drops_silently
    assert not Rejoin(2, None).drops_silently


@given(forks(3), cuts, st.booleans())
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int], fill: bool) -> None:
    """The rows are those of the source, whatever the frames and their watermarks."""
    drive = assert_cuts_do_not_matter(Rejoin(3, "-") if fill else Rejoin(3), events, where)
    indices = sorted({event.origin[0][1] for event in events})
    found = {(event.port, event.origin[0][1]): event.item for event in events}
    rows = [tuple(found.get((port, index), "-") for port in range(3)) for index in indices]
    assert drive.items == [row for row in rows if fill or "-" not in row]


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Rejoin(2), 2) == [[0, 0], [1, 1]]


def test_mistakes_are_refused() -> None:
    """A rejoin has arms."""
    with refused("arms must be >= 1, got 0"):
        Rejoin(0)
