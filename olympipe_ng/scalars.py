"""Values that travel as they are: nobody can change them, so none needs a snapshot of its own, and many are moved together."""

from __future__ import annotations

__all__ = ["NUMBERS", "SCALARS", "TEXTS"]

NUMBERS: frozenset[type] = frozenset({int, float, bool, type(None)})
TEXTS: frozenset[type] = frozenset({str, bytes})
SCALARS = NUMBERS | TEXTS  # exactly these types, none of their subclasses
