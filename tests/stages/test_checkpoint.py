from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given

from olympipe_ng.stages import Checkpoint
from tests.stages.driving import Drive, assert_cuts_do_not_matter, refused
from tests.strategies import Event, cuts, streams


def append(item: int, into: list[int]) -> list[int]:
    into.append(item)
    return into


def test_each_item_of_the_emitter_is_an_item() -> None:
    """The stream is folded first, then given as the emitter says."""
    drive = Drive(Checkpoint([], append, reversed)).give([1, 2, 3])
    assert drive.items == []
    assert drive.finish().items == [3, 2, 1]
    assert drive.origins == [((0, 0, 3),)] * 3


def test_an_empty_stream_emits_from_the_initial_state() -> None:
    """The emitter is asked once, whatever came."""
    drive = Drive(Checkpoint([7], append, iter)).finish()
    assert drive.items == [7]
    assert drive.origins == [()]


def test_an_endless_emitter_streams() -> None:
    """What it yields leaves as it comes."""
    drive = Drive(Checkpoint(0, int.__add__, itertools.count)).give([5])
    assert [items for _, items, _ in itertools.islice(drive.transform.flush(), 3)] == [[5], [6], [7]]


def test_what_the_emitter_changes_after_it_gave_it_is_not_seen() -> None:
    """It may give one object again and again: each time a snapshot is taken."""

    def growing(state: int) -> Iterator[list[int]]:
        seen: list[int] = []
        for number in range(3):
            seen.append(number)
            yield seen

    assert Drive(Checkpoint(0, int.__add__, growing)).finish().items == [[0], [0, 1], [0, 1, 2]]


def test_each_run_has_its_own_state() -> None:
    """What the user gave is never changed."""
    mine: list[int] = []
    assert Drive(Checkpoint(mine, append, list)).give([1]).finish().items == [1]
    assert mine == []


def test_an_item_that_fails_touches_no_other() -> None:
    """The fold goes on behind it."""
    drive = Drive(Checkpoint(0, lambda item, total: total + int(item), lambda total: [total])).give([1])
    with pytest.raises(ValueError, match="x"):
        drive.give(["x"], start=1)
    assert drive.give([4], start=2).finish().items == [5]


@given(streams(), cuts)
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int]) -> None:
    """The fold is over the stream, not over its frames."""
    drive = assert_cuts_do_not_matter(Checkpoint([], append, lambda state: [None, *state]), events, where)
    assert drive.items == [None, *(event.item for event in events)]


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("checkpoint needs a callable, got 1"):
        Checkpoint(0, 1, iter)  # type: ignore[arg-type]
    with refused("checkpoint needs a callable, got 2"):
        Checkpoint(0, append, 2)  # type: ignore[arg-type]
