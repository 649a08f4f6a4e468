"""The consumer's side of the arenas: segments are mapped once, read-only; blocks are shown for a moment or lent. See ``arena``.

Considered and refused: lending a slice of the ``mmap`` (it dies while an array made of it lives, so its end tells nothing; a ctypes array
is kept by whatever was made of it); a mapping per block (each keeps a descriptor until Python 3.13).
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections import Counter, deque
from collections.abc import Callable

from ..lazy import lazy
from .arrays import memory_under
from .encoded import BufferRef
from .wire import Buffer

__all__ = ["Reader"]

ctypes = lazy("ctypes")


class Reader:
    """Maps segments once, read-only, and shows blocks of them: the ``Memory`` of ``decode``. ``fetch`` gets a block that is not to be
    had here; ``maps=False``: none is."""

    def __init__(self, fetch: Callable[[BufferRef], Buffer] | None = None, *, maps: bool = True) -> None:
        self._may_map = maps
        self._maps: dict[tuple[int, int], mmap.mmap] = {}
        self._addresses: dict[tuple[int, int], int] = {}  # of those that something was lent from
        self._fetch = fetch
        self._lent: list[BufferRef] = []
        self._returned: deque[BufferRef] = deque()  # filled by the garbage collector, in any thread

    def add(self, arena: int, segment: int, fds: tuple[int, ...]) -> bool:
        """Map a segment and close its descriptor; ``False`` when that cannot be: its blocks will be fetched."""
        if len(fds) != 1 or not self._may_map:
            for fd in fds:
                os.close(fd)
            return False
        try:
            self._maps[arena, segment] = mmap.mmap(fds[0], os.fstat(fds[0]).st_size, mmap.MAP_SHARED, mmap.PROT_READ)
        except (OSError, MemoryError):
            return False
        finally:
            os.close(fds[0])
        return True

    def view(self, ref: BufferRef) -> memoryview:
        """Show a block for a moment, to copy it out."""
        memory = self._maps.get((ref.arena, ref.segment))
        if memory is None:
            return self._fetched(ref)
        return memoryview(memory)[ref.offset : ref.offset + ref.length]

    def lend(self, ref: BufferRef) -> memoryview:
        """Show a block, read-only, for as long as the view or anything made upon it lives."""
        key = (ref.arena, ref.segment)
        memory = self._maps.get(key)
        if memory is None:
            return self._fetched(ref)
        if key not in self._addresses:
            self._addresses[key] = _address(memory)
        block = (ctypes.c_ubyte * ref.length).from_address(self._addresses[key] + ref.offset)
        block.memory = memory  # mapped as long as the block is used
        block.ref = ref
        self._lent.append(ref)
        weakref.finalize(block, self._returned.append, ref).atexit = False
        return memoryview(block).toreadonly().cast("B")

    def find(self, data: Buffer) -> BufferRef | None:
        """Tell where data lie that were lent here and are given back as they were: nobody can have changed them."""
        if not self._addresses or type(data) is not memoryview:
            return None
        block = memory_under(data.obj)
        ref: BufferRef | None = getattr(block, "ref", None) if issubclass(type(block), ctypes.Array) else None
        if ref is None or ref.length != data.nbytes:
            return None
        ours = self._maps.get((ref.arena, ref.segment))  # or it is from another run of this process
        return ref if ours is not None and ours is block.memory else None

    def take_lent(self) -> list[BufferRef]:
        """Return what was lent since the last call: the supervisor must hold it before it may release the frames it came from."""
        lent, self._lent = self._lent, []
        return lent

    def take_returned(self) -> list[BufferRef]:
        """Return what is not used any more, since the last call; never before ``take_lent`` told of it."""
        if not self._returned:
            return []
        unsaid = Counter(self._lent)
        returned = []
        for _ in range(len(self._returned)):
            try:
                ref = self._returned.popleft()
            except IndexError:  # another thread was quicker
                break
            if unsaid[ref]:
                unsaid[ref] -= 1
                self._returned.append(ref)
            else:
                returned.append(ref)
        return returned

    def forget(self, arena: int) -> None:
        """Unmap an arena whose blocks are all gone; what somebody still looks at stays mapped until then."""
        for key in [key for key in self._maps if key[0] == arena]:
            del self._maps[key]
            self._addresses.pop(key, None)

    def close(self) -> None:
        self._maps.clear()
        self._addresses.clear()

    def _fetched(self, ref: BufferRef) -> memoryview:
        if self._fetch is None:
            raise LookupError(f"{ref} lies in shared memory that this process could not map")
        return memoryview(self._fetch(ref)).toreadonly()


def _address(memory: mmap.mmap) -> int:
    """Return where a mapping lies. Python tells it of writable ones only; here the buffer protocol is asked."""

    class Request(ctypes.Structure):  # type: ignore[misc,name-defined]
        """The C struct ``Py_buffer``: a pointer, then words that are of no concern here, and fewer than these."""

        _fields_ = (("buf", ctypes.c_void_p), ("rest", ctypes.c_void_p * 12))

    request = Request()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(memory), ctypes.byref(request), 0)
    try:
        return int(request.buf)
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(request))
