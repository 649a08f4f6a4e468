"""``DROP``: what a function returns to give nothing for its item (counted as ``filtered``)."""

from __future__ import annotations

from typing import Final, final

__all__ = ["DROP", "Drop"]


@final
class Drop:
    """The type of ``DROP``; there is one instance in each process, so ``is`` works everywhere."""

    __slots__ = ()

    def __new__(cls) -> Drop:
        return DROP

    def __reduce__(self) -> str:
        return "DROP"

    def __repr__(self) -> str:
        return "DROP"

    def __bool__(self) -> bool:
        return False


DROP: Final[Drop] = object.__new__(Drop)
