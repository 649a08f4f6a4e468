"""Items that were pickled together, ``frame_pickling="list"``: cut and regrouped by reference, never by decoding. See ``packing``.

    Packed    elements   Run(pack A, 0, 64)   Run(pack B, 10, 12)   Group(Run(pack B, 12, 13), 7)   ...
    Pack                 one pickled list, with its buffers (or one item that was encoded by itself)

Items within a pack cannot be told apart without unpickling it, so whoever cuts or regroups says which pack, and which of its items. A
pack travels once in a message, however many of its items are meant, and in whatever order: those that are not meant travel along. A list
or tuple that an opaque stage built is a ``Group`` of such references and scalars. Packs are small (``packing``), so that is cheap.

Considered and refused: a copy of the pack for each item that refers to it (``zip`` and ``batch(2)`` would carry it 64 times).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, cast

from ..scalars import SCALARS, TEXTS
from .encoded import SCALAR_SIZE, BufferRef, Encoded, Scalars, Segment, Token, cut_segments, size_of
from .encoded import encode_tokens as encode_rows
from .wire import Buffer

__all__ = ["Group", "Pack", "Packed", "Part", "Run", "encode_tokens"]


class Pack:
    """A row as ``encoded.Rows`` has them, in one piece: a pickled list, or one item. Known by its identity."""

    __slots__ = ("buffers", "data", "tag")

    def __init__(self, tag: int, data: Buffer, buffers: tuple[Segment, ...]) -> None:
        self.tag = tag
        self.data = data
        self.buffers = buffers

    @property
    def nbytes(self) -> int:
        return len(self.data) + sum(map(size_of, self.buffers))


class Run(NamedTuple):
    """The items ``[lo, hi)`` of a pack."""

    pack: Pack
    lo: int
    hi: int


class Group(NamedTuple):
    """One item: a list or tuple of runs, scalars and groups."""

    is_tuple: bool
    parts: tuple[Any, ...]


class Part:
    """One item as opaque stages see it: what ``Token`` is to ``Rows``."""

    __slots__ = ("element", "lease")

    def __init__(self, element: Any) -> None:
        self.element = element
        self.lease: object = None

    def refs(self) -> list[BufferRef]:
        """Return the references into arenas that this item needs."""
        return _refs(_packs_of((self.element,)))


class Packed(Encoded):
    """Elements, each a run of items or one item; see the head of this module."""

    __slots__ = ("_elements", "_ends", "_packs")

    def __init__(self, elements: Sequence[Any]) -> None:
        self._elements = elements
        self._ends = list(accumulate(element.hi - element.lo if type(element) is Run else 1 for element in elements))
        self._packs = _packs_of(elements)
        self.count = self._ends[-1] if elements else 0

    @classmethod
    def from_wire(cls, header: tuple[Any, ...], payload: memoryview) -> Packed:
        _, elements, rows = header
        packs: list[Pack] = []
        at = 0
        for tag, size, places in rows:
            data = payload[at : at + size]
            at += size
            buffers, at = cut_segments(payload, at, places)
            packs.append(Pack(tag, data, buffers))
        return cls([_named(element, packs) for element in elements])

    @property
    def nbytes(self) -> int:
        return sum(pack.nbytes for pack in self._packs.values()) + _size(self._elements)

    def cut(self, lo: int, hi: int) -> Encoded:
        if lo == 0 and hi == self.count:
            return self
        if lo == hi:
            return Scalars(0, [])
        first, last = bisect_right(self._ends, lo), bisect_left(self._ends, hi)
        chosen = list(self._elements[first : last + 1])
        skipped, beyond = lo - self.begin(first), self._ends[last] - hi
        if skipped:
            chosen[0] = chosen[0]._replace(lo=chosen[0].lo + skipped)
        if beyond:
            chosen[-1] = chosen[-1]._replace(hi=chosen[-1].hi - beyond)
        return Packed(chosen)

    def header(self) -> tuple[Any, ...]:
        numbers = {key: number for number, key in enumerate(self._packs)}
        rows = tuple((pack.tag, len(pack.data), tuple(map(_place, pack.buffers))) for pack in self._packs.values())
        return ("p", [_plain(element, numbers) for element in self._elements], rows)

    def segments(self) -> list[Buffer]:
        parts: list[Buffer] = []
        for pack in self._packs.values():
            parts.append(pack.data)
            parts += (cast(Buffer, buffer) for buffer in pack.buffers if type(buffer) is not BufferRef)
        return parts

    def refs(self) -> list[BufferRef]:
        return _refs(self._packs)

    def inlined(self, read: Callable[[BufferRef], Buffer]) -> Encoded:
        read_in = {
            key: Pack(pack.tag, pack.data, tuple(read(b) if type(b) is BufferRef else b for b in pack.buffers))
            for key, pack in self._packs.items()
        }
        return Packed([_moved(element, read_in) for element in self._elements])

    def tokens(self) -> list[Any]:
        parts: list[Any] = []
        for element in self._elements:
            if type(element) is Run:
                parts += (Part(Run(element.pack, k, k + 1)) for k in range(element.lo, element.hi))
            else:
                parts.append(Part(element))
        return parts

    def find(self, position: int) -> tuple[Any, int]:
        """Return the element that holds an item, and the position of the element's first item."""
        at = bisect_right(self._ends, position)
        return self._elements[at], self.begin(at)

    def begin(self, at: int) -> int:
        return self._ends[at - 1] if at else 0


Encoded.forms["p"] = Packed.from_wire


def _packs_of(elements: Iterable[Any]) -> dict[int, Pack]:
    """Return the packs that are referred to, each once, by their ``id``."""
    found: dict[int, Pack] = {}
    for element in elements:
        if type(element) is Run:
            found[id(element.pack)] = element.pack
        elif type(element) is Group:
            found.update(_packs_of(element.parts))
    return found


def _refs(packs: dict[int, Pack]) -> list[BufferRef]:
    return [buffer for pack in packs.values() for buffer in pack.buffers if type(buffer) is BufferRef]


def _size(elements: Iterable[Any]) -> int:
    """Return the bytes of what is not in packs, about."""
    total = 0
    for element in elements:
        if type(element) is Group:
            total += _size(element.parts)
        total += SCALAR_SIZE + (len(element) if type(element) in TEXTS else 0)
    return total


def _place(buffer: Segment) -> Any:
    return tuple(buffer) if type(buffer) is BufferRef else len(buffer)


def _plain(element: Any, numbers: dict[int, int]) -> Any:
    """Return an element as plain data: a run is a tuple, a group a list, a scalar itself."""
    if type(element) is Run:
        return numbers[id(element.pack)], element.lo, element.hi
    if type(element) is Group:
        return [element.is_tuple, *(_plain(part, numbers) for part in element.parts)]
    return element


def _named(plain: Any, packs: Sequence[Pack]) -> Any:
    """Return what ``_plain`` was given."""
    if type(plain) is tuple:
        return Run(packs[plain[0]], plain[1], plain[2])
    if type(plain) is list:
        return Group(plain[0], tuple(_named(part, packs) for part in plain[1:]))
    return plain


def _moved(element: Any, packs: dict[int, Pack]) -> Any:
    """Return an element that refers to other packs."""
    if type(element) is Run:
        return element._replace(pack=packs[id(element.pack)])
    if type(element) is Group:
        return element._replace(parts=tuple(_moved(part, packs) for part in element.parts))
    return element


# ------------------------------------------------------------------------------------------------------------- regrouping


def encode_tokens(outputs: Sequence[Any]) -> Encoded:
    """Encode what an opaque stage emitted, from whatever it came: nothing is decoded."""
    return Packed(_joined(map(_element, outputs))) if _have_parts(outputs) else encode_rows(outputs)


def _have_parts(outputs: Sequence[Any]) -> bool:
    kinds = set(map(type, outputs))
    if Part in kinds or kinds.isdisjoint((list, tuple)):
        return Part in kinds
    return any(_have_parts(output) for output in outputs if type(output) is list or type(output) is tuple)


def _element(output: Any) -> Any:
    """Return one item as an element: a run of one, a scalar, or a group."""
    if type(output) is Part:
        return output.element
    if type(output) is Token:
        return Run(Pack(output.tag, output.data, output.buffers), 0, 1)
    if type(output) is list or type(output) is tuple:
        return Group(type(output) is tuple, tuple(_joined(map(_element, output))))
    if type(output) in SCALARS:
        return output
    raise TypeError(f"an opaque stage emitted {output!r}; it may emit tokens, scalars, lists and tuples")


def _joined(elements: Iterable[Any]) -> list[Any]:
    """Join runs that follow each other in one pack."""
    joined: list[Any] = []
    for element in elements:
        last = joined[-1] if joined else None
        if type(element) is Run and type(last) is Run and last.pack is element.pack and last.hi == element.lo:
            joined[-1] = Run(last.pack, last.lo, element.hi)
        else:
            joined.append(element)
    return joined
