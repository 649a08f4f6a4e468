"""Modules that are imported when first needed, so that ``import olympipe_ng`` stays cheap.

    psutil = lazy("psutil")             # nothing happens
    psutil.Process()                    # imported now

The one place where an import may happen inside a function.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Lazy", "lazy"]


class Lazy:
    """A stand-in that imports the module at the first attribute that is asked for. The module is kept, its attributes are not: some are
    bound anew while the program runs."""

    __slots__ = ("_module", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: Any = None

    def __getattr__(self, attribute: str) -> Any:
        if self._module is None:
            self._module = importlib.import_module(self._name)
        return getattr(self._module, attribute)


def lazy(name: str) -> Any:
    """Stand in for the module ``name`` until it is used."""
    return Lazy(name)
