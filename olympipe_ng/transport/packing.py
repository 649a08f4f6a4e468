"""Items pickled together, for ``frame_pickling="list"``: one pickle for up to 64 of them, where each by itself is the default.

    extend(items) ──► one pickled list: a ``Pack``, another ... ──► take() ──► ``packed.Packed``
    add(item) ──► that item alone, as ever

Half the time on small dicts: keys and repeated values are written once, and the pickler is called once. What it costs, and why it must
be asked for:

* whoever hands items over in lists has kept them for a while: what the user changed meanwhile is seen;
* an object that two items share is shared by their copies;
* items of one pack are pickled and loaded together, or not at all. Who is told that ``extend`` failed has the objects still: it forgets
  what went in and adds them one by one, so that only the guilty one fails. Where a pack cannot be *loaded*, all its items fail.

What pickle does not touch (scalars, long bytes, arrays) is encoded as ever, and large items come to be alone in their packs.

Considered and refused: one pickle for a whole frame of any size (regrouping would drag all of it along, and one that does not load would
take a thousand with it); the pickler's memo kept from item to item (a re-used object would be sent as it was the *first* time).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..scalars import SCALARS, TEXTS
from .arrays import is_plain_array
from .encoded import LARGE, PICKLES, SHORT, Encoded, Rows, size_of
from .encoding import Encoder
from .packed import Pack, Packed, Run

__all__ = ["MOST", "TogetherEncoder"]

MOST = 64  # items of a pack: more saves nothing that could be measured, less lets a stage regroup them more cheaply
PACK_BYTES = 1 << 15  # of a pack, about: more drags more along where a few of its items are meant, less gains less
FIRST = 8  # items of the first pack, while their size is unknown


class TogetherEncoder(Encoder):
    """An ``Encoder`` that pickles together what it is given together; see the head of this module."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._room = FIRST
        self._spans: list[int] = []  # items of each row, once there are rows
        self._packed = 0  # items of these rows

    @property
    def count(self) -> int:
        return len(self._scalars) if self._rows is None else self._packed

    def add(self, item: Any) -> None:
        super().add(item)
        self._count_row(1)

    def extend(self, items: list[Any]) -> None:
        """Add many, those that can be packed together; on failure some are in: forget them, and add one by one."""
        kinds = set(map(type, items))
        if (self._rows is None and kinds <= SCALARS) or _stand_alone(items, kinds):
            super().extend(items)
            return
        at = 0
        while at < len(items):
            pack = items[at : at + self._room]
            self._pack(pack)
            at += len(pack)

    def forget(self, count: int) -> None:
        if self._rows is None:
            super().forget(count)
            return
        self._packed -= count
        while count and self._spans[-1] <= count:
            count -= self._spans.pop()
            super().forget(1)
        if count:
            self._spans[-1] -= count  # they stay in the pack, and nobody is told of them

    def take(self) -> Encoded:
        encoded, spans = super().take(), self._spans
        self._spans, self._packed = [], 0
        if not isinstance(encoded, Rows) or not any(tag & ~LARGE == PICKLES for tag in encoded.tags):
            return encoded
        return Packed([Run(Pack(*encoded.row(k)), 0, span) for k, span in enumerate(spans)])

    # -------------------------------------------------------------------------------------------------------------- inside

    def _pack(self, items: list[Any]) -> None:
        before = self.nbytes
        if len(items) == 1:
            self.add(items[0])
        else:
            tag, data, buffers = self._pickle(items)
            self._large += sum(map(size_of, buffers))
            (self._rows or self._delimit()).put(PICKLES | tag & LARGE, data, buffers)
            self._count_row(len(items))
        size = max(1, (self.nbytes - before) // len(items))
        self._room = max(1, min(2 * self._room, MOST, PACK_BYTES // size))

    def _count_row(self, items: int) -> None:
        """Note how many items the newest row holds; rows before it that nobody counted were scalars."""
        if self._rows is not None:
            scalars = len(self._rows.tags) - len(self._spans) - 1
            self._spans += [1] * scalars
            self._spans.append(items)
            self._packed += scalars + items


def _stand_alone(items: Sequence[Any], kinds: set[type]) -> bool:
    """Tell whether there is one among them whose bytes need no pickling."""
    if bytearray in kinds or any(kind.__name__ == "ndarray" for kind in kinds):
        return any(type(item) is bytearray or is_plain_array(item, type(item)) for item in items)
    return not kinds.isdisjoint(TEXTS) and any(len(item) > SHORT for item in items if type(item) in TEXTS)
