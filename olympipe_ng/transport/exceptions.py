"""Exceptions that cross a process border, whole or not at all; their text always does.

    worker   dump_exception(exc) ──► bytes, if it pickles *and* unpickles into the same thing (tried here), else None
    caller   load_exception(bytes) ──► the exception

Where the copy differs or fails, the exception goes as type, args and state, rebuilt without its own ``__init__`` (``rebuilding``).

Considered and refused: always by type, args and state (a class's own ``__reduce__`` knows better); trust without a trial (the reader would
find out, and has nothing else to show); an object with what would not pickle left out (half an exception misleads).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

from .by_value import PICKLE_ERRORS, ByValue
from .rebuilding import reduce_whole

__all__ = ["dump_exception", "load_exception"]

MOST = 1 << 20  # bytes of an exception; more lets larger ones arrive whole, less lets more of them into a message (64 MiB of header)


def dump_exception(exc: BaseException, by_value: ByValue | None = None) -> bytes | None:
    """Pickle an exception of any kind; ``None`` where it would not arrive as it is, or is too large for a message among others."""
    by_value = ByValue() if by_value is None else by_value
    for dump in (_dump_plainly, _dump_whole):
        try:
            data = dump(exc, by_value)
            if len(data) > MOST:
                return None
            if _is_same(pickle.loads(data), exc):
                return data
        except BaseException:  # users' __reduce__, __init__, __setstate__ and properties run here, and may raise anything, SystemExit too
            continue
    return None


def load_exception(data: bytes) -> BaseException | None:
    """Rebuild what ``dump_exception`` made; ``None`` where this process cannot."""
    try:
        exc = pickle.loads(data)
    except Exception:  # users' code again: what went well where it was tried may fail here, as for want of a module
        return None
    return exc if isinstance(exc, BaseException) else None


def _is_same(copy: Any, exc: BaseException) -> bool:
    if type(copy) is not type(exc) or _text(copy) != _text(exc) or not vars(copy).keys() >= vars(exc).keys():
        return False
    theirs, ours = getattr(copy, "exceptions", ()), getattr(exc, "exceptions", ())  # of a group
    if not isinstance(ours, tuple):
        return True
    return len(theirs) == len(ours) and all(map(_is_same, theirs, ours))


def _text(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:  # a user's __str__
        return ""


def _dump_plainly(exc: BaseException, by_value: ByValue) -> bytes:
    try:
        return by_value.dumps(exc)
    except PICKLE_ERRORS:
        return by_value.dumps(exc, full=True)


# ------------------------------------------------------------------------------------------------- by type, args and state


def _dump_whole(exc: BaseException, by_value: ByValue) -> bytes:
    """Pickle with every exception on the way, those of a group too, taken apart here."""
    file = io.BytesIO()
    pickler: Any = by_value.pickler(file, full=True)
    reduce_others: Callable[[Any], Any] = pickler.reducer_override
    pickler.reducer_override = lambda obj: reduce_whole(obj) if isinstance(obj, BaseException) else reduce_others(obj)
    pickler.dump(exc)
    return file.getvalue()
