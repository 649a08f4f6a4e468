"""From ``Encoded`` back to items: one by one, so that whoever asks knows which item would not be rebuilt, and has all others.

    items = decode(encoded, lo, hi)
    for i in range(len(items)):
        item = items[i]                 # raises what unpickling this one raised; items[i + 1] is as good as ever

Nothing is decoded before it is asked for, nor kept afterwards; but what was pickled together is loaded together. Buffers come back as
private, writable memory; with ``zero_copy`` as read-only views, which live as long as the item uses them.

Considered and refused: a generator (dead after the first item that fails, and a ``StopIteration`` out of a ``__setstate__`` would end it
quietly).
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

from .arrays import rebuild
from .encoded import (
    ARRAY,
    BYTEARRAY,
    BYTES,
    COMPOSITE,
    LARGE,
    PICKLE,
    PICKLES,
    PLAIN,
    TEXT,
    BufferRef,
    Encoded,
    Rows,
    Scalars,
    Segment,
)
from .packed import Group, Pack, Packed, Run
from .wire import Buffer

__all__ = ["Items", "Memory", "decode"]


class Memory(Protocol):
    """Where ``BufferRef``s are looked up."""

    def view(self, ref: BufferRef) -> memoryview:
        """Show a block for a moment, to copy it out."""

    def lend(self, ref: BufferRef) -> memoryview:
        """Show a block, read-only, for as long as the view or anything made upon it lives."""


class Items:
    """The items ``[lo, hi)`` of ``Rows``, each decoded when it is asked for."""

    __slots__ = ("_lo", "_open", "_rows", "_zero_copy", "count")

    def __init__(self, rows: Rows, lo: int, hi: int, zero_copy: bool, memory: Memory | None) -> None:
        self._rows = rows
        self._lo = lo
        self.count = hi - lo
        self._zero_copy = zero_copy
        self._open: Callable[[Segment], Buffer] = _Opener(memory, zero_copy) if memory else _plain

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < self.count:
            raise IndexError(i)
        tag, data, buffers = self._rows.row(self._lo + i)
        if tag == PICKLE and not buffers:  # nearly always
            return pickle.loads(data)
        return _load(tag, data, map(self._open, buffers), self._zero_copy)

    def __iter__(self) -> Iterator[Any]:
        for i in range(self.count):
            yield self[i]

    def part(self, lo: int, hi: int) -> list[Any]:
        """Return some of them; raises what the first raised that would not be rebuilt."""
        pickles = self._rows.pickles(self._lo + lo, self._lo + hi)
        return [self[i] for i in range(lo, hi)] if pickles is None else list(map(pickle.loads, pickles))


class PackedItems:
    """The items ``[lo, hi)`` of ``Packed``. A pack is loaded when the first of its items is asked for, and kept until the last was."""

    __slots__ = ("_first", "_last", "_lo", "_loaded", "_loads", "_open", "_packed", "_shift", "_zero_copy", "count")

    def __init__(self, packed: Packed, lo: int, hi: int, zero_copy: bool, memory: Memory | None) -> None:
        self._packed = packed
        self._lo = lo
        self.count = hi - lo
        self._zero_copy = zero_copy
        self._open: Callable[[Segment], Buffer] = _Opener(memory, zero_copy) if memory else _plain
        self._loads: dict[int, _Loads] = {}  # by the id of the pack
        self._loaded: list[Any] = []  # of the run in hand
        self._first = self._last = self._shift = 0  # positions of that run, and from position to place in the pack

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        if self._first <= i < self._last:  # nearly always
            return self._loaded[i + self._shift]
        if not 0 <= i < self.count:
            raise IndexError(i)
        element, begin = self._packed.find(self._lo + i)
        if type(element) is not Run:
            return self._build(element)
        begin -= self._lo
        self._loaded = self._claim(element)
        self._first, self._last = max(0, begin), min(self.count, begin + element.hi - element.lo)
        self._shift = -begin
        return self._loaded[i + self._shift]

    def __iter__(self) -> Iterator[Any]:
        for i in range(self.count):
            yield self[i]

    def part(self, lo: int, hi: int) -> list[Any]:
        """Return some of them, run by run; raises what the first raised that would not be rebuilt."""
        parts: list[Any] = []
        while lo < hi:
            parts.append(self[lo])
            lo += 1
            if self._first <= lo < self._last:  # the rest of its run is in hand
                upto = min(hi, self._last)
                parts += self._loaded[lo + self._shift : upto + self._shift]
                lo = upto
        return parts

    def _build(self, element: Any) -> Any:
        if type(element) is not Group:
            return element
        parts: list[Any] = []
        for part in element.parts:
            if type(part) is Run:
                parts += self._claim(part)
            else:
                parts.append(self._build(part))
        return tuple(parts) if element.is_tuple else parts

    def _claim(self, run: Run) -> list[Any]:
        """Return items of a pack that nobody was given yet."""
        pack = run.pack
        if pack.tag & ~LARGE != PICKLES:
            return [self._load(pack)]
        loads = self._loads.get(id(pack))
        if loads is None:
            loads = self._loads[id(pack)] = _Loads()
        return loads.claim(run, lambda: self._load(pack))

    def _load(self, pack: Pack) -> Any:
        return _load(pack.tag, pack.data, map(self._open, pack.buffers), self._zero_copy)


class _Loads:
    """A pack, as often as it was loaded and not yet wholly given out, and how often each of its items was."""

    __slots__ = ("lists", "taken")

    def __init__(self) -> None:
        self.lists: dict[int, list[Any]] = {}
        self.taken: list[int] = []

    def claim(self, run: Run, load: Callable[[], list[Any]]) -> list[Any]:
        """Give out items; a list that is used up is let go, or all objects of a frame would live as long as it does, out of the cache."""
        turn = max(self.taken[run.lo : run.hi], default=0)
        if turn not in self.lists:
            self.lists[turn] = load()
            self.taken = self.taken or [0] * len(self.lists[turn])
        self.taken[run.lo : run.hi] = [turn + 1] * (run.hi - run.lo)
        given = self.lists[turn][run.lo : run.hi]
        if min(self.taken) > turn:
            del self.lists[turn]
        return given


def decode(
    encoded: Encoded, lo: int = 0, hi: int | None = None, *, zero_copy: bool = False, memory: Memory | None = None
) -> list[Any] | Items | PackedItems:
    """Return the items ``[lo, hi)`` to be indexed from 0: a list of scalars, or what decodes them as they are asked for."""
    hi = encoded.count if hi is None else hi
    if isinstance(encoded, Scalars):
        return encoded.decode(lo, hi)
    if isinstance(encoded, Packed):
        return PackedItems(encoded, lo, hi, zero_copy, memory)
    assert isinstance(encoded, Rows)
    return Items(encoded, lo, hi, zero_copy, memory)


def _plain(segment: Segment) -> Buffer:
    if type(segment) is BufferRef:
        raise LookupError(f"{segment} lies in shared memory, which this process does not have")
    return segment  # type: ignore[return-value]


class _Opener:
    """Finds the bytes of a segment, in the message or in shared memory."""

    __slots__ = ("_lend",)

    def __init__(self, memory: Memory, zero_copy: bool) -> None:
        self._lend = memory.lend if zero_copy else memory.view

    def __call__(self, segment: Segment) -> Buffer:
        return self._lend(segment) if type(segment) is BufferRef else segment  # type: ignore[return-value]


def _load(tag: int, data: Buffer, buffers: Iterator[Buffer], zero_copy: bool) -> Any:
    """Rebuild one item, taking its buffers in turn."""
    if tag & LARGE:
        data = next(buffers)
        tag &= ~LARGE
    return _LOADERS[tag](data, buffers, zero_copy)


def _load_plain(data: Buffer, buffers: Iterator[Buffer], zero_copy: bool) -> Any:
    return marshal.loads(data)


def _load_pickle(data: Buffer, buffers: Iterator[Buffer], zero_copy: bool) -> Any:
    kept = map(_read_only, buffers) if zero_copy else map(bytearray, buffers)
    return pickle.loads(data, buffers=kept)


def _load_bytes(data: Buffer, buffers: Iterator[Buffer], zero_copy: bool) -> Any:
    return bytes(data)


def _load_bytearray(data: Buffer, buffers: Iterator[Buffer], zero_copy: bool) -> Any:
    return bytearray(data)


def _load_text(data: Buffer, buffers: Iterator[Buffer], zero_copy: bool) -> Any:
    return str(data, "utf-8", "surrogatepass")


def _load_array(data: Buffer, buffers: Iterator[Buffer], zero_copy: bool) -> Any:
    dtype, shape, *inline = marshal.loads(data)
    raw = inline[0] if inline else next(buffers)
    return rebuild(dtype, shape, _read_only(raw) if zero_copy else raw, copy=not zero_copy)


def _load_composite(data: Buffer, buffers: Iterator[Buffer], zero_copy: bool) -> Any:
    is_tuple, leaves = marshal.loads(data)
    parts = [
        _load(leaf[0], leaf[1], islice(buffers, leaf[2]), zero_copy) if type(leaf) is tuple else leaf  # a scalar as it is
        for leaf in leaves
    ]
    return tuple(parts) if is_tuple else parts


def _read_only(buffer: Buffer) -> memoryview:
    return memoryview(buffer).toreadonly()


_LOADERS: dict[int, Callable[[Buffer, Iterator[Buffer], bool], Any]] = {
    PLAIN: _load_plain,
    PICKLE: _load_pickle,
    BYTES: _load_bytes,
    BYTEARRAY: _load_bytearray,
    TEXT: _load_text,
    ARRAY: _load_array,
    COMPOSITE: _load_composite,
    PICKLES: _load_pickle,
}
