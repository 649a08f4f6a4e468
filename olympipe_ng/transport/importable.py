"""Whether a class, function or module can be had by name in another process: by value is the way for what cannot.

* Its module is found there: by the finders of a fresh interpreter with the same ``sys.path``, at the same file.
  ``__main__`` never is: nobody runs it again.
  Nor is a module that is being imported while it runs a pipeline: whoever imported it would run that again, and so would their workers.
  (And pickle waits for its import to be through, on the thread of the source for ever.)
* And the module's own path leads to this very object, which a local class, a lambda or a replaced function does not.
  A part of a package that nobody has imported yet is imported for that, as pickle does: ``numpy.rec``, of which ``recarray`` says it is.
* Forks of one process also have the modules that it had loaded, and what its ``__main__`` held: the ``Stock`` taken before the first fork.

The finding costs a look at the disk, so it is remembered for each module.

Considered and refused: "is it in ``sys.modules``?" (cloudpickle's question: true here says nothing of a fresh interpreter).
"""

from __future__ import annotations

import importlib
import os
import sys
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

__all__ = ["HEAP_TYPE", "Importable", "Stock", "take_stock"]

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made by a class statement or its like
ANYWHERE = frozenset(sys.stdlib_module_names) | {"olympipe_ng", "builtins"}


class Stock(NamedTuple):
    """What the forks of a process have from it. It is taken once, before: to look at every module costs a fork a page for each."""

    modules: dict[str, int]  # by name: the module's id
    main: dict[str, Any]  # classes and functions of ``__main__``


def take_stock() -> Stock:
    """Note down what a fork of this process would have now; of ``__main__`` nothing else, so that nobody's data are kept alive."""
    main = sys.modules.get("__main__")
    names = {name: value for name, value in list(vars(main).items()) if isinstance(value, (type, FunctionType))} if main else {}
    return Stock({name: id(module) for name, module in list(sys.modules.items())}, names)


class Importable:
    """Answers for one set of receivers; ``stock``: they are forks, and have this."""

    def __init__(self, stock: Stock | None = None) -> None:
        self._modules: dict[str, bool] = {}
        self._absent: set[str] = set()  # modules that are not here, and cannot be
        self._stock = stock or Stock({}, {})

    def __call__(self, obj: Any) -> bool:
        """Tell whether this class or function goes by name."""
        name, path = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
        if not isinstance(name, str) or not isinstance(path, str) or "<" in path:
            return False
        module = sys.modules.get(name) or self._late(name)
        return module is not None and _follow(module, path) is obj and self.module(name, module, path)

    def module(self, name: str, module: ModuleType, path: str = "") -> bool:
        """Tell whether the receivers have this module (and in ``__main__``, whether it had ``path`` before the fork)."""
        if name == "__main__":
            top = path.partition(".")[0]
            return not path or (top in self._stock.main and self._stock.main[top] is getattr(module, top, None))
        if sys.modules.get(name) is not module:
            return False
        known = self._modules.get(name)
        if known is None:
            there = self._stock.modules.get(name) == id(module) or _found_elsewhere(name, module)
            known = self._modules[name] = there and not _is_being_imported(name)
        return known

    def _late(self, name: str) -> ModuleType | None:
        """Return a module that a package has, and loads when it is asked for."""
        module = None if name in self._absent else _import_part(name)
        if module is None:
            self._absent.add(name)
        return module

    def found(self) -> list[str]:
        """Return the modules that were asked for, and that receivers have."""
        return [name for name, known in self._modules.items() if known]


def _follow(module: ModuleType, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def _import_part(name: str) -> ModuleType | None:
    """Import a module of a package that is loaded; ``None`` where it has none of this name, or none that can be imported."""
    parent = name.rpartition(".")[0]
    if parent not in sys.modules or _is_being_imported(parent) or _registered_by_value(name) or _find_spec(name) is None:
        return None
    try:
        return importlib.import_module(name)
    except Exception:  # anybody's module: what was written there runs now, and for the first time
        return None


def _is_being_imported(name: str) -> bool:
    """Tell whether this module, or a package that it is in, is at its first lines still."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    parent = name.rpartition(".")[0]
    return bool(getattr(spec, "_initializing", False)) or (parent != "" and _is_being_imported(parent))


def _found_elsewhere(name: str, module: ModuleType) -> bool:
    """Tell whether a fresh interpreter finds this very module."""
    if name.partition(".")[0] in ANYWHERE:
        return True
    if _registered_by_value(name):
        return False
    spec = _find_spec(name)
    if spec is None:
        return False
    here = getattr(module, "__file__", None)
    return here is None or spec.origin is None or _same_file(here, spec.origin)


def _find_spec(name: str) -> Any:
    """Ask the finders, not ``sys.modules`` as ``importlib.util.find_spec`` does."""
    parent, _, _ = name.rpartition(".")
    path = None
    if parent:
        package = sys.modules.get(parent)
        if package is None or not _found_elsewhere(parent, package):
            return None
        path = getattr(package, "__path__", None)
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = None if find is None else find(name, path, None)
        if spec is not None:
            return spec
    return None


def _same_file(one: str, other: str) -> bool:
    """Compare; a compiled file beside its source is that source's."""
    stems = [os.path.splitext(os.path.realpath(path))[0] for path in (one, other)]
    return stems[0] == stems[1]


def _registered_by_value(name: str) -> bool:
    """Respect what the user told cloudpickle."""
    loaded = sys.modules.get("cloudpickle.cloudpickle")
    registered = loaded.list_registry_pickle_by_value() if loaded else ()
    return any(name == each or name.startswith(each + ".") for each in registered)
