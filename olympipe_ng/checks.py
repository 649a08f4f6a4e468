"""Numbers that users give: checked on the user's line, and kept as Python's own.

    check_int, check_number    return the number
    set_int, set_number        put it into a field of a frozen record, for its ``__post_init__``
"""

from __future__ import annotations

import math
import operator
from typing import Any

from .errors import GraphError

__all__ = ["check_int", "check_number", "set_int", "set_number"]


def check_int(name: str, value: Any, *, minimum: int | None, none: bool = False, also: str = "") -> Any:
    """Return ``value`` as a plain ``int``; ``GraphError`` unless it is a whole number of at least ``minimum``."""
    if none and value is None:
        return None
    number = None if isinstance(value, bool) else _whole(value)
    if number is None:
        what = "a whole number" + (f" >= {minimum}" if minimum is not None else "")
        raise GraphError(f"{name} must be {what}{' ' + also if also else ''}, got {value!r}")
    if minimum is not None and number < minimum:
        raise GraphError(f"{name} must be >= {minimum}, got {value!r}")
    return number


def _whole(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_number(name: str, value: Any, *, minimum: float | None = None, above: float | None = None, none: bool = False) -> Any:
    """Return ``value`` as a plain number; ``GraphError`` unless it is one, not nan, of at least ``minimum`` or above ``above``."""
    if none and value is None:
        return None
    number = math.nan if isinstance(value, bool) or not hasattr(value, "__float__") else _plain(value)
    if math.isnan(number):
        raise GraphError(f"{name} must be a number, got {value!r}")
    if minimum is not None and number < minimum:
        raise GraphError(f"{name} must be >= {minimum:g}, got {value!r}")
    if above is not None and number <= above:
        raise GraphError(f"{name} must be > {above:g}, got {value!r}")
    return number


def _plain(value: Any) -> float:
    """Return a plain number; an ``int`` stays what it is, as the user wrote it, what is none becomes nan."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):  # an array of several; more than any clock can count
        return math.nan
    return value if type(value) is int else number


def set_int(described: object, name: str, *, minimum: int | None, none: bool = False, also: str = "") -> None:
    """Check a field of a frozen record, and make it a plain ``int``: one of NumPy's wraps around, and reaches other processes as bytes."""
    object.__setattr__(described, name, check_int(name, getattr(described, name), minimum=minimum, none=none, also=also))


def set_number(described: object, name: str, *, minimum: float | None = None, above: float | None = None, none: bool = False) -> None:
    """Check a field of a frozen record, and make it a plain number."""
    object.__setattr__(described, name, check_number(name, getattr(described, name), minimum=minimum, above=above, none=none))
