"""``explode``: one item to many, the elements of ``fn(item)``, or of the item itself.

What the function returns is handed on unread: the worker iterates it, so a huge or endless iterable streams. Only an async generator is
collected, since it can be drawn from on the worker's event loop alone; ``COLLECTED`` keeps an endless one from eating the memory.

Considered and refused: an arity for async iterables (a second loop in the worker, for what a plain generator does better).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from ..callables import check_callable, is_async, is_async_generator, name_of
from .contract import Arity, Context, ItemTransform
from .functions import FunctionStage, applying

__all__ = ["Explode"]

COLLECTED = 1_000_000  # elements of one item's async generator; more would be held in memory all at once


@dataclass(frozen=True, eq=False)
class Explode(FunctionStage):
    """Each element of ``fn(item)``."""

    fn: Callable[[Any], Any] | None = None

    arity: ClassVar[Arity] = Arity.MANY

    def __post_init__(self) -> None:
        if self.fn is not None:
            check_callable(self.kind, self.fn)

    @property
    def function_name(self) -> str:
        return "" if self.fn is None else name_of(self.fn)

    @cached_property
    def is_async(self) -> bool:
        return is_async(self.fn) or is_async_generator(self.fn)

    def make(self, context: Context) -> ItemTransform:
        if self.fn is None:
            return applying(_itself)
        return applying(self._collect if is_async_generator(self.fn) else self.fn)

    async def _collect(self, item: Any) -> list[Any]:
        assert self.fn is not None
        elements = []
        async for element in self.fn(item):
            elements.append(element)
            if len(elements) > COLLECTED:
                raise OverflowError(f"an async generator gave more than {COLLECTED} elements for one item; a plain generator streams")
        return elements


def _itself(item: Any) -> Any:
    return item
