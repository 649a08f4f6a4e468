"""Origins are a list of them, however they are coded; and what is usual costs one run, not one for each item."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.origins import NO_ORIGINS, Hull, Origin, Origins
from tests.strategies import lists_of

spans = st.tuples(st.integers(0, 1), st.integers(0, 9), st.integers(1, 3)).map(lambda span: (span[0], span[1], span[1] + span[2]))
steady = st.builds(  # as most stages give them: in order, at one distance, of one width
    lambda source, start, step, width, count: [((source, start + k * step, start + k * step + width),) for k in range(count)],
    *(st.integers(0, 1), st.integers(0, 9), st.integers(0, 3), st.integers(1, 3), st.integers(1, 5)),
)
stretches = st.one_of(steady, steady, lists_of(lists_of(spans, 3, 1).map(tuple), 3, 1))
origins = lists_of(stretches, 6, 3).map(lambda parts: [origin for part in parts for origin in part])


@given(origins)
def test_they_are_what_they_were_built_of(items: list[Origin]) -> None:
    """One by one, by position, and as many."""
    coded = Origins.of(items)
    assert list(coded) == items
    assert len(coded) == len(items)
    assert [coded.at(k) for k in range(len(items))] == items
    with pytest.raises(IndexError):
        coded.at(len(items))


@given(origins, st.integers(0, 20), st.integers(0, 20))
def test_a_part_of_them_is_a_part_of_the_list(items: list[Origin], lo: int, count: int) -> None:
    assert list(Origins.of(items)[lo : lo + count]) == items[lo : lo + count]
    assert list(Origins.of(items)[lo:]) == items[lo:]


@given(origins, st.sets(st.integers(0, 25)))
def test_those_at_some_positions_are_taken(items: list[Origin], wanted: set[int]) -> None:
    """A position that comes twice gives its origin twice: two outputs of one item."""
    places = sorted(place for place in wanted if place < len(items))
    assert list(Origins.of(items).take(places)) == [items[place] for place in places]
    assert list(Origins.of(items).take([*places, *places[-1:]])) == [items[place] for place in [*places, *places[-1:]]]
    with pytest.raises(IndexError):
        Origins.of(items).take([*places, len(items)])


@given(lists_of(origins, 4, 2))
def test_several_are_chained(parts: list[list[Origin]]) -> None:
    chained = Origins.concat(map(Origins.of, parts))
    assert list(chained) == [origin for part in parts for origin in part]
    assert chained.runs == Origins.of(chained).runs  # merged at the seams


def test_any_two_stretches_are_chained() -> None:
    """Also where one goes on just where the other ends, at another distance or of another width."""
    some = [
        [((0, start + k * step, start + k * step + width),) for k in range(count)]
        for start, step, width, count in itertools.product(range(5), range(3), (1, 2), (1, 2, 3))
    ]
    for these, those in itertools.product(some, some):
        assert list(Origins.concat([Origins.of(these), Origins.of(those)])) == these + those


@given(origins, origins)
def test_they_are_equal_as_their_lists_are(these: list[Origin], those: list[Origin]) -> None:
    """However they are coded."""
    assert (Origins.of(these) == Origins.of(those)) is (these == those)
    coded, apart = Origins.of(these), Origins(run for origin in these for run in Origins.of([origin]).runs)
    assert coded == apart
    assert hash(coded) == hash(apart)
    assert Origins.of(these) != these


@given(origins)
def test_the_last_ends_where_its_highest_span_does(items: list[Origin]) -> None:
    """A watermark may follow it; what came of no item is no watermark."""
    assert Origins.of(items).last() == (max((stop for _, _, stop in items[-1]), default=0) if items else 0)


@given(origins)
def test_joined_they_cover_what_each_did(items: list[Origin]) -> None:
    """And the hull reaches from the first index of each source to its last."""
    covered = {(source, k) for origin in items for source, start, stop in origin for k in range(start, stop)}
    assert {(source, k) for source, start, stop in Origins.of(items).joined() for k in range(start, stop)} == covered
    hull = Hull()
    hull.add(Origins.of(items))
    sources = dict.fromkeys(source for origin in items for source, _, _ in origin)
    indices = {source: [k for other, k in covered if other == source] for source in sources}
    assert hull.origin() == tuple((source, min(at), max(at) + 1) for source, at in indices.items())
    assert list(hull.origins(2)) == [hull.origin()] * 2
    assert hull.origins(0) == NO_ORIGINS


def test_what_is_usual_is_one_run() -> None:
    """Of a map, an explode, a batch: whether made at once, one by one, or of frames that follow each other."""
    one_by_one = {
        "map": [((0, k, k + 1),) for k in range(7, 17)],
        "every third": [((0, 3 * k, 3 * k + 1),) for k in range(10)],
        "explode": [((0, 7, 8),)] * 10,
        "batch": [((0, 32 * k, 32 * k + 32),) for k in range(10)],
    }
    for origins in one_by_one.values():
        whole = Origins.of(origins)
        assert len(whole.runs) == 1
        assert len(Origins.concat([whole[:4], whole[4:5], whole[5:]]).runs) == 1
        assert whole.take(range(2, 8)).runs == whole[2:8].runs
    assert Origins.of(one_by_one["map"]).runs == Origins.range(0, 7, 10).runs


def test_nothing_is_no_run() -> None:
    for nothing in (Origins.of([]), Origins.range(0, 7, 0), Origins.concat([]), Origins.range(0, 7, 3)[3:], NO_ORIGINS):
        assert nothing.runs == ()
        assert not nothing
