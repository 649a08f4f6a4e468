"""Exceptions taken apart by type, args and state, and rebuilt without their own ``__init__``.

Pickle rebuilds an exception by calling its class with ``args``: an ``__init__`` of two parameters fails so, and one that words the message
words it twice. A class that says itself how it is pickled knows better, and one with slots keeps what nobody else would find.
"""

from __future__ import annotations

import contextlib
import copyreg
from typing import Any

__all__ = ["reduce_exception", "reduce_whole"]

_HOOKS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")


def reduce_exception(exc: BaseException) -> Any:
    """Return how to pickle an exception that is an item or in one: ``NotImplemented`` where pickle's own way is right."""
    kind = type(exc)
    base = _builtin_base(kind)
    own = kind.__init__ is not base.__init__ or kind.__new__ is not base.__new__
    if not own or kind in copyreg.dispatch_table or any(getattr(kind, hook, None) is not getattr(base, hook, None) for hook in _HOOKS):
        return NotImplemented
    return NotImplemented if any("__slots__" in vars(each) for each in kind.__mro__) else reduce_whole(exc)


def reduce_whole(exc: BaseException) -> tuple[Any, ...]:
    """Take apart by what the builtin base says: some keep more than ``args`` (an ``OSError`` its file names)."""
    _, args, *state = _builtin_base(type(exc)).__reduce__(exc)
    return _rebuild, (type(exc), args, exc.args), (state[0] if state else None) or {}, None, None, _restore


def _rebuild(kind: type[BaseException], args: tuple[Any, ...], shown: tuple[Any, ...]) -> BaseException:
    base = _builtin_base(kind)
    exc: BaseException = base.__new__(kind, *args)
    with contextlib.suppress(TypeError):  # some builtin ones fill themselves here, and take keywords only if any
        base.__init__(exc, *args)
    exc.args = shown
    return exc


def _restore(exc: BaseException, state: dict[str, Any]) -> None:
    BaseException.__setstate__(exc, state)


def _builtin_base(kind: type[BaseException]) -> Any:
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")
