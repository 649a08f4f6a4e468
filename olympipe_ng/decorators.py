"""Olympipe's decorators: each registers its argument under its name and returns it unchanged.

    @task                       registered("task")["resize"] is resize
    def resize(image): ...

Nothing here is needed to build a pipeline; the registry is for tools that list what a program has (olympipe's visual editor).
"""

from __future__ import annotations

import itertools
import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from .errors import GraphError

__all__ = ["ClassTask", "class_task", "clear_registry", "filter", "registered", "source", "source_from", "splitter", "task"]

F = TypeVar("F", bound=Callable[..., Any])
K = TypeVar("K", bound=type)
S = TypeVar("S")

_REGISTRY: dict[str, dict[str, Any]] = {"source": {}, "task": {}, "filter": {}, "splitter": {}, "class_task": {}}


class ClassTask(NamedTuple):
    """A class for ``class_task``, with the names of its methods."""

    cls: type
    method: str
    close: str | None = None


def source(fn: F) -> F:
    """Register a function that makes a source.

    >>> @source
    ... def readings():
    ...     yield from (20.5, 21.0)
    >>> "readings" in registered("source")
    True
    """
    return _register("source", fn)


def source_from(iterable: S, name: str | None = None) -> S:
    """Register any iterable as a source; without ``name`` by its own name, or a number.

    >>> primes = source_from([2, 3, 5], name="primes")
    >>> registered("source")["primes"] is primes
    True
    """
    known = _REGISTRY["source"]
    known[name or getattr(iterable, "__name__", None) or _free_name(known)] = iterable
    return iterable


def task(fn: F) -> F:
    """Register a function for ``Pipeline.task``.

    >>> @task
    ... def double(x):
    ...     return 2 * x
    >>> double(4)
    8
    """
    return _register("task", fn)


def filter(fn: F) -> F:
    """Register a function for ``Pipeline.filter``, which must be annotated to return ``bool`` if it is annotated.

    >>> @filter
    ... def is_even(x: int) -> bool:
    ...     return x % 2 == 0

    Raises ``TypeError`` for another annotation.
    """
    returns = _annotations(fn).get("return", bool)
    if returns not in (bool, "bool"):
        raise TypeError(f"@filter: {_name(fn)!r} must return bool, not {getattr(returns, '__name__', returns)}")
    return _register("filter", fn)


def splitter(fn: F) -> F:
    """Register a function for ``Pipeline.split``.

    >>> @splitter
    ... def route(x: int) -> tuple[int | None, int | None]:
    ...     return (x, None) if x % 2 == 0 else (None, x)
    """
    return _register("splitter", fn)


def class_task(method: str, close: str | None = None, name: str | None = None) -> Callable[[K], K]:
    """Register a class for ``Pipeline.class_task``, with the names of the method to call and of the one that closes it.

    >>> @class_task("predict", close="release")
    ... class Model:
    ...     def predict(self, x): ...
    ...     def release(self): ...
    >>> registered("class_task")["Model"].close
    'release'
    """

    def decorate(cls: K) -> K:
        _REGISTRY["class_task"][name or cls.__name__] = ClassTask(cls, method, close)
        return cls

    return decorate


def registered(kind: str) -> Mapping[str, Any]:
    """Return what is registered, by name; ``kind`` is the name of a decorator, ``"source"`` for both of sources.

    >>> registered("filter").get("nobody") is None
    True

    Raises ``GraphError`` for another kind.
    """
    if kind not in _REGISTRY:
        raise GraphError(f"kind must be one of {', '.join(map(repr, _REGISTRY))}, got {kind!r}")
    return MappingProxyType(_REGISTRY[kind])


def clear_registry() -> None:
    """Forget everything that is registered.

    >>> clear_registry()
    >>> len(registered("task"))
    0
    """
    for known in _REGISTRY.values():
        known.clear()


def _register(kind: str, fn: F) -> F:
    _REGISTRY[kind][_name(fn)] = fn
    return fn


def _free_name(known: Mapping[str, Any]) -> str:
    """Return a numbered name that no source has, though one may have been called so."""
    return next(name for number in itertools.count(len(known)) if (name := f"source_{number}") not in known)


def _name(fn: Any) -> str:
    return str(getattr(fn, "__name__", None) or type(fn).__name__)


def _annotations(fn: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(fn)
    except Exception:  # the user's annotations are evaluated, and names in them need not exist at run time
        found: dict[str, Any] = getattr(fn, "__annotations__", {})
        return found
