"""The origins of stretches that overlap: those of their items, however they came, and what was made of one is not made again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.origins import MOST_SPANS, Origin, Origins
from olympipe_ng.stages.trail import SPARE, Trail
from tests.strategies import lists_of

spans = st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(1, 4)).map(lambda span: (span[0], span[1], span[1] + span[2]))
any_origins = lists_of(lists_of(spans, 3, 1).map(tuple), 20).filter(bool)
ascending = st.sets(st.integers(0, 40), min_size=1, max_size=20).map(lambda indices: [((0, at, at + 1),) for at in sorted(indices)])
cuts = st.frozensets(st.integers(1, 19))


def trail_of(origins: Sequence[Origin], cuts: frozenset[int]) -> Trail:
    """Put origins as they come in frames that are cut there."""
    trail, places = Trail(), sorted({0, len(origins), *(cut for cut in cuts if cut < len(origins))})
    for lo, hi in pairwise(places):
        trail.put(Origins.of(origins[lo:hi]))
    return trail


def covered(origins: Sequence[Origin]) -> set[tuple[int, int]]:
    return {(source, index) for origin in origins for source, start, stop in origin for index in range(start, stop)}


@given(any_origins, cuts, st.integers(1, 8))
def test_a_stretch_has_the_indices_of_its_items(origins: list[Origin], where: frozenset[int], size: int) -> None:
    """No more and no fewer, and the same wherever frames were cut; one by one they are what was put."""
    cut, whole = trail_of(origins, where), trail_of(origins, frozenset())
    for lo in range(len(origins) - size + 1):
        assert list(cut.first(size)) == origins[lo : lo + size]
        assert cut.joined(size) == whole.joined(size)
        assert covered([cut.joined(size)]) == covered(origins[lo : lo + size])
        cut.drop(1)
        whole.drop(1)


@given(ascending, cuts, st.integers(1, 8), st.integers(1, 8))
def test_a_stretch_of_items_in_order_is_joined_as_any_other(origins: list[Origin], where: frozenset[int], size: int, step: int) -> None:
    """As ``Origins.joined`` does: neighbours are one span."""
    trail = trail_of(origins, where)
    for lo in range(0, len(origins) - max(size, step) + 1, step):
        assert trail.joined(size) == Origins.of(origins[lo : lo + size]).joined()
        trail.drop(step)


def scattered(lo: int, count: int) -> Origins:
    """Return the origins of what a filter left: every other item."""
    return Origins.of(((0, 2 * k, 2 * k + 1),) for k in range(lo, lo + count))


def test_of_too_many_spans_a_source_has_one() -> None:
    """From its first index to its last, as in every joined origin."""
    trail = Trail()
    trail.put(scattered(0, MOST_SPANS + 1))
    assert trail.joined(MOST_SPANS) == scattered(0, MOST_SPANS).joined()
    assert trail.joined(MOST_SPANS + 1) == ((0, 0, 2 * MOST_SPANS + 1),)


def test_stretches_that_overlap_have_the_same_spans() -> None:
    """Not their likes: so a header names each once."""
    trail = Trail()
    trail.put(scattered(0, 11))
    first = trail.joined(10)
    trail.drop(1)
    assert [id(span) for span in trail.joined(10)[:-1]] == [id(span) for span in first[1:]]


def test_what_was_dropped_is_forgotten() -> None:
    """An endless stream does not fill the memory with origins."""
    trail = Trail()
    for k in range(4 * SPARE):
        trail.put(scattered(k, 1))
        if k >= 10:
            trail.drop(1)
    assert len(trail._spans) <= SPARE + 12
    assert len(trail._runs) <= SPARE + 12
