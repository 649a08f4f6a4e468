"""What must be true of streams that meet: in one stage (``gather``, ``zip``, ``rejoin``) or in one run.

    check_joined    they are pipelines, each given once, with the same run options
    warn_if_uneven  zip: an arm that may drop items, beside another arm of the same source, pairs what does not belong together
    check_arms      rejoin: arms of one fork, before which no two items get one origin, and behind which every item keeps its own
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ..deprecated import warn_user
from ..errors import GraphError
from ..graph import Node, Outlet, Source, reachable
from ..options import RunConfig
from ..stages.contract import Stage

if TYPE_CHECKING:
    from .base import Building

__all__ = ["check_arms", "check_joined", "check_options", "check_sources", "warn_if_uneven"]


def check_joined(kind: str, pipelines: Sequence[Building[Any]]) -> None:
    """Raise unless all are pipelines, each given once, that agree on the options of their run."""
    if len(pipelines) == 1:
        return
    check_options(kind, pipelines)
    if len({_key(pipeline._outlet) for pipeline in pipelines}) < len(pipelines):
        raise GraphError(f"{kind} was given the same pipeline twice: each must be another one")


def check_options(kind: str, pipelines: Sequence[Building[Any]]) -> None:
    """Raise unless all are pipelines that agree on the options of their run."""
    for other in pipelines:
        if not hasattr(other, "_outlet"):
            raise GraphError(f"{kind} joins pipelines, got {other!r}: give them one by one, zip(a, b), not in a list")
        _check_same(kind, pipelines[0]._config, other._config)


def check_sources(outlets: Sequence[Outlet]) -> None:
    """Raise if one iterator is the source of two pipelines: each would get some of its items."""
    read: dict[int, Node] = {}
    for node in reachable(outlets):
        if isinstance(node.stage, Source) and node.stage.one_shot:
            other = read.setdefault(id(node.stage.data), node)
            if other is not node:
                raise GraphError(
                    f"the same iterator is the source of two pipelines, {_say(other)} and {_say(node)}, which would take items from"
                    " each other: make one Pipeline of it and build both branches on that, where each sees every item"
                )


def _check_same(kind: str, first: RunConfig, other: RunConfig) -> None:
    if first is other:
        return
    for option in fields(RunConfig):
        here, there = getattr(first, option.name), getattr(other, option.name)
        if here is not there and here != there:
            raise GraphError(
                f"{kind}: these pipelines have different run options, {option.name}={here!r} and {option.name}={there!r};"
                f" they are run together: make them the same with .options({option.name}=...)"
            )


def warn_if_uneven(pipelines: Sequence[Building[Any]]) -> None:
    """Warn if two arms of one source are zipped and one may give fewer items than the other."""
    policy = pipelines[0]._config.on_error
    for one, other in combinations([_ancestry(pipeline._outlet) for pipeline in pipelines], 2):
        shared = one.keys() & other.keys()
        apart = [outlet for key, outlet in {**one, **other}.items() if key not in shared]
        dropping = next((outlet.node for outlet in apart if _may_drop(outlet.node.stage, policy)), None)
        if dropping is not None and any(isinstance(one[key].node.stage, Source) for key in shared):
            warn_user(
                f"zip pairs by position, and {_say(dropping)} may drop items from one arm: what belongs together would be torn apart."
                " Use rejoin, which pairs the items that come from the same source item",
                UserWarning,
            )
            return


def _may_drop(stage: Stage | Source, policy: Any) -> bool:
    if isinstance(stage, Source):
        return False
    policy = policy if stage.config.on_error is None else stage.config.on_error
    return stage.drops_silently or (policy in ("skip", "collect", "branch") and not stage.opaque)


def check_arms(pipelines: Sequence[Building[Any]]) -> None:
    """Raise unless all arms come from one fork, whose items have origins of their own, through stages that keep these."""
    arms = [reachable([pipeline._outlet]) for pipeline in pipelines]
    before = set.intersection(*({id(node) for node in arm} for arm in arms))
    for arm in arms:
        for node in arm:
            if id(node) in before:
                _check_tells_apart(node)
            else:
                _check_keeps_origin(node)
    if not before:
        first, second = (next(node for node in arm if isinstance(node.stage, Source)) for arm in arms[:2])
        raise GraphError(f"rejoin needs branches of one source, these come from {_say(first)} and {_say(second)}: use zip or gather")


def _check_tells_apart(node: Node) -> None:
    if not isinstance(node.stage, Source) and not node.stage.keeps_origin and not node.stage.tells_apart:
        raise GraphError(
            f"rejoin pairs items by the source items they come from, and after {_say(node)} several may come from the same ones, or"
            f" out of order: fork and rejoin before the {_kind(node)}, or use zip"
        )


def _check_keeps_origin(node: Node) -> None:
    keeps = node.stage.upstream is None if isinstance(node.stage, Source) else node.stage.keeps_origin
    if not keeps:
        raise GraphError(
            f"rejoin pairs items by the source item they come from, and after {_say(node)} an item no longer stands for just one:"
            f" rejoin before the {_kind(node)}, or put the {_kind(node)} before the fork, or use zip"
        )


def _ancestry(outlet: Outlet) -> dict[tuple[int, int], Outlet]:
    """Collect every outlet that ``outlet`` reads from, itself included, and what is behind a ``repeat`` too."""
    found: dict[tuple[int, int], Outlet] = {}
    waiting = [outlet]
    while waiting:
        outlet = waiting.pop()
        if found.setdefault(_key(outlet), outlet) is outlet:
            stage = outlet.node.stage
            again = stage.upstream if isinstance(stage, Source) else None
            waiting += [*outlet.node.inputs, *([] if again is None else [again])]
    return found


def _key(outlet: Outlet) -> tuple[int, int]:
    return (id(outlet.node), outlet.number)


def _kind(node: Node) -> str:
    if isinstance(node.stage, Stage):
        return node.stage.kind
    return "source" if node.stage.upstream is None else "repeat"


def _say(node: Node) -> str:
    kind = _kind(node)
    name = kind if node.label == kind else f"{kind} {node.label!r}"
    return f"{name} at {node.declared_at}" if node.declared_at else name
