"""``class_task``: one instance per worker, constructed in the worker and never pickled, closed with it.

    setup   instance = Cls(*class_args, **class_kwargs)      awaited, where that gives an awaitable
    apply   instance.method(item)
    close   instance.close_method()                          once, and only if there is an instance

``Cls.method`` is looked up *by name* on the instance, so a subclass that overrides it is obeyed; a function that is no attribute of the
instance's class is called as ``function(instance, item)``.

Considered and refused: calling ``Cls.method(instance, item)`` as it was given (an override would be passed over without a word).
"""

from __future__ import annotations

import copy
import functools
import inspect
import reprlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import check_callable, is_async, is_async_generator, name_of
from ..errors import GraphError
from .contract import Arity, Context, ItemTransform, Stage

__all__ = ["ClassTask"]


@dataclass(frozen=True, eq=False)
class ClassTask(Stage):
    """``instance.method(item)`` on one instance per worker; constructor, method and ``close_method`` may be async."""

    constructor: Callable[..., Any]
    method: Callable[..., Any]
    class_args: Sequence[Any] | None = None
    close_method: Callable[[Any], Any] | None = None
    class_kwargs: Mapping[str, Any] | None = None
    stateful: bool = False

    arity: ClassVar[Arity] = Arity.ONE
    keeps_origin: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_callable("class_task", self.constructor)
        self._check_method(self.method)
        if self.close_method is not None:
            self._check_method(self.close_method)
        if isinstance(self.class_args, (str, bytes)) or not isinstance(self.class_args, (Sequence, type(None))):
            raise GraphError(f"class_args must be a list or tuple, got {reprlib.repr(self.class_args)}")
        if not isinstance(self.class_kwargs, (Mapping, type(None))):
            raise GraphError(f"class_kwargs must be a dict, got {reprlib.repr(self.class_kwargs)}")
        if not isinstance(self.stateful, bool):
            raise GraphError(f"stateful must be True or False, got {self.stateful!r}")
        if self.stateful:
            self._check_kept()

    def _check_kept(self) -> None:
        for option in ("max_items_per_worker", "max_rss_per_worker"):
            if getattr(self.config, option) is not None:
                raise GraphError(f"stateful=True: the instance accumulates, and {option} would throw it away: leave out either")

    def _check_method(self, method: Any) -> None:
        owner = name_of(self.constructor)
        if not callable(method):
            raise GraphError(f"class_task needs a method of the class, such as {owner}.run, got {reprlib.repr(method)}")
        if inspect.ismethod(method) and not isinstance(method.__self__, type):
            raise GraphError(f"class_task needs {owner}.{name_of(method)}, not the method of one instance")
        if is_async_generator(method):
            raise GraphError(f"class_task needs one result per item, {name_of(method)!r} is an async generator")

    @property
    def one_to_one(self) -> bool:
        return not self.stateful

    @property
    def renews(self) -> bool:
        return not self.stateful

    @functools.cached_property
    def is_async(self) -> bool:
        name = _attribute(self.constructor, self.method) if isinstance(self.constructor, type) else None
        return is_async(self.method if name is None else getattr(self.constructor, name))

    @property
    def function_name(self) -> str:
        names = (name_of(self.constructor), name_of(self.method))
        return ".".join(filter(None, names))

    def make(self, context: Context) -> ItemTransform:
        return _Instance(self)


class _Instance(ItemTransform):
    def __init__(self, stage: ClassTask) -> None:
        self._stage = stage
        self._close: Callable[[], Any] | None = None

    def setup(self) -> Any:
        stage = self._stage
        args, kwargs = copy.deepcopy((tuple(stage.class_args or ()), dict(stage.class_kwargs or {})))
        made = stage.constructor(*args, **kwargs)
        if inspect.isawaitable(made):
            return self._arrive(made)
        self._bind(made)
        return None

    async def _arrive(self, made: Awaitable[Any]) -> None:
        self._bind(await made)

    def _bind(self, instance: Any) -> None:
        self.apply = _bound(instance, self._stage.method)
        if self._stage.close_method is not None:
            self._close = _bound(instance, self._stage.close_method)

    def close(self) -> Any:
        """Close the instance, once, and let go of it."""
        close, self._close = self._close, None
        self.apply = _closed
        return None if close is None else close()


def _closed(item: Any) -> Any:
    raise RuntimeError("the instance is closed")


def _bound(instance: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    name = _attribute(type(instance), method)
    return functools.partial(method, instance) if name is None else getattr(instance, name)


def _attribute(kind: type, method: Callable[..., Any]) -> str | None:
    """Find the name under which ``kind`` or one of its bases holds ``method``, its own name first."""
    function = getattr(method, "__func__", method)
    names = [name for base in kind.__mro__ for name, value in vars(base).items() if _gives(value, function)]
    own = getattr(method, "__name__", None)
    return own if own in names else next(iter(names), None)


def _gives(attribute: Any, function: Any) -> bool:
    """Say whether an attribute of a class is what ``Cls.method`` gave, which is another function each time where it dispatches."""
    if isinstance(attribute, functools.singledispatchmethod):
        return attribute.func is getattr(function, "__wrapped__", None)
    return attribute is function or getattr(attribute, "__func__", None) is function
