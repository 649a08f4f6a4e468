from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.origins import Origins
from olympipe_ng.stages import Window
from olympipe_ng.stages.contract import Fate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def test_windows_slide_by_one() -> None:
    """Each window begins one item after the one before."""
    drive = Drive(Window(3)).give("abcde").finish()
    assert drive.items == [("a", "b", "c"), ("b", "c", "d"), ("c", "d", "e")]
    assert drive.origins == [((0, 0, 3),), ((0, 1, 4),), ((0, 2, 5),)]


def test_items_between_windows_count_as_filtered() -> None:
    """A step beyond the size leaves items out, and says which."""
    drive = Drive(Window(2, 3)).give("abcdefg").finish()
    assert drive.items == [("a", "b"), ("d", "e")]
    assert sorted(drive.counted(Fate.FILTERED)) == [2, 5, 6]


def test_only_whole_windows_are_given() -> None:
    """What is in no window at the end counts as filtered, what was in one does not."""
    drive = Drive(Window(3, 2)).give("abcd").finish()
    assert drive.items == [("a", "b", "c")]
    assert drive.counted(Fate.FILTERED) == [3]
    assert Drive(Window(3)).give("ab").finish().counted(Fate.FILTERED) == [0, 1]


def calls_per_window(size: int, apart: int) -> float:
    """Count the calls of Python functions for a window over items that came one by one, of which so many are apart in their source."""
    calls, drive = 0, Drive(Window(size)).give(range(size))

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        for k in range(size, 2 * size):
            list(drive.transform.process(0, [k], Origins.range(0, k * apart, 1)))
    finally:
        sys.setprofile(None)
    return calls / size


def test_a_window_over_what_a_filter_left_costs_no_more_calls_than_another() -> None:
    """Nor does a large one cost more than a small one: its origin is not put together anew, item by item."""
    usual = calls_per_window(20, 1)
    assert calls_per_window(20, 2) < 1.5 * usual
    assert calls_per_window(500, 2) < 1.5 * usual


@given(streams(), cuts, st.integers(1, 4), st.integers(1, 6))
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int], size: int, step: int) -> None:
    """The windows are those of the stream, not of its frames."""
    drive = assert_cuts_do_not_matter(Window(size, step), events, where)
    items = [event.item for event in events]
    assert drive.items == [tuple(items[lo : lo + size]) for lo in range(0, len(items) - size + 1, step)]


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Window(2), 3) == [[0, 1], [1, 2]]


@pytest.mark.parametrize(("size", "step", "text"), [(0, 1, "size must be >= 1, got 0"), (2, 0, "step must be >= 1, got 0")])
def test_mistakes_are_refused(size: int, step: int, text: str) -> None:
    """A mistake in the graph shows on the user's line."""
    with refused(text):
        Window(size, step)
