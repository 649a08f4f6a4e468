from __future__ import annotations

import functools

import pytest
from hypothesis import given

from olympipe_ng.origins import Origins
from olympipe_ng.stages import Reduce
from tests.stages.driving import Drive, assert_cuts_do_not_matter, refused
from tests.strategies import Event, cuts, streams


def append(item: int, into: list[int]) -> list[int]:
    into.append(item)
    return into


def test_the_item_comes_first() -> None:
    """``accumulator = reducer(item, accumulator)``, as in olympipe."""
    assert Drive(Reduce("", lambda item, text: f"{text}{item}")).give("abc").finish().items == ["abc"]


def test_one_item_at_the_end_with_the_origin_of_all() -> None:
    """The result stands for everything that went into it."""
    drive = Drive(Reduce(0, int.__add__)).give([1, 2]).give([3], start=2)
    assert drive.items == []
    assert drive.finish().items == [6]
    assert drive.origins == [((0, 0, 3),)]


def test_an_empty_stream_gives_the_accumulator() -> None:
    """Without items the initial value is the result, and comes from nowhere."""
    drive = Drive(Reduce(5, int.__add__)).finish()
    assert drive.items == [5]
    assert drive.origins == [()]


def test_each_run_has_its_own_accumulator() -> None:
    """What the user gave is never changed."""
    mine: list[int] = []
    stage = Reduce(mine, append)
    assert Drive(stage).give([1]).finish().items == [[1]]
    assert Drive(stage).give([2]).finish().items == [[2]]
    assert mine == []


def test_origins_stay_constant_behind_a_filter() -> None:
    """Ten million items with gaps between them have one span per source."""
    drive = Drive(Reduce(0, int.__add__))
    drive.process(0, [1] * 1000, Origins.of(((0, 3 * k, 3 * k + 1),) for k in range(1000)))
    drive.process(0, [1], Origins.of([((1, 4, 5), (0, 5000, 5001))])).finish()
    assert drive.origins == [((0, 0, 5001), (1, 4, 5))]


def test_an_item_that_fails_touches_no_other() -> None:
    """The fold goes on behind it."""
    drive = Drive(Reduce(0, lambda item, total: total + int(item))).give([1, 2])
    with pytest.raises(ValueError, match="x"):
        drive.give(["x"], start=2)
    assert drive.give([4], start=3).finish().items == [7]


@given(streams(), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """The fold is over the stream, not over its frames."""
    drive = assert_cuts_do_not_matter(Reduce([], append), events, where)
    assert drive.items == [[event.item for event in events]]


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("reduce needs a callable, got 0"):
        Reduce(append, 0)  # type: ignore[arg-type]

    async def later(item: int, total: int) -> int:
        return total

    with refused("reduce needs a plain function, 'later' is async"):
        Reduce(0, functools.partial(later))
