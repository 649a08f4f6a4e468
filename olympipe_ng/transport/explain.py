"""Which part of an object cannot be pickled: ``item.camera['handle'] is a cv2.VideoCapture: cannot pickle ...``.

Looks at the parts that pickling would visit (what ``__reduce_ex__`` gives, not what ``__dict__`` holds) and follows the one that fails,
until a thing fails whose parts do not. Among many parts the guilty one is found by halving. Bounded in depth and bytes; never raises.

Considered and refused: reading pickle's error (it names a type, and that not always); walking ``__dict__`` (a class that leaves its lock
out in ``__getstate__`` would be blamed for it).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any, cast

from ..callables import names_in
from .by_value import PICKLE_ERRORS, ByValue

__all__ = ["advise", "explain_unpicklable"]

DEEPEST = 30
MOST_BYTES = 1 << 26  # of one trial: what pickles so far is not to blame
MOST_PARTS = 100_000

ADVICE: dict[type, str] = {
    CoroutineType: "Nobody awaits it: make the stage's function ``async def``, and await there what it calls.",
    AsyncGeneratorType: "One item to many is ``explode``; one to one: ``async def``, with ``return``.",
    GeneratorType: "One item to many is ``explode``; one to one: return a list.",
}
OTHERWISE = "Hand on what it can be made from, or use it in the stage that makes it."

Part = tuple[str, Any]


def explain_unpicklable(obj: Any, name: str = "item", by_value: ByValue | None = None) -> str:
    """Say which part of ``obj`` cannot be pickled, as a path that begins at ``name``; an empty string when all of it can."""
    probe = ByValue() if by_value is None else by_value.silent()
    try:
        return _follow(obj, name, probe)
    except Exception:  # users' code is asked at every step; an explanation must not make things worse
        return f"something within {name}, a {_type_name(obj)}"


def advise(obj: Any) -> str:
    """Say what to do about an item that cannot be pickled."""
    return ADVICE.get(type(obj), OTHERWISE)


def _follow(obj: Any, path: str, probe: ByValue) -> str:
    failure = _failure(obj, probe)
    if failure is None:
        return ""
    for _ in range(DEEPEST):
        found = None if isinstance(failure, RecursionError) else _guilty(list(itertools.islice(_parts(obj), MOST_PARTS)), probe)
        if found is None:
            break
        (label, obj), failure = found
        path += label
    why = "it is nested too deeply" if isinstance(failure, RecursionError) else f"{failure}" or type(failure).__name__
    return f"{path} is a {_type_name(obj)}: {why}"


def _guilty(parts: list[Part], probe: ByValue) -> tuple[Part, Exception] | None:
    """Return the first part that fails by itself."""
    while len(parts) > 1:
        half = parts[: len(parts) // 2]
        parts = half if _failure([part for _, part in half], probe) is not None else parts[len(half) :]
    failure = _failure(parts[0][1], probe) if parts else None
    return None if failure is None else (parts[0], failure)


class _Enough(Exception):
    pass


class _Scale:
    """A file that only weighs what is written."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        if self.written > MOST_BYTES:
            raise _Enough


def _failure(obj: Any, probe: ByValue) -> Exception | None:
    try:
        try:
            probe.pickler(_Scale(), _out_of_band).dump(obj)
        except PICKLE_ERRORS:
            probe.pickler(_Scale(), _out_of_band, full=True).dump(obj)
    except _Enough:
        return None
    except Exception as error:  # users' __reduce__ may raise anything: that is what is looked for
        return error
    return None


def _out_of_band(buffer: Any) -> bool:
    return False  # its bytes are not to blame


# --------------------------------------------------------------------------------------------------- what pickling visits


def _parts(obj: Any) -> Iterator[Part]:
    kind = type(obj)  # not isinstance: a proxy's ``__class__`` is code of its own
    if issubclass(kind, (str, bytes, bytearray, type)):
        return
    if issubclass(kind, dict):
        yield from ((f"[{_short(key)}]", value) for key, value in obj.items())
        yield from ((f" key {_short(key)}", key) for key in obj)
    elif issubclass(kind, (list, tuple)):
        yield from _items("[{}]", obj)
    elif issubclass(kind, (set, frozenset)):
        yield from _items(" element {}", list(obj))
    elif kind is FunctionType:
        yield from _function_parts(obj)
    elif kind is MethodType:
        yield from ((".__self__", obj.__self__), (".__func__", obj.__func__))
    elif kind is functools.partial:
        yield from ((".func", obj.func), (".args", obj.args), (".keywords", obj.keywords))
    else:
        yield from _reduced_parts(obj)


def _items(label: str, items: Any) -> Iterator[Part]:
    yield from ((label.format(number), value) for number, value in enumerate(items))


def _function_parts(function: FunctionType) -> Iterator[Part]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f" uses {name!r}, which", cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    space = function.__globals__
    yield from ((f" uses {name!r}, which", space[name]) for name in names_in(function.__code__) if name in space)
    yield from _items(" default {}", function.__defaults__ or ())
    yield from ((f" default {name}", value) for name, value in (function.__kwdefaults__ or {}).items())
    yield from ((f".{name}", value) for name, value in vars(function).items())


def _reduced_parts(obj: Any) -> Iterator[Part]:
    """Yield what the object's own reduction names; one that raises has no parts, so the object itself is to blame."""
    try:
        reduced = obj.__reduce_ex__(5)
    except Exception:  # a user's __reduce__
        return
    if not isinstance(reduced, tuple):
        return
    args: Any
    _, args, state, items, pairs, *_ = (*reduced, None, None, None, None)
    yield from _state_parts(state)
    yield from _items("[{}]", items or ())
    yield from ((f"[{_short(key)}]", value) for key, value in cast(Any, pairs or ()))
    yield from _items(" argument {}", args or ())


def _state_parts(state: Any) -> Iterator[Part]:
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        yield from _state_parts(state[0])  # the second are the slots
        yield from _state_parts(state[1])
    elif isinstance(state, dict):
        yield from ((f".{name}", value) for name, value in state.items())
    elif state is not None:
        yield " state", state


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:37] + "..."


def _type_name(obj: Any) -> str:
    kind = type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
