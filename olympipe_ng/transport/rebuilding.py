"""Exceptions taken apart by type, args and state, and rebuilt without their own ``__init__``.

Pickle rebuilds an exception by calling its class with ``args``: an ``__init__`` of two parameters fails so, and one that words the message
words it twice. A class that says itself how it is pickled knows better; one with slots, or made in C, keeps what nobody else would find.
"""

from __future__ import annotations

import copyreg
from functools import cache
from types import BuiltinFunctionType, MemberDescriptorType, WrapperDescriptorType
from typing import Any

__all__ = ["reduce_exception", "reduce_whole"]

_HOOKS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
_TOLD_ELSEWHERE = frozenset({"message", "exceptions", "obj"})  # of a group: its args; whose attribute it was: Python's copies lack it, too


def reduce_exception(exc: BaseException) -> Any:
    """Return how to pickle an exception that is an item or in one: ``NotImplemented`` where pickle's own way is right."""
    kind = type(exc)
    base = _builtin_base(kind)
    if (kind.__init__ is base.__init__ and kind.__new__ is base.__new__) or kind in copyreg.dispatch_table:
        return NotImplemented
    return NotImplemented if any(_knows_better(each) for each in kind.__mro__ if each.__module__ != "builtins") else reduce_whole(exc)


def _knows_better(kind: type) -> bool:
    """Say whether a class says how its instances are pickled, or they may hold what is neither in ``__dict__`` nor a builtin one's."""
    own = vars(kind)
    in_c = isinstance(own.get("__init__"), WrapperDescriptorType) or isinstance(own.get("__new__"), BuiltinFunctionType)
    return in_c or bool(own.get("__slots__")) or any(hook in own for hook in _HOOKS)


def reduce_whole(exc: BaseException) -> tuple[Any, ...]:
    """Take apart by what the builtin base says, and what else it keeps: an ``OSError`` its file names, a ``SystemExit`` its code."""
    base = _builtin_base(type(exc))
    _, args, *_ = base.__reduce__(exc)
    if hasattr(base, "exceptions"):  # whatever the group's own ``__new__`` takes
        args = base.message.__get__(exc), base.exceptions.__get__(exc)
    kept = {name: held.__get__(exc) for name, held in _members(base).items()}
    kept = {name: value for name, value in kept.items() if value is not None}
    return _rebuild, (type(exc), args, exc.args, kept), vars(exc), None, None, _restore


@cache
def _members(base: type) -> dict[str, Any]:
    """Return what finds that which a builtin exception keeps outside of ``__dict__``: ``__init__`` may set it, and ``args`` not tell it."""
    held = {name: each for kind in reversed(base.__mro__) for name, each in vars(kind).items() if type(each) is MemberDescriptorType}
    return {name: each for name, each in held.items() if name not in _TOLD_ELSEWHERE and not name.startswith("_")}


def _rebuild(kind: type[BaseException], args: tuple[Any, ...], shown: tuple[Any, ...], kept: dict[str, Any]) -> BaseException:
    base = _builtin_base(kind)
    exc: BaseException = base.__new__(kind, *args)
    BaseException.args.__set__(exc, shown)  # type: ignore[attr-defined]
    for name, value in kept.items():
        _members(base)[name].__set__(exc, value)
    return exc


def _restore(exc: BaseException, state: dict[str, Any]) -> None:
    vars(exc).update(state)


def _builtin_base(kind: type[BaseException]) -> Any:
    """Return the one whose fields an exception has, where it inherits from several."""
    base: Any = kind
    while base.__module__ != "builtins":
        base = base.__base__
    return base
