"""The standard library's wrappers of functions, taken along with the function where a receiver cannot import it.

    @lru_cache               made in C: pickle knows it by name only             ──► lru_cache(maxsize, typed)(the function)
    @singledispatch          holds weak references, which no pickler takes       ──► singledispatch(the base), and what was registered
    @singledispatchmethod    likewise, since Python 3.13                         ──► with its singledispatch
    instance.such_a_method   likewise                                           ──► getattr(instance, its name), as any bound method
    @cached_property         holds a lock before Python 3.12                     ──► cached_property(the function)

A cache arrives empty: each worker fills its own. They may be recursive (``fib`` calls ``fib`` through its cache), which pickle settles:
what was rebuilt while its arguments were being saved is taken from the memo.

Considered and refused: sending what a cache holds (as large as it likes, and results are nobody's business but their process's).
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

__all__ = ["CACHED", "reduce_wrapper"]

CACHED: type = type(functools.lru_cache(len))
"""The type of what ``lru_cache`` makes."""
_DISPATCHING = getattr(functools.singledispatch(len), "__code__", None)  # shared by all that ``singledispatch`` makes
_BOUND = getattr(functools.singledispatchmethod(len).__get__(len), "__code__", None)  # shared by all methods it binds
_OWN = frozenset({*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "cache_parameters", "register", "dispatch", "registry", "_clear_cache"})


def reduce_wrapper(obj: Any) -> Any:
    """Return how to pickle one of these wrappers by value, ``NotImplemented`` for anything else."""
    kind = type(obj)
    if kind is CACHED:
        return _cached, (obj.__wrapped__, obj.cache_parameters()), _attributes(obj)
    if kind is functools.cached_property:
        return kind, (obj.func,), {"attrname": obj.attrname, "__doc__": obj.__doc__}
    if kind is functools.singledispatchmethod:
        return kind, (obj.func,), {"dispatcher": obj.dispatcher}
    if _DISPATCHING is not None and getattr(obj, "__code__", None) is _DISPATCHING:
        registered = dict(obj.registry)
        return functools.singledispatch, (registered.pop(object),), (registered, _attributes(obj)), None, None, _register
    if _BOUND is not None and getattr(obj, "__code__", None) is _BOUND:
        return _reduce_bound(obj)
    return NotImplemented


def _reduce_bound(method: Any) -> Any:
    """Return how to find a dispatching method again: by its name, where that leads to this one and to no override of it."""
    held = inspect.getclosurevars(method).nonlocals
    owner, name = held["cls"] if held["obj"] is None else held["obj"], method.__name__
    found = inspect.getattr_static(owner, name, None)
    same = type(found) is functools.singledispatchmethod and found.func is method.__wrapped__
    return (getattr, (owner, name)) if same else NotImplemented


def _attributes(wrapper: Any) -> dict[str, Any]:
    """Return what the user hung on a wrapper, beside what wrapping puts there."""
    return {name: value for name, value in vars(wrapper).items() if name not in _OWN}


def _cached(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _register(dispatching: Any, state: tuple[dict[type, Any], dict[str, Any]]) -> None:
    registered, attributes = state
    for kind, function in registered.items():
        dispatching.register(kind, function)
    vars(dispatching).update(attributes)
