"""``DROP``: what a function returns to give nothing for its item (counted as ``filtered``)."""

from __future__ import annotations

from typing import Final, final

__all__ = ["DROP", "Drop"]


@final
class Drop:
    """The type of ``DROP``; there is one instance in each process, so ``is`` works everywhere.

    >>> from olympipe_ng import DROP, Pipeline
    >>> Pipeline(["1", "x", "3"], engine="inline").task(lambda text: int(text) if text.isdigit() else DROP).wait_for_result()
    [1, 3]
    """

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
