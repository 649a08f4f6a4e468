"""Items as bytes: encoded once by who made them, cut and regrouped by anybody, decoded one by one by who uses them.

    Encoder.add(item) ... take() ──► Encoded ── header(), segments() ──► wire or shared memory ──► Encoded.from_wire
                                      │  ▲                                                              │
                       cut(lo, hi) ◄──┘  └── encode_tokens(regrouped) ◄── tokens()           decode ────┴──► items

Items are snapshots: ``add`` copies what the producer could still change. Each is encoded by itself, so one that fails harms no other and
two occurrences of one object come back as two. The cheapest way that is exact is taken:

* exact scalars are only collected, and become one ``marshal`` blob;
* large ``bytes``, ``bytearray``, ``str`` and plain NumPy arrays are their raw bytes and a word on what they are;
* everything else is pickled (protocol 5), large buffers apart; what pickle does not know goes to cloudpickle, by ``by_value``.

This module makes; ``encoded`` holds and ``decoding`` reads. All public names are here.

Considered and refused: pickle for scalars (twice the time); ``persistent_id`` (a Python call per object, ``reducer_override`` is one per
instance); the memo kept from item to item (a later item would need the earlier ones, and would see their objects changed).
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..scalars import NUMBERS, SCALARS, TEXTS
from .arrays import is_plain_array, raw_bytes
from .by_value import PICKLE_ERRORS, ByValue, NeedsFullPickler
from .decoding import Items, Memory, decode
from .encoded import (
    ARRAY,
    BYTEARRAY,
    BYTES,
    LARGE,
    PICKLE,
    PLAIN,
    SCALAR_SIZE,
    SHORT,
    TEXT,
    THRESHOLD,
    BufferRef,
    Builder,
    Encoded,
    Scalars,
    Segment,
    Token,
    size_of,
)
from .packed import encode_tokens
from .wire import Buffer

__all__ = ["THRESHOLD", "BufferRef", "Encoded", "Encoder", "Items", "Memory", "Segment", "Store", "Token", "decode", "encode_tokens"]

Row = tuple[int, Buffer, Sequence[Segment]]  # tag, data, buffers


class Store(Protocol):
    """Where an ``Encoder`` puts large buffers, instead of keeping a private copy."""

    def put(self, data: Buffer) -> BufferRef | None:
        """Say where ``data`` lie from now on, unchanged: they are copied there, if they do not lie so already; ``None``: no room, keep them
        inline."""

    def free(self, ref: BufferRef) -> None:
        """Forget a block that was put and will not travel."""


class Encoder:
    """Snapshots items, one at a time, until they are taken. ``store`` is where large buffers go, else they travel inline."""

    def __init__(self, by_value: ByValue | None = None, store: Store | None = None) -> None:
        self._by_value = by_value
        self._store = store
        self._scalars: list[Any] = []
        self._scalars_size = 0
        self._rows: Builder | None = None  # from the first item on that is no scalar
        self._large = 0  # bytes of buffers
        self._pickler: pickle.Pickler | None = None
        self._full = False  # cloudpickle is needed: functions by value were seen
        self._chunks: list[bytes] = []  # what the pickler wrote of the item in hand
        self._buffers: list[Segment] = []  # its buffers

    @property
    def count(self) -> int:
        return len(self._scalars) if self._rows is None else len(self._rows.tags)

    @property
    def nbytes(self) -> int:
        return self.inline + self._large

    @property
    def inline(self) -> int:
        return self._scalars_size if self._rows is None else self._rows.size

    def add(self, item: Any) -> None:
        """Snapshot one item; what pickling raises comes out, and the items before stay."""
        kind = type(item)
        rows = self._rows
        if rows is None and kind in SCALARS:
            size = 0 if kind in NUMBERS else len(item)
            if size <= SHORT:
                self._scalars.append(item)
                self._scalars_size += SCALAR_SIZE + size
                return
        special = _SPECIAL.get(kind)
        if special is None:
            special = Encoder._encode_array if kind.__name__ == "ndarray" and is_plain_array(item, kind) else Encoder._pickle
        try:
            tag, data, buffers = special(self, item)
        except BaseException:  # what a signal handler raises comes anywhere
            self._abandon()
            raise
        if buffers:
            self._large += sum(map(size_of, buffers))
        (rows or self._delimit()).put(tag, data, buffers)

    def extend(self, items: list[Any]) -> None:
        """Add many; on failure those before the failing one are in, so ``count`` tells which it was."""
        kinds = set(map(type, items))
        if self._rows is None and kinds <= NUMBERS:
            self._scalars += items
            self._scalars_size += SCALAR_SIZE * len(items)
        elif self._rows is None and kinds <= TEXTS and max(map(len, items)) <= SHORT:
            self._scalars += items
            self._scalars_size += SCALAR_SIZE * len(items) + sum(map(len, items))
        else:
            for item in items:
                self.add(item)

    def forget(self, count: int) -> None:
        """Drop the last ``count`` items: what they belong to failed."""
        if self._rows is None:
            kept = len(self._scalars) - count
            self._scalars_size -= sum(SCALAR_SIZE + (len(item) if type(item) in TEXTS else 0) for item in self._scalars[kept:])
            del self._scalars[kept:]
            return
        for buffer in self._rows.forget(count):
            self._large -= size_of(buffer)
            if type(buffer) is BufferRef and self._store is not None:
                self._store.free(buffer)

    def take(self) -> Encoded:
        """Return what was added, and begin anew."""
        rows, values = self._rows, self._scalars
        self._rows, self._scalars, self._scalars_size, self._large = None, [], 0, 0
        return Scalars(len(values), values) if rows is None else rows.build()

    def _delimit(self) -> Builder:
        """Turn the scalars so far into rows."""
        rows = self._rows = Builder()
        for value in self._scalars:
            rows.put(PLAIN, marshal.dumps(value))
        self._scalars = []
        return rows

    def _encode_number(self, item: Any) -> Row:
        return self._place(PLAIN, marshal.dumps(item), ())

    def _encode_bytes(self, item: bytes) -> Row:
        return self._place(BYTES, item, ())

    def _encode_bytearray(self, item: bytearray) -> Row:
        return self._place(BYTEARRAY, item, ())

    def _encode_text(self, item: str) -> Row:
        return self._place(TEXT, item.encode("utf-8", "surrogatepass"), ())

    def _encode_array(self, item: Any) -> Row:
        if item.nbytes < THRESHOLD:
            return ARRAY, marshal.dumps((item.dtype.str, item.shape, item.tobytes())), ()
        raw = item.tobytes() if self._store is None else raw_bytes(item)
        return ARRAY, marshal.dumps((item.dtype.str, item.shape)), (self._put(raw),)

    def _place(self, tag: int, data: Buffer, buffers: Sequence[Segment]) -> Row:
        """Return a row; data above the threshold become its first buffer."""
        if len(data) < THRESHOLD:
            return tag, data if type(data) is bytes else bytes(data), buffers
        return tag | LARGE, b"", (self._put(data), *buffers)

    def _put(self, data: Buffer) -> Segment:
        """Give large data their place: in the store, or as bytes that nobody else can change."""
        ref = None if self._store is None else self._store.put(data)
        return (data if type(data) is bytes else bytes(data)) if ref is None else ref

    # ------------------------------------------------------------------------------------------------------------ pickling

    def _pickle(self, item: Any) -> Row:
        pickler = self._pickler or self._new_pickler()
        try:
            pickler.dump(item)
        except BaseException as error:  # whatever a user's __reduce__ raised: what it left behind must not get into the next item
            self._abandon()
            if self._full or self._by_value is None or not isinstance(error, PICKLE_ERRORS):
                raise
            stay = isinstance(error, NeedsFullPickler)
        else:
            pickler.clear_memo()  # items are independent of each other
            chunks = self._chunks
            if len(chunks) == 1 and not self._buffers and len(chunks[0]) < THRESHOLD:  # nearly always
                return PICKLE, chunks.pop(), ()
            return self._pickled()
        return self._pickle_fully(item, stay)  # out of the ``except``: a failure there must not seem to come from the first one

    def _pickle_fully(self, item: Any, stay: bool) -> Row:
        """Try with cloudpickle, and go on with it if this is the kind of item that needs it."""
        self._full = True
        try:
            return self._pickle(item)
        finally:
            self._full = stay
            if not stay:
                self._pickler = None

    def _pickled(self) -> Row:
        """Take what the pickler wrote."""
        data = b"".join(self._chunks)  # of one chunk: itself
        self._chunks.clear()
        buffers: Sequence[Segment] = ()
        if self._buffers:
            buffers, self._buffers = self._buffers, []
        if len(data) < THRESHOLD:
            return PICKLE, data, buffers
        self._pickler = None  # its memo stays as large as the largest item made it, and clearing costs that each time
        return self._place(PICKLE, data, buffers)

    def _new_pickler(self) -> pickle.Pickler:
        if self._by_value is None:
            pickler = pickle.Pickler(_Sink(self._chunks), 5, buffer_callback=self._out_of_band)
        else:
            pickler = self._by_value.pickler(_Sink(self._chunks), self._out_of_band, full=self._full)
        self._pickler = pickler
        return pickler

    def _out_of_band(self, buffer: pickle.PickleBuffer) -> bool:
        """Keep a large buffer apart; a true answer leaves it to the pickle."""
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous: pickle says so in its own words
            return True
        if raw.nbytes < THRESHOLD:
            return True
        self._buffers.append(self._put(raw))
        return False

    def _abandon(self) -> None:
        for buffer in self._buffers:
            if type(buffer) is BufferRef and self._store is not None:
                self._store.free(buffer)
        self._buffers.clear()
        self._chunks.clear()
        self._pickler = None


_SPECIAL: dict[type, Callable[[Encoder, Any], Row]] = {
    **dict.fromkeys((dict, list, tuple, set), Encoder._pickle),  # without asking whether it is an array: most items are such
    **dict.fromkeys(NUMBERS, Encoder._encode_number),
    bytes: Encoder._encode_bytes,
    bytearray: Encoder._encode_bytearray,
    str: Encoder._encode_text,
}


class _Sink:
    """A file for a pickler: keeps what is written, uncopied."""

    __slots__ = ("write",)

    def __init__(self, chunks: list[bytes]) -> None:
        self.write = chunks.append
