from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.origins import MOST_SPANS, Origins
from olympipe_ng.stages import Batch
from olympipe_ng.stages.contract import Fate
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def test_items_are_batched_in_order() -> None:
    """Lists of the given size, the last one as long as what is left."""
    drive = Drive(Batch(2)).give("abcde").finish()
    assert drive.items == [["a", "b"], ["c", "d"], ["e"]]
    assert drive.origins == [((0, 0, 2),), ((0, 2, 4),), ((0, 4, 5),)]


@pytest.mark.parametrize("cut", [1, 1000, MOST_SPANS + 1])
def test_a_batch_of_many_scattered_items_has_one_span_a_source(cut: int) -> None:
    """Up to ``MOST_SPANS`` its origin names each item, beyond that the first and the last of each source, however the stream was cut."""
    scattered = [((0, 2 * k, 2 * k + 1), (1, 3 * k, 3 * k + 1)) for k in range(MOST_SPANS + 1)]
    parts = [Origins.of(scattered[at : at + cut]) for at in range(0, len(scattered), cut)]
    assert Origins.concat(parts).joined() == ((0, 0, 2 * MOST_SPANS + 1), (1, 0, 3 * MOST_SPANS + 1))
    odd = Origins.of(((0, 2 * k + 1, 2 * k + 2),) for k in range(MOST_SPANS + 1))
    assert odd.joined() == ((0, 1, 2 * MOST_SPANS + 2),)
    assert odd[:MOST_SPANS].joined() == tuple((0, 2 * k + 1, 2 * k + 2) for k in range(MOST_SPANS))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(1, 5)), min_size=1, max_size=8))
def test_a_joined_origin_has_the_indices_of_all_its_parts(parts: list[tuple[int, int, int]]) -> None:
    """Each of them, and no other, whatever overlaps; one that others overlap to its right is not counted twice."""
    origins = [((source, start, start + width),) for source, start, width in parts]
    joined = Origins.of(origins).joined()
    assert {(source, k) for source, start, stop in joined for k in range(start, stop)} == {
        (source, k) for ((source, start, stop),) in origins for k in range(start, stop)
    }
    assert Origins.of([((0, 2, 3),), ((0, 0, 5),), ((0, 5, 6),)]).joined() == ((0, 0, 6),)
    assert Origins.of([((0, 1, 2),), ((0, 0, 1),)]).joined() == ((0, 1, 2), (0, 0, 1))


def test_batches_leave_as_soon_as_they_are_full() -> None:
    """Nothing waits for the end that need not."""
    assert Drive(Batch(2)).give("abc").items == [["a", "b"]]


def test_an_incomplete_batch_may_be_left_out() -> None:
    """Its items count as filtered."""
    drive = Drive(Batch(2, False)).give("abc").finish()
    assert drive.items == [["a", "b"]]
    assert drive.counted(Fate.FILTERED) == [2]


def test_an_empty_stream_gives_nothing() -> None:
    """There is no empty batch."""
    assert Drive(Batch(2)).finish().items == []


def test_within_gives_what_is_there_when_the_oldest_is_that_old() -> None:
    """The time counts from the oldest waiting item, not from the newest."""
    drive = Drive(Batch(3, within=1.0)).give("a").wait(0.6).give("b", start=1).wait(0.3)
    assert drive.items == []
    assert drive.wait(0.1).items == [["a", "b"]]
    assert drive.transform.deadline is None


def test_an_overdue_batch_does_not_grow() -> None:
    """Items that come after its time begin a new batch, even if the tick found no room."""
    drive = Drive(Batch(3, within=1.0)).give("a")
    drive.context.time.advance(2.0)
    assert drive.give("b", start=1).items == [["a"]]


def test_within_does_not_delay_the_end() -> None:
    """At the end of the stream the rest is given at once."""
    drive = Drive(Batch(3, within=9.0)).give("a").end(0)
    assert drive.transform.deadline is None
    assert drive.finish().items == [["a"]]


def test_a_huge_flood_leaves_in_pieces() -> None:
    """No emission is larger than a piece, whatever comes at once."""
    assert Drive(Batch(2)).give(range(10_000)).largest == 128
    assert Drive(Batch(1000)).give(range(10_000)).largest == 1


@given(streams(), cuts, st.integers(1, 5), st.booleans())
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int], size: int, keep: bool) -> None:
    """The batches are those of the stream, not of its frames."""
    assert_cuts_do_not_matter(Batch(size, keep), events, where)


@given(streams(pauses=(0.0, 0.0, 0.4, 1.0, 3.0)), cuts, st.integers(1, 4))
def test_cutting_a_timed_stream_changes_nothing(events: list[Event], where: frozenset[int], size: int) -> None:
    """What comes in one moment is batched alike in one call or in several."""
    assert_cuts_do_not_matter(Batch(size, within=1.0), events, where)


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert opaque_run(Batch(2), 3) == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ((0,), "batch_size must be >= 1, got 0"),
        ((2.5,), "batch_size must be a whole number"),
        ((2, 3), "keep_incomplete_batch must be True or False, got 3"),
        ((2, True, 0), "within must be > 0, got 0"),
    ],
)
def test_mistakes_are_refused(fields: tuple[Any, ...], text: str) -> None:
    """A mistake in the graph shows on the user's line."""
    with refused(text):
        Batch(*fields)
