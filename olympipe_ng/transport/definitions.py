"""The definition of a class that goes by value: what cloudpickle makes of it, put right where that forgets something.

    ``__slots__``        must be there when the class is made
    ``__qualname__``     else a class within another, or within a function, is called otherwise there
    of an enumeration    other names of a member, and what ``__init__`` or ``__new__`` gave each member

Considered and refused: calling an enumeration's ``__init__`` again (its arguments are not kept where ``__new__`` chose another value).
"""

from __future__ import annotations

from typing import Any

from ..lazy import lazy

__all__ = ["reduce_definition"]

cloudpickle = lazy("cloudpickle.cloudpickle")


def reduce_definition(kind: type) -> tuple[Any, ...]:
    """Reduce a class with all that it is."""
    make, args, state, *rest = cloudpickle._dynamic_class_reduce(kind)
    if make is cloudpickle._make_skeleton_enum:
        return _reduce_enum(kind, args, state)
    state[0]["__qualname__"] = kind.__qualname__
    slots = vars(kind).get("__slots__")
    named = issubclass(kind, tuple) and hasattr(kind, "_fields")  # typing makes these, sets their slots itself and suffers no other
    if slots is not None and not named:
        constructor, name, bases, attributes, *identity = args
        args = (constructor, name, bases, {**attributes, "__slots__": slots}, *identity)
        state[0].pop("__slots__", None)
    return (make, args, state, *rest)


def _reduce_enum(kind: Any, args: tuple[Any, ...], state: tuple[dict[str, Any], Any]) -> tuple[Any, ...]:
    bases, name, qualname, _, *identity = args
    members = {name: member.value for name, member in kind.__members__.items()}
    given = {name: _given(member) for name, member in kind.__members__.items() if name == member.name}
    attributes = {name: value for name, value in state[0].items() if name not in members}
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
