"""Before a fork: number the classes by value that a graph reaches, so that every worker knows its inherited copy by the caller's number.

    caller: class C is 4f1c...  ── fork ──►  worker: its own C is 4f1c... as well; instances of C that arrive are instances of *that* C

Functions are followed into what they use (closure, defaults, the globals they name), classes into their bases and attributes, everything
else into what it refers to. Bounded, and without running any code of the user's: a graph may hold locks and connections under ``fork``.

Considered and refused: a trial pickling (it fails at the first lock, and copies every large array of a closure).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import islice
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ..callables import names_in
from ..lazy import Lazy, lazy
from .importable import HEAP_TYPE, Importable, Stock
from .namespaces import hand_down

__all__ = ["adopt"]

cloudpickle = lazy("cloudpickle.cloudpickle")

MOST = 10_000  # objects looked at; a graph whose data hide a local class deeper than that gives the class by value, as under spawn
LEAVES = (int, float, complex, bool, str, bytes, bytearray, range, ModuleType, Lazy, CodeType)


def adopt(graph: Any, stock: Stock) -> None:
    """Number the local classes that ``graph`` reaches, and those of ``__main__`` and other modules that cannot be imported. Those that it
    does not reach go by value, but their functions find the module's names (``namespaces``)."""
    hand_down()
    importable = Importable(stock)
    seen: dict[int, Any] = {}  # the objects are kept, so that no id is taken twice
    waiting = [graph]
    while waiting and len(seen) < MOST:
        obj = waiting.pop()
        if id(obj) in seen or issubclass(type(obj), LEAVES):
            continue
        seen[id(obj)] = obj
        if not issubclass(type(obj), type):
            waiting += islice(_reached(obj), MOST)
        elif obj.__flags__ & HEAP_TYPE and not importable(obj):
            cloudpickle._get_or_create_tracker_id(obj)
            waiting += islice([*obj.__bases__, type(obj), *vars(obj).values()], MOST)


def _reached(obj: Any) -> Any:
    kind = type(obj)  # not isinstance: a proxy's ``__class__`` is code of its own
    if kind is FunctionType:
        return _used_by(obj)
    if kind is dict:
        return [*islice(obj.values(), MOST), *islice(obj, MOST)]
    if kind in (list, tuple, set, frozenset):
        return obj
    return [*gc.get_referents(obj), kind]


def _used_by(function: FunctionType) -> Iterator[Any]:
    yield from (cell.cell_contents for cell in function.__closure__ or () if _is_full(cell))
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from vars(function).values()
    for name in names_in(function.__code__):
        if name in function.__globals__:
            yield function.__globals__[name]


def _is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # not assigned yet
        return False
