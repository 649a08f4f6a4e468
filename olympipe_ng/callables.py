"""Questions to a function of the user's: is it callable, is it async, what is it called.

A function may be anything callable: a lambda, a closure, a bound method, a ``functools.partial``, a callable object, a
builtin, a class. All questions are answered by looking; nothing is called.

Considered and refused: following ``__wrapped__`` to find async functions (a wrapper may well run the coroutine itself and
return its result).
"""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Iterator
from types import CodeType, CoroutineType
from typing import Any, TypeVar

from .errors import GraphError

__all__ = [
    "check_awaited",
    "check_callable",
    "check_plain",
    "codes_in",
    "function_of",
    "is_async",
    "is_async_generator",
    "name_of",
    "names_in",
]

T = TypeVar("T")


def function_of(fn: Any) -> Any:
    """Find the function behind partials, bound methods and callable objects; a class or builtin is given back as it is."""
    while True:
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif isinstance(fn, type) or inspect.isroutine(fn) or not inspect.isfunction(inspect.getattr_static(type(fn), "__call__", None)):
            return fn
        else:
            fn = type(fn).__call__


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function, and those of the functions and classes inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the names that a function and those inside it use, which their module may have: attributes, too."""
    for each in codes_in(code):
        yield from each.co_names


def is_async(fn: Any) -> bool:
    """Say whether calling ``fn`` gives a coroutine; a function marked by ``inspect.markcoroutinefunction`` does."""
    return any(inspect.iscoroutinefunction(one) for one in (fn, function_of(fn)))


def is_async_generator(fn: Any) -> bool:
    """Say whether calling ``fn`` gives an async generator."""
    return inspect.isasyncgenfunction(function_of(fn))


def name_of(fn: Any) -> str:
    """Return what the user calls the function; ``""`` for a lambda, whose stage is better called by its kind."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return "" if name == "<lambda>" else str(name)


def check_callable(what: str, fn: Any) -> None:
    """Raise ``GraphError`` unless ``fn`` can be called."""
    if not callable(fn):
        raise GraphError(f"{what} needs a callable, got {reprlib.repr(fn)}")


def check_awaited(result: T) -> T:
    """Return what a function gave; ``TypeError`` for a coroutine, which is true and runs nothing: a lambda or wrapper has hidden it."""
    if isinstance(result, CoroutineType):
        result.close()
        raise TypeError("the function gave a coroutine, which nobody awaits: await it in an ``async def``")
    return result


def check_plain(what: str, fn: Any) -> None:
    """Raise ``GraphError`` unless ``fn`` can be called and gives its result at once."""
    check_callable(what, fn)
    if is_async(fn) or is_async_generator(fn):
        raise GraphError(f"{what} needs a plain function, {name_of(fn)!r} is async")
