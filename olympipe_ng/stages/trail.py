"""The origins of items that wait in a row, of which stretches that overlap leave, each with one origin: those of windows.

    put ──►  items   a  b  c  d  e  f  g         runs, and the spans that they come to, neighbours merged
             spans   [0    ][ 3 ][ 5    ]   ──► joined(1, 6): the spans that b to f are in, the outer ones cut to size

``Origins.joined`` makes every span of every window anew. Here one is made once, when its item comes, and all windows have the same: so a
window costs a copy of references, and a header that several travel in names each span once (``marshal`` refers back to it).

Considered and refused: fewer spans than ``MOST_SPANS`` for windows that overlap (``current_item().indices`` would not be exact).
"""

from __future__ import annotations

from bisect import bisect_right

from ..origins import MOST_SPANS, Hull, Origin, Origins, Run, Span

__all__ = ["Trail"]

SPARE = 1024  # runs or spans that may be kept though their items are gone; more moves the rest less often, less keeps less


class Trail:
    """Origins, put behind and dropped in front; positions are counted from the first one that was ever put."""

    __slots__ = ("_begun", "_dropped", "_ended", "_latest", "_put", "_runs", "_spans", "_upto")

    def __init__(self) -> None:
        self._put = 0
        self._dropped = 0
        self._runs: list[Run] = []
        self._upto: list[int] = []  # by run: the position behind its last item
        self._spans: list[Span] = []
        self._begun: list[int] = []  # by span: the position behind the last item that begins in it, or before
        self._ended: list[int] = []  # ... that ends in it, or before
        self._latest = 0  # where what was merged last begins

    def put(self, origins: Origins) -> None:
        """Add the origins of items behind those that wait."""
        for run in origins.runs:
            if run.width and (run.count == 1 or 0 <= run.step <= run.width):
                self._add_row(run)
            else:
                for j in range(run.count):
                    self._add(run.origin(j), 1)
            self._runs.append(run)
            self._upto.append(self._put)

    def drop(self, count: int) -> None:
        """Forget the first ``count`` that wait."""
        self._dropped += count
        for positions, *others in ((self._upto, self._runs), (self._ended, self._begun, self._spans)):
            gone = bisect_right(positions, self._dropped)
            if gone > SPARE or gone == len(positions):
                for each in (positions, *others):
                    del each[:gone]

    def first(self, count: int) -> Origins:
        """Return the origins of the first ``count`` that wait."""
        return self._between(self._dropped, self._dropped + count)

    def joined(self, count: int) -> Origin:
        """Return the one origin of the first ``count`` together, as ``Origins.joined`` does."""
        lo, hi = self._dropped, self._dropped + count
        while lo < hi and not (first := self._at(lo)):  # what came of no item has no place among the spans
            lo += 1
        while lo < hi and not (last := self._at(hi - 1)):
            hi -= 1
        if lo == hi:
            return ()
        spans = self._spans[bisect_right(self._begun, lo) : bisect_right(self._ended, hi - 1) + 1]
        source, start, stop = spans[0]
        if start != first[0][1]:
            spans[0] = (source, first[0][1], stop)
        source, start, stop = spans[-1]
        if stop != last[-1][2]:
            spans[-1] = (source, start, last[-1][2])
        if len(spans) <= MOST_SPANS:
            return tuple(spans)
        hull = Hull()
        hull.add(Origins.of([tuple(spans)]))
        return hull.origin()

    def _add_row(self, run: Run) -> None:
        """Add items that follow each other without a gap."""
        start = run.start + run.step * (run.count - 1)
        self._add(run.origin(0), run.count)
        source, begin, _ = self._spans[-1]
        self._spans[-1] = (source, begin, start + run.width)
        self._latest = start

    def _add(self, origin: Origin, items: int) -> None:
        """Add the spans of an item, or of the first of several whose spans are one."""
        begun = self._put + items
        for span in origin:
            self._merge(span)
            self._begun[-1] = begun
        self._put = begun
        if origin:
            self._ended[-1] = begun

    def _merge(self, span: Span) -> None:
        """Add a span to the last one, if it goes on where that ends: whether it does must not depend on what came before that."""
        source, start, stop = span
        if self._spans and self._spans[-1][0] == source and self._latest <= start <= self._spans[-1][2] <= stop:
            self._spans[-1] = (source, self._spans[-1][1], stop)
        else:
            self._spans.append(span)
            self._begun.append(self._put)
            self._ended.append(self._put)
        self._latest = start

    def _at(self, position: int) -> Origin:
        k = bisect_right(self._upto, position)
        run = self._runs[k]
        return run.origin(position - (self._upto[k] - run.count))

    def _between(self, lo: int, hi: int) -> Origins:
        parts = []
        for k in range(bisect_right(self._upto, lo), len(self._runs)):
            run, begin = self._runs[k], self._upto[k] - self._runs[k].count
            if begin >= hi:
                break
            parts.append(Origins([run.cut(max(lo - begin, 0), min(hi - begin, run.count))]))
        return Origins.concat(parts)
