"""A few items, in this thread, with nothing started: ``preview``, ``pipeline[7]``, ``len(pipeline)``.

    preview(n)       the inline engine behind a ``limit(n)``; what it draws from a one-shot iterator is put back
    pipeline[7]      the same stages on ``[source[7]]``, which keeps its index: errors and ``current_item()`` are those of a whole run
    pipeline[2:5]    likewise, on that part of the source

Indexing needs a source that can be indexed, and stages that make exactly one result of each item, by itself.
``seed=`` leaves the global random generators alone here, for they are the caller's; ``current_item().rng`` draws as in a whole run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from . import stages
from .graph import Node, Outlet, Source, declared_here, reachable
from .lazy import lazy
from .options import RunConfig
from .repeating import change_sources
from .sources import peeked

running = lazy("olympipe_ng.run")

__all__ = ["length", "look_up", "preview"]


def preview(outlet: Outlet, config: RunConfig, n: int) -> list[Any]:
    """Evaluate the first ``n`` items of ``outlet``."""
    if n == 0:
        return []
    [looked_at] = change_sources([outlet], peeked)
    return _evaluate(Outlet(Node(stages.Limit(n), (looked_at,), declared_here())), config)


def length(outlet: Outlet) -> int:
    """Tell the number of items of ``outlet``, ``TypeError`` where nothing tells it."""
    return len(_indexable(outlet, "len(pipeline)").data)


def look_up(outlet: Outlet, config: RunConfig, index: Any) -> Any:
    """Evaluate the item at ``index``, or those of a slice."""
    source = _indexable(outlet, "pipeline[...]")
    places = range(len(source.data))[index]  # as for any sequence: negative, out of range, not a number
    if isinstance(places, range):
        return _look_up_many(outlet, config, source, places)
    found = _look_up_many(outlet, config, source, range(places, places + 1))
    if not found:
        raise IndexError(f"there is no item {index}: a stage dropped it")
    return found[0]


def _look_up_many(outlet: Outlet, config: RunConfig, source: Source, places: range) -> list[Any]:
    if places.step != 1:
        return [item for place in places for item in _look_up_many(outlet, config, source, range(place, place + 1))]
    part = replace(source, data=[source.data[place] for place in places], first=places.start)
    return _evaluate(change_sources([outlet], lambda _: part)[0], config)


def _evaluate(outlet: Outlet, config: RunConfig) -> list[Any]:
    with running.start_run([outlet], config.changed({"engine": "inline", "progress": False, "total": None})) as run:
        return list(running.collect(run)[0])


def _indexable(outlet: Outlet, asked: str) -> Source:
    """Find the source of a chain of one-to-one stages."""
    for node in reachable([outlet]):
        stage = node.stage
        if isinstance(stage, Source):
            source = stage
        elif not stage.one_to_one or len(node.inputs) > 1:
            _refuse(asked, f"stage {node.label!r} ({node.declared_at}) does not make one result of each item")
    if not all(hasattr(type(source.data), name) for name in ("__len__", "__getitem__")) or _has_keys(source.data):
        _refuse(asked, "its source has no length and no index")
    if outlet.number > 0:
        _refuse(asked, "these are the failures of a stage")
    return source


def _has_keys(data: Any) -> bool:
    """Say whether ``data[7]`` is what stands under the key 7, not the item at that place: so it is of mappings, and of pandas' tables."""
    return isinstance(data, Mapping) or hasattr(type(data), "keys")


def _refuse(asked: str, reason: str) -> NoReturn:
    raise TypeError(f"{asked}: {reason}; preview(n) gives the first n items, wait_for_result() all of them")
