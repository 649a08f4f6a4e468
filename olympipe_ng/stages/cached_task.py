"""``cached_task``: ``fn(item)``, remembered on disk.

    key = the function's code and what it uses + version + the item, or key(item)      (``fingerprint``)
    entry there     ──► its result                                                      (``cache``)
    none, or torn   ──► fn(item), stored;  a torn one with a warning

A cache helps or is passed over: when entries cannot be written (a full disk), or read (another user's), results are had all the same, with
one warning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import check_plain, function_of
from ..errors import GraphError
from .cache import Folder, Torn
from .contract import Arity, Context, ItemTransform
from .fingerprint import Code, digest
from .functions import FunctionStage

__all__ = ["CachedTask"]


@dataclass(frozen=True, eq=False)
class CachedTask(FunctionStage):
    """``fn(item)``, plain or ``async def``, from ``cache_dir`` where it was computed before."""

    fn: Callable[[Any], Any]
    cache_dir: str | os.PathLike[str]
    key: Callable[[Any], Any] | None = None
    version: Any = None

    arity: ClassVar[Arity] = Arity.ONE
    keeps_origin: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.cache_dir, (str, os.PathLike)):
            raise GraphError(f"cache_dir must be a folder's path, got {self.cache_dir!r}")
        if self.key is not None:
            check_plain("key", self.key)

    def make(self, context: Context) -> ItemTransform:
        return _Cached(self, context)


class _Cached(ItemTransform):
    def __init__(self, stage: CachedTask, context: Context) -> None:
        self._stage = stage
        self._context = context
        self._told: set[str] = set()  # for what the folder is of no use
        self.apply = self._apply_async if stage.is_async else self._apply

    def setup(self) -> None:
        path = os.path.abspath(self._stage.cache_dir)  # now: the function may change to another folder
        self._folder = Folder(path, getattr(function_of(self._stage.fn), "__globals__", {}))
        self._prefix = re.sub(r"\W+", "_", self._stage.label)[:40]
        self._code = digest(Code(self._stage.fn), self._stage.version)
        self._folder.prepare()

    def _apply(self, item: Any) -> Any:
        name = self._name(item)
        found = self._find(name)
        return found[0] if found else self._keep(name, self._stage.fn(item))

    async def _apply_async(self, item: Any) -> Any:
        name = self._name(item)
        found = self._find(name)
        return found[0] if found else self._keep(name, await self._stage.fn(item))

    def _name(self, item: Any) -> str:
        key = item if self._stage.key is None else self._stage.key(item)
        return f"{self._prefix}-{digest(self._code, key)}.pkl"

    def _find(self, name: str) -> tuple[Any, ...]:
        try:
            return self._folder.read(name)
        except Torn as torn:
            self._context.warn(f"{self._stage.label}: the cache entry {name} is unusable ({torn}); it is computed again")
        except OSError as error:
            self._tell("stored results cannot be read", error, "they are computed again")
        return ()

    def _keep(self, name: str, result: Any) -> Any:
        try:
            self._folder.write(name, result)
        except OSError as error:
            self._tell("results cannot be stored", error, "they are given all the same")
        return result

    def _tell(self, what: str, error: OSError, so: str) -> None:
        """Warn that the folder is of no use for something, once: for the next entry it will be of none either."""
        if what not in self._told:
            self._told.add(what)
            self._context.warn(f"{self._stage.label}: {what} ({error}); {so}")
