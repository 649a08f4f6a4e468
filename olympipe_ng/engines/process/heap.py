"""A worker keeps the memory of the arrays that it has let go of: the next ones are copied into pages that are there.

    glibc gives the end of its heap back as soon as some MiB of it are free; a batch of large arrays is then fetched from the kernel, page
    by page and zeroed, and given back, for each batch anew. Sixteen arrays of 6 MB: twice the time of copying them.

What is kept is given back when the worker is idle. Workers only: the caller's heap is the user's.

Considered and refused: ``MALLOC_`` variables (read at ``exec``, which a forked worker never does, and handed on to the user's programs).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ...lazy import lazy
from ...transport.encoding import BufferRef
from .shared import SharedMemory

__all__ = ["WorkerMemory"]

ctypes = lazy("ctypes")

LARGE_COPY = 1 << 20  # bytes; smaller copies stay in the heap as it is
KEPT = 1 << 29  # bytes at the end of the heap; more is given back at once, less is fetched again and again
IN_HEAP = 1 << 25  # bytes of one block, the most that glibc allows; larger ones are mapped and unmapped each time
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


class WorkerMemory(SharedMemory):
    """A worker's part in shared memory."""

    def view(self, ref: BufferRef) -> memoryview:
        if ref.length >= LARGE_COPY:
            keep_freed()
        return super().view(ref)

    def trim(self) -> None:
        super().trim()
        if keep_freed.cache_info().currsize:
            give_back()


@cache
def keep_freed() -> None:
    """Have this process keep what it frees, once; where the C library is another one it does what it does."""
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_MMAP_THRESHOLD, IN_HEAP)


def give_back() -> None:
    """Give what is kept and not used back to the system."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def _function(name: str) -> Callable[..., Any] | None:
    """Find a function of the C library that this process runs on."""
    found: Callable[..., Any] | None = getattr(ctypes.CDLL(None), name, None)
    return found
