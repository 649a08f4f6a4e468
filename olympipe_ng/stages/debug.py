"""``debug``: print items as they pass, each with the stage's name; from a worker the lines reach the caller's stdout whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .contract import Arity, Context, ItemTransform, Stage
from .functions import applying

__all__ = ["Debug"]


@dataclass(frozen=True, eq=False)
class Debug(Stage):
    """Print ``name: repr(item)``."""

    arity: ClassVar[Arity] = Arity.KEEP
    keeps_origin: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def make(self, context: Context) -> ItemTransform:
        return applying(self._print)

    def _print(self, item: Any) -> bool:
        print(f"{self.label}: {item!r}", flush=True)
        return True
