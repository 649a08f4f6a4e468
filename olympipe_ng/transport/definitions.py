"""Classes and functions that go by value: what cloudpickle makes of them, put right where that forgets something.

    ``__slots__``        must be there when the class is made
    ``__qualname__``     else a class within another, or within a function, is called otherwise there
    of an enumeration    other names of a member, and what ``__init__`` or ``__new__`` gave each member
    of a function        globals that the body of a class within it reads

Considered and refused: calling an enumeration's ``__init__`` again (its arguments are not kept where ``__new__`` chose another value).
"""

from __future__ import annotations

import dis
import weakref
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from ..callables import codes_in
from ..lazy import lazy

__all__ = ["complete_function", "reduce_definition"]

cloudpickle = lazy("cloudpickle.cloudpickle")
CO_OPTIMIZED = 1  # of a function's code, not of a class's body

_in_bodies: weakref.WeakKeyDictionary[CodeType, frozenset[str]] = weakref.WeakKeyDictionary()


def reduce_definition(kind: type) -> tuple[Any, ...]:
    """Reduce a class with all that it is."""
    make, args, state, *rest = cloudpickle._dynamic_class_reduce(kind)
    if make is cloudpickle._make_skeleton_enum:
        return _reduce_enum(kind, args, state)
    state[0]["__qualname__"] = kind.__qualname__
    slots = vars(kind).get("__slots__")
    if slots is not None and not _is_made_by_typing(kind):
        constructor, name, bases, attributes, *identity = args
        args = (constructor, name, bases, {**attributes, "__slots__": slots}, *identity)
        state[0].pop("__slots__", None)
    return (make, args, state, *rest)


def _is_made_by_typing(kind: type) -> bool:
    """Tell a ``NamedTuple``: its slots are set where it is made anew, and no other are suffered. (Not what inherits from one.)"""
    return tuple in kind.__bases__ and hasattr(kind, "_fields") and "__orig_bases__" in vars(kind)


def _reduce_enum(kind: Any, args: tuple[Any, ...], state: tuple[dict[str, Any], Any]) -> tuple[Any, ...]:
    bases, name, qualname, _, *identity = args
    members = {called: member.value for called, member in kind.__members__.items()}
    given = {member.name: _given(member) for called, member in kind.__members__.items() if called == member.name}
    attributes = {held: value for held, value in state[0].items() if held not in members}
    skeleton = (bases, name, qualname, members, *identity)
    return cloudpickle._make_skeleton_enum, skeleton, ((attributes, state[1]), given), None, None, _complete_enum


def _given(member: Any) -> dict[str, Any]:
    """Return what a member has beside what every member has."""
    return {name: value for name, value in vars(member).items() if not (name.startswith("_") and name.endswith("_"))}


def _complete_enum(kind: Any, state: Any) -> None:
    attributes, given = state
    cloudpickle._class_setstate(kind, attributes)
    for name, values in given.items():
        vars(kind.__members__[name]).update(values)


def complete_function(function: FunctionType, reduction: tuple[Any, ...]) -> tuple[Any, ...]:
    """Add to cloudpickle's reduction of a function the globals that it reads in the bodies of classes."""
    code, space = function.__code__, function.__globals__
    names = _in_bodies.get(code)
    if names is None:
        names = _in_bodies[code] = frozenset(_read_in_bodies(code))
    reduction[2][1]["__globals__"].update((name, space[name]) for name in names if name in space)
    return reduction


def _read_in_bodies(code: CodeType) -> Iterator[str]:
    """Yield the names that classes within a function look for in its module, and do not have themselves."""
    for body in codes_in(code):
        if not body.co_flags & CO_OPTIMIZED:
            steps = [*dis.get_instructions(body)]
            own = {step.argval for step in steps if step.opname == "STORE_NAME"}
            read = {step.argval for step in steps if step.opname in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")}
            yield from (name for name in read - own if not name.startswith("__"))
