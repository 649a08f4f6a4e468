"""Where items come from: one *origin* per item, run-length coded.

An origin is a tuple of spans ``(source, start, stop)``: a single item of source 0 is ``((0, 7, 8),)``, a batch of the
first 32 is ``((0, 0, 32),)``, a zipped pair has the spans of both arms. ``Origins`` holds the origins of a run of items:

    map      7, 8, 9, 10, ...       one run   (source 0, start 7, step 1, width 1, n)
    explode  7, 7, 7                one run   (source 0, start 7, step 0, width 1, 3)
    batch    0-31, 32-63            one run   (source 0, start 0, step 32, width 32, 2)
    zip      (0-0, 1-0)             one *joined* run per item: (spans, 0, 0, 0, 1)

so the common cases cost nothing per item. Immutable; ``runs`` is plain data and travels as it is.

A batch of what a filter left may have a span for every item. Beyond ``MOST_SPANS`` of them it has one span a source, from the first index
to the last, which also covers what is not in it: ``current_item().indices`` is exact for batches of up to so many spans.

Considered and refused: a list of indices per frame (8 bytes and 0.1 us an item, at every hop, for what is nearly always a range).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, cast

__all__ = ["NO_ORIGINS", "Hull", "Origin", "Origins", "Run", "Span"]

MOST_SPANS = 1024  # of one origin, which travels in each header: more keeps ``indices`` exact, less (17 bytes each) is moved and kept

Span = tuple[int, int, int]
Origin = tuple[Span, ...]


class Run(NamedTuple):
    """``count`` items: item ``j`` spans ``[start + j * step, start + j * step + width)`` of ``source``.

    A joined run has its spans in place of the source and a width of 0.
    """

    source: int | Origin
    start: int
    step: int
    width: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls

    def origin(self, j: int) -> Origin:
        if not self.width:
            return cast(Origin, self.source)
        begin = self.start + j * self.step
        return ((cast(int, self.source), begin, begin + self.width),)

    def cut(self, lo: int, hi: int) -> Run:
        return self._replace(start=self.start + lo * self.step, count=hi - lo)


class Origins:
    """The origins of a run of items; see the head of this module."""

    __slots__ = ("_count", "runs")

    def __init__(self, runs: Iterable[Any] = ()) -> None:
        self.runs: tuple[Run, ...] = tuple(map(_as_run, runs))
        self._count: int = sum(map(_count_of, self.runs))

    @classmethod
    def range(cls, source: int, start: int, count: int) -> Origins:
        """Give ``count`` consecutive items of ``source``, beginning at index ``start``."""
        return cls((Run(source, start, 1, 1, count),)) if count else NO_ORIGINS

    @classmethod
    def of(cls, origins: Iterable[Origin]) -> Origins:
        """Build from single origins, merging neighbours into runs."""
        merged: list[Run] = []
        for origin in origins:
            _append(merged, _single(origin))
        return cls(merged)

    @classmethod
    def concat(cls, parts: Iterable[Origins]) -> Origins:
        """Chain several, merging at the seams."""
        parts = [part for part in parts if part]
        if len(parts) == 1:
            return parts[0]
        merged: list[Run] = []
        for part in parts:
            for run in part.runs:
                _append(merged, run)
        return cls(merged)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Origin]:
        for run in self.runs:
            for j in range(run.count):
                yield run.origin(j)

    def __getitem__(self, part: slice) -> Origins:
        lo, hi, _ = part.indices(self._count)
        if lo == 0 and hi == self._count:
            return self
        return Origins(self._cut(lo, hi))

    def _cut(self, lo: int, hi: int) -> Iterator[Run]:
        for run in self.runs:
            if lo < run.count and hi > 0:
                yield run.cut(max(lo, 0), min(hi, run.count))
            lo -= run.count
            hi -= run.count

    def at(self, position: int) -> Origin:
        """Return the origin of one item."""
        for run in self.runs:
            if position < run.count:
                return run.origin(position)
            position -= run.count
        raise IndexError(position)

    def take(self, positions: Iterable[int]) -> Origins:
        """Keep the items at ``positions`` (ascending; a repeated position repeats its origin)."""
        merged: list[Run] = []
        runs = iter(self.runs)
        run, before = next(runs, None), 0
        for position in positions:
            while run is not None and position >= before + run.count:
                before += run.count
                run = next(runs, None)
            if run is None:
                raise IndexError(position)
            _append(merged, run.cut(position - before, position - before + 1))
        return Origins(merged)

    def joined(self) -> Origin:
        """Return the one origin of all these items together, spans merged that overlap or follow; of too many one span a source."""
        spans: list[Span] = []
        for run in self.runs:
            for span in _spans(run):
                source, start, stop = spans[-1] if spans else (-1, 0, 0)
                if source == span[0] and span[1] <= stop and start < span[2]:
                    spans[-1] = (source, min(start, span[1]), max(stop, span[2]))
                else:
                    spans.append(span)
                if len(spans) > MOST_SPANS:
                    hull = Hull()
                    hull.add(self)
                    return hull.origin()
        return tuple(spans)

    def last(self) -> int:
        """Return the index behind the last item (its highest span's stop), 0 without items or for one that came of none."""
        if not self.runs:
            return 0
        run = self.runs[-1]
        return max((stop for _, _, stop in run.origin(run.count - 1)), default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Origins) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Origins({list(self)!r})" if self._count <= 8 else f"Origins(<{self._count} items in {len(self.runs)} runs>)"


_as_run: Callable[[Any], Run] = partial(tuple.__new__, Run)  # of five values, as they travel, without a word of Python
_count_of: Callable[[Run], int] = itemgetter(Run._fields.index("count"))


def _single(origin: Origin) -> Run:
    if len(origin) != 1:
        return Run(origin, 0, 0, 0, 1)
    source, start, stop = origin[0]
    return Run(source, start, stop - start, stop - start, 1)


def _spans(run: Run) -> Iterator[Span]:
    if run.width and 0 <= run.step <= run.width:
        yield (cast(int, run.source), run.start, run.start + run.step * (run.count - 1) + run.width)
        return
    for j in range(run.count):
        yield from run.origin(j)


def _append(merged: list[Run], run: Run) -> None:
    """Add ``run``, joining it to the last one where both are one progression."""
    if merged:
        last = merged[-1]
        if last.source == run.source and last.width == run.width:
            step = last.step if last.count > 1 else run.start - last.start
            follows = run.start == last.start + step * last.count
            if follows and step >= 0 and (run.count == 1 or run.step == step):
                merged[-1] = last._replace(step=step, count=last.count + run.count)
                return
    merged.append(run)


NO_ORIGINS = Origins()


class Hull:
    """The joined origin of many items: per source one span, from the first index to the last.

    Exact spans would grow without bound behind a filter, and what they would show depends on how the stream was cut when it is out
    of order; a hull is constant, and settles the same indices.
    """

    __slots__ = ("_spans",)

    def __init__(self) -> None:
        self._spans: dict[int, Span] = {}

    def add(self, origins: Origins) -> None:
        """Take in the origins of more items."""
        for run in origins.runs:
            for span in run.origin(0):
                self._widen(*span)
            if run.count > 1:
                for span in run.origin(run.count - 1):
                    self._widen(*span)

    def _widen(self, source: int, start: int, stop: int) -> None:
        _, least, most = self._spans.get(source, (source, start, stop))
        self._spans[source] = (source, min(least, start), max(most, stop))

    def origin(self) -> Origin:
        return tuple(self._spans.values())

    def origins(self, count: int) -> Origins:
        """Return the origin of everything, for ``count`` items."""
        return Origins.of([self.origin()] * count) if count else NO_ORIGINS
