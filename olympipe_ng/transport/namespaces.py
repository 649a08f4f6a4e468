"""The globals of functions that go by value: those that share a module's in the caller share one dict in each worker, too.

    graph:       connect(), which sets ``connection``  ──┐
                                                          ├──► the worker's dict for ``__main__`` of that caller
    definition:  class Row, whose ``save`` reads it    ──┘

The graph and each class are pickled apart (a class may follow with its first instance, when the initializer has long run), so each brings
the globals that its functions name. Whichever comes first brings a name; from then on it is the worker's, as a module's names are.
A fork has the module itself. Where no graph was loaded (in the caller) nothing is kept: what comes home has the globals that it brings.

Considered and refused: the same for functions that are items (each has the globals that it was handed over with: items are snapshots).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import FunctionType
from typing import Any

from ..lazy import lazy

__all__ = ["expect", "hand_down", "senders", "share"]

cloudpickle = lazy("cloudpickle.cloudpickle")

Name = tuple[int, str]  # the process where the module is, and its name there

_ancestors: set[int] = set()  # processes of which this is a fork, and this one if it has forked
_senders: set[int] = set()  # processes whose graphs were loaded here
_spaces: dict[Name, dict[str, Any]] = {}
_names: dict[int, Name] = {}  # of those dicts, by their id


def senders() -> list[int]:
    """Return the processes whose namespaces a graph from here may hold."""
    return [os.getpid(), *_senders]


def expect(pids: Iterable[int]) -> None:
    """Keep the namespaces of these processes from now on: a graph of theirs is loaded."""
    _senders.update(pids)


def hand_down() -> None:
    """Be ready to be forked: the modules of this process will be those of its forks."""
    _ancestors.add(os.getpid())


def share(function: FunctionType, reduction: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return cloudpickle's reduction of a function, changed so that its globals are shared with the others of its module."""
    name = _name_of(function.__globals__)
    if name is None:
        return reduction
    make, (code, base, *args), state, items, pairs, _ = reduction
    return make, (code, _Space(name, base), *args), state, items, pairs, _set_state


def _name_of(names: dict[str, Any]) -> Name | None:
    """Return what these globals are called among processes; ``None`` if they are no module's."""
    module = names.get("__name__")
    if id(names) in _names or not isinstance(module, str):
        return _names.get(id(names))
    return (os.getpid(), module) if getattr(sys.modules.get(module), "__dict__", None) is names else None


class _Space:
    """Stands for a namespace in a pickle."""

    def __init__(self, name: Name, base: dict[str, Any]) -> None:
        self._named = name, base

    def __reduce__(self) -> tuple[Any, ...]:
        return _space, self._named


def _space(name: Name, base: dict[str, Any]) -> dict[str, Any]:
    """Return the namespace of this name, made of ``base`` if it is new here."""
    pid, module = name
    if pid in _ancestors and pid != os.getpid() and module in sys.modules:
        return vars(sys.modules[module])
    if pid not in _senders:
        return base
    space = _spaces.setdefault(name, base)
    _names[id(space)] = name
    return space


def _set_state(function: FunctionType, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Complete a function; names that its namespace has already stay what they are."""
    attributes, slots = state
    new = {name: value for name, value in slots["__globals__"].items() if name not in function.__globals__}
    cloudpickle._function_setstate(function, (attributes, {**slots, "__globals__": new}))
