"""``split``: one value per outlet for each item; ``None`` or ``DROP`` is nothing for that outlet.

How many outlets there are must be known at build time: ``n``, or the return annotation ``tuple[A, B]`` (a string too, whose names
need not exist at run time, as under ``from __future__ import annotations``).

Considered and refused: padding or cutting a result of the wrong length (olympipe does: values vanish); guessing two outlets.
"""

from __future__ import annotations

import ast
import contextlib
import reprlib
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import function_of
from ..checks import set_int
from ..drop import DROP
from ..errors import GraphError
from .contract import Arity, Context, ItemTransform
from .functions import FunctionStage, applying

__all__ = ["Split"]


@dataclass(frozen=True, eq=False)
class Split(FunctionStage):
    """``fn(item)`` returns ``n`` values, one for each outlet; plain or ``async def``."""

    fn: Callable[[Any], Any]
    n: int | None = None

    arity: ClassVar[Arity] = Arity.ROUTED
    keeps_origin: ClassVar[bool] = True
    drops_silently: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "n", minimum=1, none=True)
        if self.n is None:
            object.__setattr__(self, "n", _annotated(self.fn))
        if self.n is None:
            raise GraphError("split needs n=, or a function with a return annotation such as tuple[A, B]")

    @property
    def outlets(self) -> int:
        assert self.n is not None
        return self.n

    def checked(self, values: Any) -> tuple[Any, ...]:
        if values is DROP:
            return (DROP,) * self.outlets
        if not isinstance(values, (tuple, list)):
            raise TypeError(f"a split function returns a tuple of {self.outlets} values, got {reprlib.repr(values)}")
        if len(values) != self.outlets:
            raise ValueError(f"split has {self.outlets} outlets, the function returned {len(values)} values: {reprlib.repr(values)}")
        return tuple(values)

    def make(self, context: Context) -> ItemTransform:
        return applying(self._route_async if self.is_async else self._route)

    def _route(self, item: Any) -> tuple[Any, ...]:
        return self.checked(self.fn(item))

    async def _route_async(self, item: Any) -> tuple[Any, ...]:
        return self.checked(await self.fn(item))


def _annotated(fn: Any) -> int | None:
    """Count the elements of the returned tuple, as far as the annotation tells."""
    function = function_of(fn)
    hint = getattr(function, "__annotations__", {}).get("return")
    if not isinstance(hint, str):
        return _elements(hint)
    count = _written(hint)
    if count is None:
        with contextlib.suppress(Exception):  # the user's annotations are evaluated, and any name in them may be missing
            count = _elements(typing.get_type_hints(function).get("return"))
    return count


def _elements(hint: Any) -> int | None:
    if typing.get_origin(hint) is tuple:
        parts = typing.get_args(hint)
        return None if Ellipsis in parts else len(parts) or None
    if isinstance(hint, type) and issubclass(hint, tuple):
        return len(getattr(hint, "_fields", ())) or None  # a NamedTuple
    return None


def _written(hint: str) -> int | None:
    try:
        node = ast.parse(hint, mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(node, ast.Subscript) or ast.unparse(node.value).rpartition(".")[2] not in ("tuple", "Tuple"):
        return None
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    unknown = any(isinstance(part, ast.Constant) and part.value is Ellipsis for part in parts)
    return None if unknown else len(parts) or None
