"""``tap``: look at items as they pass; what the function returns is thrown away.

It answers "keep" rather than returning the item, so the engine may pass on what it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import check_awaited
from .contract import Arity, Context, ItemTransform
from .functions import FunctionStage, applying

__all__ = ["Tap"]


@dataclass(frozen=True, eq=False)
class Tap(FunctionStage):
    """Call ``fn(item)``, plain or ``async def``, and pass the item on."""

    fn: Callable[[Any], Any]

    arity: ClassVar[Arity] = Arity.KEEP
    keeps_origin: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def make(self, context: Context) -> ItemTransform:
        return applying(self._look_async if self.is_async else self._look)

    def _look(self, item: Any) -> bool:
        check_awaited(self.fn(item))
        return True

    async def _look_async(self, item: Any) -> bool:
        await self.fn(item)
        return True
