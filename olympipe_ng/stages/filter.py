"""``filter``: keep the items for which ``fn(item)`` is true; without a function, those that are not ``None``.

Not as ``builtins.filter(None, ...)``, which drops every false item: ``0`` and ``""`` are ordinary items here (olympipe's rule).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import name_of
from .contract import Arity, Context, ItemTransform
from .functions import FunctionStage, applying

__all__ = ["Filter"]


@dataclass(frozen=True, eq=False)
class Filter(FunctionStage):
    """Keep items for which ``fn(item)`` is true."""

    fn: Callable[[Any], Any] | None = None

    arity: ClassVar[Arity] = Arity.KEEP
    keeps_origin: ClassVar[bool] = True
    drops_silently: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.fn is not None:
            super().__post_init__()

    @property
    def function_name(self) -> str:
        return "" if self.fn is None else name_of(self.fn)

    def make(self, context: Context) -> ItemTransform:
        return applying(_is_given if self.fn is None else self.fn)


def _is_given(item: Any) -> bool:
    return item is not None
