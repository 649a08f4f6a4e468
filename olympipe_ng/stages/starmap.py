"""``starmap``: ``fn(*item)``, as ``itertools.starmap``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from .contract import Arity, Context, ItemTransform
from .functions import FunctionStage, applying

__all__ = ["Starmap"]


@dataclass(frozen=True, eq=False)
class Starmap(FunctionStage):
    """``fn(*item)``, plain or ``async def``."""

    fn: Callable[..., Any]

    arity: ClassVar[Arity] = Arity.ONE
    keeps_origin: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def make(self, context: Context) -> ItemTransform:
        return applying(self._spread)

    def _spread(self, item: Iterable[Any]) -> Any:
        return self.fn(*item)
