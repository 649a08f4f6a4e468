"""What ``unique`` and ``bucket`` take for the same key: whatever is equal; and all NaNs are one, as in pandas' ``unique``.

A NaN does not equal itself, so sets and dicts go by which object it is, and that changes on an item's way between processes: what comes
out would depend on how items happened to travel together.
"""

from __future__ import annotations

from numbers import Number
from typing import Any

from ..callables import check_awaited

__all__ = ["same_key"]

NAN = object()
PLAIN = frozenset({str, int, bytes, bool, type(None)})


def same_key(key: Any) -> Any:
    """Return what stands for ``key`` in a set or a dict; ``TypeError`` for a coroutine."""
    kind = type(key)
    if kind in PLAIN:  # nearly always
        return key
    if issubclass(kind, tuple) and kind.__eq__ is tuple.__eq__:
        return tuple(map(same_key, key))
    return NAN if issubclass(kind, Number) and key != key else check_awaited(key)
