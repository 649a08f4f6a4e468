"""Classes and functions that the receiving process cannot import: lambdas, local ones, those of ``__main__``, of modules it does not have.

    caller                             supervisor                   worker
    meets class C: define(uid, blob) ──► keeps, passes on ──► learn(uid, blob)
    items hold (lookup, uid) ────────────────────────────────► lookup(uid), at the first instance: loads C', tracked as uid
    lookup(uid) is C itself ◄───────────────────────────────── items hold (lookup, uid): C' is known by its uid, nothing is defined

* A class goes by value once per process: ``define`` is called before the first item that needs it, items carry its number.
  (By value in each item: 87 + 41 us and 858 bytes; by number 2.8 us.)
* The number is cloudpickle's own *class tracker id*, so a class that comes home, by whatever way, is the caller's own class, and is never
  written to again: ``lookup`` prefers the class that this process has, a blob is loaded only where there is none.
* Functions go by value each time: their closures are data. Those of a class that was defined are the class's own (``class_task`` finds a
  method by its identity).
  Those of the graph and of classes share their module's globals in each worker (``namespaces``).
* With a ``stock`` (fork): what ``__main__`` and the loaded modules held before the fork is imported by name by the receivers.
  Before the fork, ``adopt(graph)`` numbers the local classes that the graph reaches, else each worker would number its own copies.

Considered and refused: ``register_pickle_by_value`` (global, and modules as a whole); ``persistent_id`` (a Python call per object);
plain cloudpickle for everything (its class reduction rewrites the class it finds, methods and all: the caller's own would be overwritten).
"""

from __future__ import annotations

import io
import marshal
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from functools import cache
from types import FunctionType, ModuleType
from typing import Any, cast

from ..lazy import lazy
from .arrays import reduce_array, reduce_view
from .definitions import complete_function, reduce_definition
from .importable import HEAP_TYPE, Importable, Stock
from .namespaces import expect, senders, share
from .rebuilding import reduce_exception
from .wrappers import CACHED, reduce_wrapper

__all__ = ["PICKLE_ERRORS", "ByValue", "NeedsFullPickler", "forget", "learn", "loads_graph", "lookup"]

cloudpickle = lazy("cloudpickle.cloudpickle")

PICKLE_ERRORS = (pickle.PicklingError, TypeError, AttributeError)  # what pickle says to things that cloudpickle may know
MOST_DEFINED = 1000  # a task that makes a class per item would fill everybody's memory; from here on such classes travel in each item
BufferCallback = Callable[[pickle.PickleBuffer], Any]
Define = Callable[[str, bytes], object]


class NeedsFullPickler(pickle.PicklingError):
    """The plain pickler met a function that must go by value: use cloudpickle's."""


# ----------------------------------------------------------------------------------------------------- the receiving side


_classes: dict[str, type] = {}  # learned and looked up, whole
_own: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()  # looked up, and this process's own
_blobs: dict[str, bytes] = {}  # learned, perhaps never needed
_loading = threading.RLock()
_loaded: dict[str, type] = {}  # by the load in hand, under the lock: perhaps not whole yet
_depth = 0  # of loads within loads


def learn(uid: str, blob: bytes) -> None:
    """Remember a definition; it is loaded when its first instance is."""
    _blobs.setdefault(uid, blob)


def lookup(uid: str) -> type:
    """Return the class numbered ``uid``: this process's own one where it has it."""
    found = _classes.get(uid)
    if found is None:
        found = _own.get(uid)
    return _load_class(uid, None) if found is None else found


def _load_class(uid: str, blob: bytes | None) -> type:
    """Load a class once. Definitions may need each other: the tracker holds the one that is half done, the lock keeps others away."""
    with _loading:
        found: type | None = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(uid)
        if found is None:
            known = _blobs.get(uid) if blob is None else blob
            if known is None:
                raise LookupError(f"no definition of the class numbered {uid} has arrived")
            found = _build(uid, known)
        _loaded[uid] = found
        if not _depth:
            _publish()
        return found


def _build(uid: str, blob: bytes) -> type:
    global _depth
    _depth += 1
    try:
        return cast(type, pickle.loads(blob))
    except BaseException:
        cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.pop(uid, None)  # else the half of it would be found next time
        _loaded.clear()
        raise
    finally:
        _depth -= 1


def _publish() -> None:
    """Let other threads have what is whole now."""
    for uid, loaded in _loaded.items():
        if uid in _blobs:
            _classes[uid] = loaded
        else:
            _own[uid] = loaded
    _loaded.clear()


def _lookup_inline(uid: str, blob: bytes) -> type:
    """Return a class whose definition travels in the item."""
    return _load_class(uid, blob)


def _member(kind: type, name: str) -> Any:
    """Return the function that a class has under this name, without what ``staticmethod`` or ``classmethod`` put around it."""
    held = vars(kind)[name]
    return held.__func__ if type(held) in (staticmethod, classmethod) else held


def forget(uids: Iterable[str]) -> None:
    """Drop what was learned; classes that are still in use stay known. Without the lock: the garbage collector calls this, anywhere."""
    for uid in uids:
        _classes.pop(uid, None)
        _blobs.pop(uid, None)


def _after_fork() -> None:
    """Another thread may have been loading when this process was forked."""
    global _loading, _depth
    _loading, _depth = threading.RLock(), 0
    _loaded.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def loads_graph(data: bytes) -> Any:
    """Rebuild what ``ByValue.dumps_graph`` made."""
    origins, definitions, body = marshal.loads(data)
    expect(origins)
    for uid, blob in definitions:
        _blobs.setdefault(uid, blob)
    return pickle.loads(body)


# ------------------------------------------------------------------------------------------------------- the sending side


class ByValue:
    """Decides for one run what goes by name and what by value, and makes picklers that act so. For one thread at a time."""

    def __init__(self, define: Define | None = None, stock: Stock | None = None) -> None:
        self._define = define or (lambda uid, blob: None)
        self._importable = Importable(stock)
        self._reductions: dict[int, tuple[type, Any]] = {}  # by id: a metaclass may define strange equality; the class keeps its id taken
        self._named: dict[int, Any] = {}  # functions that go by name: those that rebuild are met in nearly every item
        self._members: dict[int, tuple[type, str, str]] = {}  # by a function's id: the class that was defined with it, its name, the uid
        self._defined: set[str] = set()
        self._learned: set[str] = set()  # defined by others, to all
        self._pending: dict[str, bytes] = {}  # being defined: given out together, or not at all
        self._inlining: set[str] = set()

    def learn(self, uid: str, blob: bytes) -> None:
        """Remember a definition that came from the run's other processes: it need not be sent to them."""
        self._learned.add(uid)
        learn(uid, blob)

    def close(self) -> None:
        """Drop what was learned: for the caller, when a run is over and its items are decoded."""
        forget(self._learned)

    def pickler(self, file: Any, buffer_callback: BufferCallback | None = None, *, full: bool = False) -> pickle.Pickler:
        """Return a pickler (protocol 5) for items; ``full`` ones know functions by value too, and cost the import of cloudpickle."""
        if full:
            return cast(pickle.Pickler, _full_pickler()(file, self, buffer_callback))
        return _PlainPickler(file, self, buffer_callback)

    def dumps(self, obj: Any, *, full: bool = False) -> bytes:
        """Pickle one object, everything in band."""
        file = io.BytesIO()
        self.pickler(file, full=full).dump(obj)
        return file.getvalue()

    def silent(self, define: Define | None = None) -> ByValue:
        """Return another for the same receivers, which defines nothing to them (but to ``define``)."""
        other = ByValue(define)
        other._importable = self._importable
        return other

    def dumps_graph(self, obj: Any) -> bytes:
        """Pickle functions and what they hold, with the definitions of the classes that they need: for ``loads_graph``."""
        collected: list[tuple[str, bytes]] = []
        file = io.BytesIO()
        _full_pickler()(file, self.silent(lambda uid, blob: collected.append((uid, blob))), shares=True).dump(obj)
        return marshal.dumps((senders(), collected, file.getvalue()))

    def named_modules(self) -> list[str]:
        """Return the modules whose things went by name."""
        return self._importable.found()

    def reduce_class(self, kind: type) -> Any:
        """Return how to pickle a class: ``NotImplemented`` where pickle's own way, by name, is right."""
        known = self._reductions.get(id(kind))
        if known is not None:
            return known[1]
        reduction = self._reduce_new_class(kind)
        if reduction is NotImplemented or reduction[0] is not _lookup_inline:
            self._reductions[id(kind)] = (kind, reduction)
        return reduction

    def _reduce_new_class(self, kind: type) -> Any:
        if kind in _BY_PICKLE or self._importable(kind):
            return NotImplemented
        if not kind.__flags__ & HEAP_TYPE:  # made in C: there is nothing to take along
            return cloudpickle._class_reduce(kind) if kind in cloudpickle._BUILTIN_TYPE_NAMES else NotImplemented
        uid = cloudpickle._get_or_create_tracker_id(kind)
        if uid not in self._defined and uid not in self._learned and uid not in self._inlining:
            if len(self._defined) >= MOST_DEFINED:
                return _lookup_inline, (uid, self._inline(uid, kind))
            self._define_class(uid, kind)
        return lookup, (uid,)

    def _define_class(self, uid: str, kind: type) -> None:
        """Define a class and those it needs, all of them or none: a definition whose neighbour failed could never be loaded."""
        outermost = not self._pending
        self._defined.add(uid)
        self._pending[uid] = b""
        try:
            self._pending[uid] = self._blob_of(kind)
        except BaseException:
            self._undo_pending()
            raise
        if outermost:
            pending, self._pending = self._pending, {}
            for each, blob in pending.items():
                self._define(each, blob)
        functions = {name: _member(kind, name) for name in vars(kind)}
        self._members.update((id(fn), (kind, name, uid)) for name, fn in functions.items() if type(fn) is FunctionType)

    def reduce_member(self, function: FunctionType) -> Any:
        """Return how to pickle a function of a class that the receivers have whole: ``NotImplemented`` for all others."""
        kind, name, uid = self._members.get(id(function), (object, "", ""))
        there = uid in self._defined and uid not in self._pending and name in vars(kind) and _member(kind, name) is function
        return (_member, (kind, name)) if there else NotImplemented

    def _undo_pending(self) -> None:
        """Forget the definitions in hand, also where a class was met within itself."""
        pending, self._pending = self._pending, {}
        self._defined.difference_update(pending)
        self._reductions = {
            key: known for key, known in self._reductions.items() if known[1] is NotImplemented or known[1][1][0] not in pending
        }

    def _inline(self, uid: str, kind: type) -> bytes:
        self._inlining.add(uid)
        try:
            return self._blob_of(kind)
        finally:
            self._inlining.discard(uid)

    def _blob_of(self, kind: type) -> bytes:
        file = io.BytesIO()
        _full_pickler()(file, self, root=kind, shares=True).dump(kind)
        return file.getvalue()

    def by_name(self, obj: Any) -> bool:
        """Tell whether the receivers have this function or module themselves."""
        if isinstance(obj, ModuleType):
            return self._importable.module(obj.__name__, obj)
        if id(obj) in self._named:
            return True
        if self._importable(obj):
            self._named[id(obj)] = obj
            return True
        return False


_BY_PICKLE = frozenset({type(None), type(Ellipsis), type(NotImplemented)})  # pickle has its own words for these


class _PlainPickler(pickle.Pickler):
    """pickle's own, with classes by number and arrays by their bytes."""

    def __init__(self, file: Any, owner: ByValue, buffer_callback: BufferCallback | None) -> None:
        super().__init__(file, 5, buffer_callback=buffer_callback)
        self._owner = owner

    def reducer_override(self, obj: Any) -> Any:
        """Called for every instance, class and function, so the common answer comes first."""
        kind = type(obj)  # not isinstance: a proxy's ``__class__`` is code of its own
        if issubclass(kind, type):
            return self._owner.reduce_class(obj)
        if kind is FunctionType:
            if self._owner.by_name(obj):
                return NotImplemented
            raise NeedsFullPickler(f"{obj!r} goes by value")
        if kind.__name__ == "ndarray":
            return reduce_array(obj, kind)
        if kind is CACHED and not self._owner.by_name(obj):
            raise NeedsFullPickler(f"{obj!r} goes by value")
        return reduce_exception(obj) if issubclass(kind, BaseException) else NotImplemented


@cache
def _full_pickler() -> Any:
    """Make the class late: its base comes with cloudpickle."""

    class FullPickler(cloudpickle.Pickler):  # type: ignore[misc,name-defined]
        """cloudpickle's, with classes by number. ``root`` is the class that is being defined: that one goes by value.
        ``shares``: functions have the namespace of their module there, as ``namespaces`` says."""

        def __init__(
            self, file: Any, owner: ByValue, buffer_callback: Any = None, *, root: type | None = None, shares: bool = False
        ) -> None:
            super().__init__(file, 5, buffer_callback=buffer_callback)
            self._owner = owner
            self._root = root
            self._shares = shares

        def dump(self, obj: Any) -> None:
            self.globals_ref.clear()  # keyed by id: an earlier item's namespace may be gone and its id taken
            super().dump(obj)

        def reducer_override(self, obj: Any) -> Any:
            kind = type(obj)
            if issubclass(kind, type):
                if obj is self._root:
                    self._root = None  # met again within itself it is known
                    return reduce_definition(cast(type, obj))
                return self._owner.reduce_class(obj)
            if kind is FunctionType:
                return NotImplemented if self._owner.by_name(obj) else self._reduce_function(obj)
            if kind.__name__ == "ndarray":
                return reduce_array(obj, kind)
            return self._reduce_special(obj)

        def _reduce_function(self, function: FunctionType) -> Any:
            for reduce in (self._owner.reduce_member, reduce_wrapper):
                reduction = reduce(function)
                if reduction is not NotImplemented:
                    return reduction
            reduction = complete_function(function, self._dynamic_function_reduce(function))
            return share(function, reduction) if self._shares else reduction

        def _reduce_special(self, obj: Any) -> Any:
            if type(obj) is ModuleType and not self._owner.by_name(obj):
                state = {name: value for name, value in vars(obj).items() if name not in _MODULE_OWN}
                return cloudpickle.dynamic_subimport, (obj.__name__, state)
            if type(obj) is io.TextIOWrapper and obj not in (sys.stdin, sys.stdout, sys.stderr):
                raise TypeError("cannot pickle an open file")  # cloudpickle would send its content and call that the file
            if type(obj) is memoryview:
                return reduce_view(obj)
            if issubclass(type(obj), BaseException):
                return reduce_exception(obj)
            return NotImplemented if type(obj) is CACHED and self._owner.by_name(obj) else reduce_wrapper(obj)

    return FullPickler


_MODULE_OWN = ("__builtins__", "__loader__", "__spec__", "__cached__")
