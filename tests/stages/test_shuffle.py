from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.stages import Shuffle
from tests.stages.driving import Drive, assert_cuts_do_not_matter, opaque_run, refused
from tests.strategies import Event, cuts, streams


def test_the_whole_stream_is_shuffled() -> None:
    """Without a size nothing leaves before the end, then everything once."""
    drive = Drive(Shuffle(seed=1)).give(range(1000))
    assert drive.items == []
    drive.finish()
    assert sorted(drive.items) == list(range(1000))
    assert drive.items != list(range(1000))
    assert drive.largest <= 256


def test_origins_go_with_their_items() -> None:
    """Each item keeps its own."""
    drive = Drive(Shuffle(3, seed=1)).give(range(100)).finish()
    assert drive.origins == [((0, item, item + 1),) for item in drive.items]


def test_a_reservoir_bounds_what_is_held() -> None:
    """From its size on, each item that comes lets one go."""
    assert len(Drive(Shuffle(10)).give(range(1000)).items) == 990


def test_a_seed_repeats_the_order() -> None:
    """The stage's seed, else the pipeline's; without one each run is fresh."""
    first, again = (Drive(Shuffle(seed=5)).give(range(100)).finish().items for _ in range(2))
    other = Drive(Shuffle(), seed=6).give(range(100)).finish().items
    assert first == again
    assert first != other
    assert other == Drive(Shuffle(), seed=6).give(range(100)).finish().items
    assert first == Drive(Shuffle(seed=5), seed=6).give(range(100)).finish().items
    assert Drive(Shuffle()).give(range(100)).finish().items != Drive(Shuffle()).give(range(100)).finish().items


@given(streams(), cuts, st.none() | st.integers(1, 9))
def test_cutting_the_stream_changes_nothing(events: list[Event], where: frozenset[int], size: int | None) -> None:
    """One random number per item, whatever the frames."""
    drive = assert_cuts_do_not_matter(Shuffle(size), events, where)
    assert sorted(drive.items) == sorted(event.item for event in events)


def test_items_are_never_looked_into() -> None:
    """Encoded items may stand in for the objects."""
    assert sorted(opaque_run(Shuffle(), 3)) == sorted(opaque_run(Shuffle(2), 3)) == [0, 1, 2]


def test_mistakes_are_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("buffer_size must be >= 1, got 0"):
        Shuffle(0)
    with refused("seed must be a whole number, got 'x'"):
        Shuffle(None, "x")  # type: ignore[arg-type]
