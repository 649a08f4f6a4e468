"""``task``: one item to one result, ``fn(item)``; ``DROP`` for none. The worker calls the user's function itself, with nothing between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from .contract import Arity, Context, ItemTransform
from .functions import FunctionStage, applying

__all__ = ["Task"]


@dataclass(frozen=True, eq=False)
class Task(FunctionStage):
    """``fn(item)``, plain or ``async def``."""

    fn: Callable[[Any], Any]

    arity: ClassVar[Arity] = Arity.ONE
    keeps_origin: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def make(self, context: Context) -> ItemTransform:
        return applying(self.fn)
