from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.stages import Bucket
from tests.stages.driving import Drive, assert_cuts_do_not_matter, refused
from tests.strategies import Event, cuts, streams


def letter(item: str) -> str:
    return item[0]


def test_items_with_equal_keys_leave_together() -> None:
    """A full bucket leaves at once; the rest at the end, the one begun first in front."""
    drive = Drive(Bucket(letter, 2)).give(["b1", "a1", "c1", "a2"])
    assert drive.items == [["a1", "a2"]]
    assert drive.give(["a3"], start=4).finish().items[1:] == [["b1"], ["c1"], ["a3"]]
    assert drive.origins[:2] == [((0, 1, 2), (0, 3, 4)), ((0, 0, 1),)]


def test_a_full_bucket_is_forgotten() -> None:
    """Memory follows the keys that wait, not those there ever were."""
    drive = Drive(Bucket(str, 1)).give(range(1000))
    assert len(drive.items) == 1000
    assert not drive.transform._filling  # type: ignore[attr-defined]


def test_within_gives_each_bucket_in_its_time() -> None:
    """A bucket's time counts from its own oldest item."""
    drive = Drive(Bucket(letter, 9, 1.0)).give(["a1"]).wait(0.5).give(["b1", "a2"], start=1).wait(0.5)
    assert drive.items == [["a1", "a2"]]
    assert drive.wait(0.5).items == [["a1", "a2"], ["b1"]]


def test_an_overdue_bucket_does_not_grow() -> None:
    """Items that come after its time begin a new one, even if the tick found no room."""
    drive = Drive(Bucket(letter, 9, 1.0)).give(["a1"])
    drive.context.time.advance(1.0)
    assert drive.give(["a2"], start=1).items == [["a1"]]


def test_an_unhashable_key_is_named() -> None:
    """The error says what is wrong with the key."""
    with pytest.raises(TypeError, match="bucket needs hashable keys, got list"):
        Drive(Bucket(lambda item: [item], 2)).give([1])


def test_the_keys_own_error_passes_unchanged() -> None:
    """A ``TypeError`` of the user's function is not mistaken for an unhashable key."""
    with pytest.raises(TypeError, match="len"):
        Drive(Bucket(len, 2)).give([1])


def test_an_item_that_fails_touches_no_other() -> None:
    """Buckets go on filling behind it."""
    drive = Drive(Bucket(letter, 2)).give(["a1"])
    with pytest.raises(TypeError):
        drive.give([3], start=1)
    assert drive.give(["a2"], start=2).items == [["a1", "a2"]]
    assert drive.origins == [((0, 0, 1), (0, 2, 3))]


@given(streams(), cuts, st.integers(1, 4))
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int], size: int) -> None:
    """The buckets are those of the stream, not of its frames."""
    assert_cuts_do_not_matter(Bucket(lambda item: item % 3, size), events, where)


@given(streams(pauses=(0.0, 0.0, 0.4, 1.0, 3.0)), cuts)
def test_cutting_a_timed_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """What comes in one moment is sorted alike in one call or in several."""
    assert_cuts_do_not_matter(Bucket(lambda item: item % 3, 3, 1.0), events, where)


async def later(item: Any) -> Any:
    return item


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ((3, 2), "bucket needs a callable, got 3"),
        ((later, 2), "bucket needs a plain function, 'later' is async"),
        ((len, 0), "batch_size must be >= 1, got 0"),
        ((len, 2, -1), "within must be > 0, got -1"),
    ],
)
def test_mistakes_are_refused(fields: tuple[Any, ...], text: str) -> None:
    """A mistake in the graph shows on the user's line."""
    with refused(text):
        Bucket(*fields)
