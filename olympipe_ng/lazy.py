"""Modules that are imported when first needed, so that ``import olympipe_ng`` stays cheap.

    psutil = lazy("psutil")             # nothing happens
    psutil.Process()                    # imported now

The one place where an import may happen inside a function.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

__all__ = ["lazy"]


class _Lazy(ModuleType):
    """A stand-in that becomes the module at the first attribute that is asked for."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__(name)
        self._hint = hint

    def __getattr__(self, attribute: str) -> Any:
        try:
            module = importlib.import_module(self.__name__)
        except ModuleNotFoundError as error:
            if self.__dict__["_hint"]:
                raise ModuleNotFoundError(f"{error}: {self.__dict__['_hint']}", name=error.name) from error
            raise
        return getattr(module, attribute)


def lazy(name: str, hint: str = "") -> Any:
    """Stand in for the module ``name`` until it is used; ``hint`` tells how to install what is missing."""
    return _Lazy(name, hint)
