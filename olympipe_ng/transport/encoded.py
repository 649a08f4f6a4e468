"""What was encoded: an ordered run of items as bytes, to be cut and regrouped without decoding. See ``encoding`` for the whole.

* ``Scalars``: every item is exactly an int, float, bool, None, or a short str or bytes. One ``marshal`` blob of the list: faster than
  pickle, and read without running anybody's code, so the supervisor may cut it by decoding it.
* ``Rows``: each item is a *tag*, its *data* in one common body, and the *buffers* it references, so cutting is slicing. A buffer is
  bytes, or a ``BufferRef`` into an arena; data above the threshold are a buffer themselves, so the body holds only small things.

      tags     P    P    A   ...
      body    |data|data|data|...              bounds   where each item's data begin, and the last one's end
      buffers [bytes or BufferRef, ...]        shares   the same for the buffers; empty where there are none

Regrouping (``Token``, ``encode_tokens``) joins the small bytes anew and references the buffers. A regrouped list or tuple is one
*composite* item: marshal of ``(is it a tuple, leaves)``, a leaf being a scalar as it is or ``(tag, data, number of buffers)``.

Considered and refused: pickling the frame as one list (later states of re-used objects, items that alias each other; who asks for that gets
``packed``); pickled tuples for what opaque stages build (the supervisor would have to unpickle their parts first).
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, ClassVar, NamedTuple, cast

from ..scalars import SCALARS
from .wire import Buffer

__all__ = [
    "LARGE",
    "THRESHOLD",
    "BufferRef",
    "Builder",
    "Encoded",
    "Rows",
    "Scalars",
    "Segment",
    "Token",
    "cut_segments",
    "encode_tokens",
    "size_of",
]

THRESHOLD = 1 << 14  # bytes from which data are a buffer of their own: less makes small items dear, more copies large ones four times a hop
SCALAR_SIZE = 9  # bytes of a marshalled scalar, about; for bounds only
SHORT = 1 << 10  # longer text leaves the scalars: cutting decodes those, and nobody wants to decode long texts for that

PLAIN, PICKLE, BYTES, BYTEARRAY, TEXT, ARRAY, COMPOSITE, PICKLES = range(8)  # tags; the last: see ``packing``
LARGE = 0x80  # a tag with this bit has its data in its first buffer


class BufferRef(NamedTuple):
    """Where a buffer lies in shared memory: which arena, which segment of it, where in it."""

    arena: int
    segment: int
    offset: int
    length: int


Segment = Buffer | BufferRef


def cut_segments(payload: memoryview, at: int, places: Iterable[Any]) -> tuple[tuple[Segment, ...], int]:
    """Read segments from the wire: bytes of the payload from ``at`` on, and references; return also where the bytes end."""
    found: list[Segment] = []
    for place in places:
        if type(place) is tuple:
            found.append(BufferRef(*place))
            continue
        found.append(payload[at : at + place])
        at += place
    return tuple(found), at


class Token:
    """One encoded item as opaque stages see it: they may hold it, regroup it, and know nothing about it."""

    __slots__ = ("buffers", "data", "lease", "tag")

    def __init__(self, tag: int, data: Buffer, buffers: tuple[Segment, ...]) -> None:
        self.tag = tag
        self.data = data
        self.buffers = buffers
        self.lease: object = None  # what keeps its shared memory while a stage holds it, longer than its frame lives

    def refs(self) -> list[BufferRef]:
        """Return the references into arenas that this item holds."""
        return [buffer for buffer in self.buffers if type(buffer) is BufferRef]

    def __repr__(self) -> str:
        return f"<Token of {len(self.data) + sum(map(size_of, self.buffers))} bytes>"


# ------------------------------------------------------------------------------------------------------- what was encoded


class Encoded:
    """An ordered run of encoded items: the payload of a frame. Immutable; see the head of this module."""

    __slots__ = ("count",)
    count: int
    forms: ClassVar[dict[str, Callable[[tuple[Any, ...], memoryview], Encoded]]] = {}
    """How each kind is built, by the first word of its header."""

    @staticmethod
    def from_wire(header: tuple[Any, ...], payload: memoryview) -> Encoded:
        """Build from ``header()`` and the concatenated ``segments()``; views of ``payload`` are kept, nothing is copied."""
        return Encoded.forms[header[0]](header, payload)

    @property
    def nbytes(self) -> int:
        raise NotImplementedError

    def cut(self, lo: int, hi: int) -> Encoded:
        """Return the items ``[lo, hi)``, without decoding those of user code."""
        raise NotImplementedError

    def header(self) -> tuple[Any, ...]:
        """Return what ``from_wire`` needs beside the bytes: plain data that ``marshal`` takes."""
        raise NotImplementedError

    def segments(self) -> list[Buffer]:
        """Return the bytes to send, in order."""
        raise NotImplementedError

    def refs(self) -> list[BufferRef]:
        """Return the references into arenas that the items hold, repeated where items share one."""
        return []

    def tokens(self) -> list[Any]:
        """Return one opaque value per item: scalars as they are, everything else a ``Token``."""
        raise NotImplementedError

    def at_hand(self) -> Encoded:
        """Return the same items in memory; only what lies elsewhere (``spill``) is not."""
        return self

    def inlined(self, read: Callable[[BufferRef], Buffer]) -> Encoded:
        """Return the same items without references: ``read`` tells what lies at one."""
        return self

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.count} items, {self.nbytes} bytes>"


class Scalars(Encoded):
    """Exact scalars: a list of them, or the ``marshal`` blob of that list, or both."""

    __slots__ = ("_blob", "_values")

    def __init__(self, count: int, values: list[Any] | None = None, blob: Buffer | None = None) -> None:
        self.count = count
        self._values = values
        self._blob = blob

    def blob(self) -> Buffer:
        if self._blob is None:
            self._blob = marshal.dumps(self._values)
        return self._blob

    @property
    def nbytes(self) -> int:
        return len(self.blob())

    def values(self) -> list[Any]:
        """Return the items, decoded once; not to be changed."""
        if self._values is None:
            self._values = marshal.loads(cast(Buffer, self._blob))
        return cast("list[Any]", self._values)

    def cut(self, lo: int, hi: int) -> Encoded:
        if lo == 0 and hi == self.count:
            return self
        return Scalars(hi - lo, self.values()[lo:hi])

    def header(self) -> tuple[Any, ...]:
        return ("s", self.count)

    def segments(self) -> list[Buffer]:
        return [self.blob()]

    def tokens(self) -> list[Any]:
        return list(self.values())

    def decode(self, lo: int, hi: int) -> list[Any]:
        values = marshal.loads(cast(Buffer, self._blob)) if self._values is None else self._values
        return cast("list[Any]", values[lo:hi])


class Rows(Encoded):
    """Delimited items. ``bounds`` and ``shares`` begin at whatever they began at before the first cut: cutting does not renumber."""

    __slots__ = ("_body", "_bounds", "_buffers", "_shares", "_tags")

    def __init__(self, tags: bytes, body: Buffer, bounds: array[int], buffers: tuple[Segment, ...], shares: array[int]) -> None:
        self.count = len(tags)
        self._tags = tags
        self._body = memoryview(body)
        self._bounds = bounds
        self._buffers = buffers
        self._shares = shares  # empty when there are no buffers

    @classmethod
    def from_wire(cls, header: tuple[Any, ...], payload: memoryview) -> Rows:
        _, tags, raw, shares, places = header
        bounds = array("Q", raw)
        at = bounds[-1] - bounds[0]
        buffers, _ = cut_segments(payload, at, places)
        return cls(tags, payload[:at], bounds, buffers, array("Q", shares))

    @property
    def nbytes(self) -> int:
        return len(self._body) + sum(map(size_of, self._buffers))

    @property
    def tags(self) -> bytes:
        return self._tags

    def cut(self, lo: int, hi: int) -> Encoded:
        if lo == 0 and hi == self.count:
            return self
        bounds = self._bounds[lo : hi + 1]
        body = self._body[bounds[0] - self._bounds[0] : bounds[-1] - self._bounds[0]]
        if not self._shares:
            return Rows(self._tags[lo:hi], body, bounds, (), self._shares)
        shares = self._shares[lo : hi + 1]
        buffers = self._buffers[shares[0] - self._shares[0] : shares[-1] - self._shares[0]]
        return Rows(self._tags[lo:hi], body, bounds, buffers, shares)

    def header(self) -> tuple[Any, ...]:
        places = tuple(tuple(b) if type(b) is BufferRef else len(b) for b in self._buffers)
        return ("r", self._tags, self._bounds.tobytes(), self._shares.tobytes(), places)

    def segments(self) -> list[Buffer]:
        return [self._body, *(cast(Buffer, b) for b in self._buffers if type(b) is not BufferRef)]

    def refs(self) -> list[BufferRef]:
        return [b for b in self._buffers if type(b) is BufferRef]

    def inlined(self, read: Callable[[BufferRef], Buffer]) -> Encoded:
        buffers = tuple(read(b) if type(b) is BufferRef else b for b in self._buffers)
        return Rows(self._tags, self._body, self._bounds, buffers, self._shares)

    def row(self, i: int) -> tuple[int, Buffer, tuple[Segment, ...]]:
        """Return the tag, the data and the buffers of one item."""
        bounds, shares = self._bounds, self._shares
        first = bounds[0]
        data = self._body[bounds[i] - first : bounds[i + 1] - first]
        if not shares:
            return self._tags[i], data, ()
        first = shares[0]
        return self._tags[i], data, self._buffers[shares[i] - first : shares[i + 1] - first]

    def pickles(self, lo: int, hi: int) -> list[memoryview] | None:
        """Return the data of some items, if all are pickles in one piece."""
        if self._shares or self._tags.count(PICKLE, lo, hi) < hi - lo:
            return None
        body, first = self._body, self._bounds[0]
        return [body[begin - first : end - first] for begin, end in pairwise(self._bounds[lo : hi + 1])]

    def tokens(self) -> list[Any]:
        return [Token(*self.row(i)) for i in range(self.count)]


Encoded.forms["s"] = lambda header, payload: Scalars(header[1], blob=payload)
Encoded.forms["r"] = Rows.from_wire


class Builder:
    """Lines up rows; small ones cost next to nothing each."""

    __slots__ = ("buffers", "pieces", "shares", "size", "tags")

    def __init__(self) -> None:
        self.tags = bytearray()
        self.pieces: list[Buffer] = []
        self.size = 0
        self.buffers: list[Segment] = []
        self.shares: array[int] = array("Q")  # empty until there are buffers

    def put(self, tag: int, data: Buffer, buffers: Sequence[Segment] = ()) -> None:
        self.tags.append(tag)
        self.pieces.append(data)
        self.size += len(data)
        if buffers or self.shares:
            self._share(buffers)

    def _share(self, buffers: Sequence[Segment]) -> None:
        if not self.shares:
            self.shares = array("Q", bytes(8 * len(self.tags)))
        self.buffers += buffers
        self.shares.append(len(self.buffers))

    def forget(self, count: int) -> list[Segment]:
        """Drop the last ``count`` rows; return the buffers they had."""
        kept = len(self.tags) - count
        self.size -= sum(map(len, self.pieces[kept:]))
        shared = self.shares[kept] if self.shares else 0
        dropped = self.buffers[shared:]
        del self.tags[kept:], self.pieces[kept:], self.shares[kept + 1 :], self.buffers[shared:]
        return dropped

    def build(self) -> Rows:
        bounds = array("Q", accumulate(map(len, self.pieces), initial=0))
        return Rows(bytes(self.tags), b"".join(self.pieces), bounds, tuple(self.buffers), self.shares if self.buffers else array("Q"))


def size_of(segment: Segment) -> int:
    return segment.length if type(segment) is BufferRef else len(segment)


# ------------------------------------------------------------------------------------------------------------- regrouping


def encode_tokens(outputs: Sequence[Any]) -> Encoded:
    """Encode what an opaque stage emitted: tokens, scalars, and (nested) lists and tuples of such. No token is decoded."""
    if set(map(type, outputs)) <= SCALARS:
        return Scalars(len(outputs), list(outputs))
    builder = Builder()
    for output in outputs:
        token = output if type(output) is Token else _as_token(output)
        builder.put(token.tag, token.data, token.buffers)
    return builder.build()


def _as_token(output: Any) -> Token:
    if _is_plain(output):
        return _fitted(PLAIN, marshal.dumps(output), ())
    if type(output) is not list and type(output) is not tuple:
        raise TypeError(f"an opaque stage emitted {output!r}; it may emit tokens, scalars, lists and tuples")
    leaves: list[Any] = []
    buffers: list[Segment] = []
    for part in output:
        if type(part) in SCALARS:
            leaves.append(part)
            continue
        token = part if type(part) is Token else _as_token(part)
        leaves.append((token.tag, token.data, len(token.buffers)))
        buffers += token.buffers
    return _fitted(COMPOSITE, marshal.dumps((type(output) is tuple, leaves)), tuple(buffers))


def _is_plain(output: Any) -> bool:
    if type(output) is list or type(output) is tuple:
        return set(map(type, output)) <= SCALARS or all(map(_is_plain, output))
    return type(output) in SCALARS


def _fitted(tag: int, data: bytes, buffers: tuple[Segment, ...]) -> Token:
    """Return a row; data above the threshold become its first buffer."""
    return Token(tag, data, buffers) if len(data) < THRESHOLD else Token(tag | LARGE, b"", (data, *buffers))
