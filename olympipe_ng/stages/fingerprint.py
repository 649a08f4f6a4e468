"""The same short text for the same value, in every process and run: what cache keys are made of.

    digest(item)                    a value: by type and content; sets without their order
    digest(Code(fn), version)       a function: its code, constants, defaults, closure, and the local functions, classes and
                                    plain constants that it names

Pickles will not do: they show which equal objects are *one* object, and the order of a set, which differs from process to process.

*Local* is the user's own: what came by value, ``__main__``, the function's own package, and what lies outside the library folders. A
library's function counts by its name only. Line numbers and file names do not count, so moving a function keeps its results.

Considered and refused: the source text (missing for a notebook's or a shell's functions, changed by every comment).
"""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import inspect
import reprlib
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from ..callables import codes_in, function_of, names_in

__all__ = ["Code", "digest"]

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_OURS = __name__.partition(".")[0]
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_CODE_FACTS = ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags", "co_code", "co_names", "co_varnames", "co_freevars")
_READ_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_INNER = ("__func__", "__wrapped__", "fget", "fset", "func")  # static and class methods, wrappers, properties, cached properties


class Code:
    """Stands for a function's code rather than its name, in ``digest``."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn


def digest(*values: Any) -> str:
    """Return forty letters that differ where the values differ; ``TypeError`` for what has no content to compare."""
    hasher = _Hasher()
    for value in values:
        hasher.feed(value)
    return hasher.hexdigest()


class _Hasher:
    def __init__(self, home: str = "", by_code: bool = False) -> None:
        self._hash = hashlib.blake2b(digest_size=20)
        self._home = home  # the package of the function whose code is looked at
        self._by_code = by_code
        self._open: dict[int, int] = {}  # what is being fed just now -> how deep: a cycle is fed as its depth
        self._known: dict[int, int] = {}  # functions and classes that were fed -> their number

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def _say(self, tag: str, data: bytes = b"") -> None:
        self._hash.update(b"%s %d:" % (tag.encode(), len(data)))
        self._hash.update(data)

    def feed(self, value: Any) -> None:
        if type(value) in _WRITERS:
            self._say(*_WRITERS[type(value)](value))
        elif id(value) in self._open:
            self._say("cycle", str(len(self._open) - self._open[id(value)]).encode())
        else:
            self._open[id(value)] = len(self._open)
            try:
                self._feed_parts(value)
            finally:
                del self._open[id(value)]

    def _feed_parts(self, value: Any) -> None:
        if isinstance(value, Code):
            self._feed_code_of(value.fn)
        elif isinstance(value, FunctionType):
            self._feed_named(value, self._feed_function)
        elif isinstance(value, type):
            self._feed_named(value, self._feed_class)
        elif isinstance(value, ModuleType):
            self._say("module", value.__name__.encode())
        elif isinstance(value, CodeType):
            self._feed_code(value)
        elif type(value) in (tuple, list):
            self._feed_all(type(value).__name__, value)
        elif type(value) is dict:
            self._feed_all("dict", (part for pair in value.items() for part in pair))
        elif type(value) in (set, frozenset):
            self._say("set", "".join(sorted(map(self._alone, value))).encode())
        else:
            self._feed_object(value)

    def _feed_all(self, tag: str, values: Iterable[Any]) -> None:
        self._say(tag)
        for value in values:
            self.feed(value)
        self._say("end")

    def _alone(self, value: Any) -> str:
        other = _Hasher(self._home, self._by_code)
        other._open, other._known = self._open, self._known  # a function that calls itself must end here too
        other.feed(value)
        return other.hexdigest()

    def _feed_object(self, value: Any) -> None:
        """Feed what pickling would write: how to make the object, and its state."""
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            parts = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception as error:  # the border to the user's classes: whatever they raise, the item cannot be told from others
            raise TypeError(f"{reprlib.repr(value)} has no content to tell it from others by ({error}): give cached_task a key=") from error
        if isinstance(parts, str):
            self._say("global", f"{getattr(value, '__module__', type(value).__module__)}.{parts}".encode())
            return
        made, arguments, *rest = parts
        self._say("object")
        self.feed(made)
        self.feed(arguments)
        for part in rest:
            self.feed(list(part) if isinstance(part, Iterator) else part)

    # ---------------------------------------------------------------------------------------------------------------- code

    def _feed_code_of(self, fn: Callable[..., Any]) -> None:
        inner = _Hasher(getattr(function_of(fn), "__module__", None) or "", by_code=True)
        inner.feed(fn)
        self._say("code of", inner.hexdigest().encode())

    def _feed_named(self, value: Any, feed: Callable[[Any], None]) -> None:
        if not self._by_code or not self._is_local(value.__module__):
            self._say("name", f"{value.__module__}.{value.__qualname__}".encode())
        elif id(value) in self._known:
            self._say("known", str(self._known[id(value)]).encode())
        else:
            self._known[id(value)] = len(self._known)
            feed(value)

    def _is_local(self, name: str) -> bool:
        top = name.partition(".")[0]
        if name == "__main__" or top == self._home.partition(".")[0]:
            return True
        module = sys.modules.get(name)
        if module is None:
            return True  # no library: it came by value
        file = getattr(module, "__file__", None)
        return file is not None and top != _OURS and not file.startswith(_LIBRARIES)

    def _feed_function(self, fn: FunctionType) -> None:
        self.feed(fn.__code__)
        self._feed_parts([fn.__defaults__, fn.__kwdefaults__])
        for cell in fn.__closure__ or ():
            self._feed_loosely(_content(cell))
        names = list(dict.fromkeys(names_in(fn.__code__)))
        for name in dict.fromkeys(_global_names(fn.__code__)):
            self._feed_global(name, fn.__globals__.get(name), names)

    def _feed_code(self, code: CodeType) -> None:
        self._feed_all("code", [getattr(code, fact) for fact in _CODE_FACTS])
        self._feed_all("constants", code.co_consts)

    def _feed_global(self, name: str, value: Any, names: list[str]) -> None:
        """Feed what a name stands for, where that is the user's own and does not change by itself."""
        if isinstance(value, ModuleType):
            if self._is_local(value.__name__):
                for attribute in names:
                    self._feed_global(attribute, _of_module(value, attribute), [])
            return
        value = inspect.getattr_static(value, "__wrapped__", value)  # an ``lru_cache``; static, for a proxy may raise at any question
        if isinstance(value, (FunctionType, type, functools.partial, BuiltinFunctionType)) or _is_plain(value):
            self._say("global", name.encode())
            self._feed_loosely(value)

    def _feed_class(self, kind: type) -> None:
        self._say("class", kind.__qualname__.encode())
        self._feed_all("bases", kind.__bases__)
        for name, value in sorted(vars(kind).items()):  # a class that went by value has them in this order
            for part in (value, *(getattr(value, inner, None) for inner in _INNER)):
                if isinstance(part, FunctionType) or (not name.startswith("__") and part is not None and _is_plain(part)):
                    self._say("attribute", name.encode())
                    self.feed(part)

    def _feed_loosely(self, value: Any) -> None:
        """Feed something a function uses; a lock or connection counts by its type only."""
        try:
            self._say("uses", self._alone(value).encode())
        except TypeError:
            self._say("uses a", f"{type(value).__module__}.{type(value).__qualname__}".encode())


_WRITERS: dict[type, Callable[[Any], tuple[str, bytes]]] = {
    type(None): lambda value: ("none", b""),
    type(Ellipsis): lambda value: ("...", b""),
    bool: lambda value: ("bool", b"1" if value else b"0"),
    int: lambda value: ("int", hex(value).encode()),
    float: lambda value: ("float", struct.pack("<d", value)),
    complex: lambda value: ("complex", struct.pack("<dd", value.real, value.imag)),
    str: lambda value: ("str", value.encode("utf-8", "surrogatepass")),
    bytes: lambda value: ("bytes", value),
    bytearray: lambda value: ("bytearray", bytes(value)),
}


def _global_names(code: CodeType) -> Iterator[str]:
    """List those that may be its module's. An attribute is not, though the module may have something of its name: where that went by value
    it has it or not, as the other stages need it."""
    for each in codes_in(code):
        yield from (step.argval for step in dis.get_instructions(each) if step.opname in _READ_GLOBALS)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "nothing yet"


def _of_module(module: ModuleType, name: str) -> Any:
    found = vars(module).get(name)
    return None if isinstance(found, ModuleType) else found


def _is_plain(value: Any) -> bool:
    if type(value) in (tuple, frozenset):
        return all(map(_is_plain, value))
    return type(value) in _PLAIN
