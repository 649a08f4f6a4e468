"""What the kinds with a function of the user's have in common; what they ask of it is in ``callables``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..callables import check_callable, is_async, is_async_generator, name_of
from ..errors import GraphError
from .contract import ItemTransform, Stage

__all__ = ["FunctionStage", "applying"]


def applying(fn: Callable[[Any], Any]) -> ItemTransform:
    """Return the running half that calls ``fn`` itself, with nothing between."""
    transform = ItemTransform()
    transform.apply = fn
    return transform


@dataclass(frozen=True, eq=False)
class FunctionStage(Stage):
    """What the kinds with one function per item have in common."""

    fn: Callable[..., Any] | None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_callable(self.kind, self.fn)
        if is_async_generator(self.fn):
            raise GraphError(f"{self.kind} needs one result per item, {name_of(self.fn)!r} is an async generator: use explode")

    @cached_property
    def is_async(self) -> bool:
        return is_async(self.fn)

    @property
    def function_name(self) -> str:
        return name_of(self.fn)
