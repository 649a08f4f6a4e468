"""What users give as a source: checked on their line. Nothing is opened, called or drawn: ``sources`` does that, in the run."""

from __future__ import annotations

import functools
import reprlib
from types import FunctionType, MethodType
from typing import Any

from ..callables import is_async
from ..deprecated import warn_user
from ..errors import GraphError
from ..graph import Source, declared_here

__all__ = ["make_source"]

ACCEPTED = "an iterable, an iterator, an async iterable, an object with __len__ and __getitem__, or a function that returns one of those"
FUNCTIONS = (FunctionType, MethodType, functools.partial)  # what else may be called is asked for nothing but its name
ROWS = {"itertuples": "itertuples(index=False)", "iter_rows": "iter_rows(named=True)"}  # of pandas, of polars


def make_source(data: Any) -> Source:
    """Describe ``data`` as a source; ``GraphError`` for what cannot be one."""
    if isinstance(data, str):
        shown = reprlib.repr(data)
        raise GraphError(f"the source is the string {shown}, whose items would be its letters: did you mean [{shown}]?")
    if hasattr(type(data), "__await__") or (isinstance(data, FUNCTIONS) and is_async(data)):
        what = f"a coroutine ({reprlib.repr(data)})"
        raise GraphError(f"the source is {what}: give an async generator (async def with yield), or what it returns")
    if not (callable(data) or any(getattr(type(data), name, None) for name in ("__iter__", "__aiter__", "__getitem__"))):
        raise GraphError(f"a source is {ACCEPTED}; got {reprlib.repr(data)}")
    _warn_of_columns(data)
    name = _name(data)
    label = name if isinstance(name, str) and name.isidentifier() else "source"
    return Source(data, label, declared_at=declared_here())


def _warn_of_columns(data: Any) -> None:
    """Warn that a table is iterated as Python does it, which is seldom meant."""
    call = next((ROWS[method] for method in ROWS if hasattr(type(data), method) and hasattr(type(data), "columns")), None)
    if call is not None:
        warn_user(
            f"the items of a {type(data).__name__} are its columns (their names, in pandas), not its rows: for rows give a function that"
            f" returns frame.{call}; for columns, list(frame)",
            UserWarning,
        )


def _name(data: Any) -> Any:
    try:
        return getattr(data, "__name__", None)
    except Exception:  # the user's own ``__getattr__``: a dict whose keys are attributes knows no other
        return None
