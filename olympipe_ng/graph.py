"""The graph of stages: immutable nodes, shared by every pipeline built on them.

    Pipeline(paths) ── Node(Source) ◄── Node(Task) ◄── Node(Filter) ◄── a sink
                                            ▲──────── Node(Filter) ◄── another

A node knows what it reads (``inputs``: outlets of other nodes), never who reads it: so building on a pipeline changes nothing, and two
stages built on the same one are two branches that each see every item. The part that is run is what the awaited sinks can reach.

Considered and refused: a mutable graph object that all pipelines of a chain share (olympipe's: two chains built from one
base edit each other, and steal each other's items).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple

from .stages.contract import Stage

__all__ = ["Memory", "Node", "Outlet", "Source", "declared_here", "reachable", "user_frame"]

PACKAGE = os.path.dirname(__file__) + os.sep


class Memory:
    """What a one-shot source remembers from one run to the next: the only thing of a graph that changes (only ``sources`` changes it).

    ``unread`` holds one ticket until a run takes it: ``None``, or the reader that ``preview`` left open. A list, since ``pop`` is atomic.
    """

    __slots__ = ("unread",)

    def __init__(self) -> None:
        self.unread: list[Any] = [None]

    def __reduce__(self) -> tuple[object, ...]:
        return (Memory, ())


@dataclass(frozen=True, eq=False)
class Source:
    """What is read, once per run: an iterable, or a callable that returns one."""

    data: Any
    label: str = "source"
    outlets: int = 1
    first: int = 0
    """The index of its first item: not 0 where a few items of the middle are evaluated (``pipeline[7]``)."""
    declared_at: str = ""
    upstream: Outlet | None = None
    """What ``repeat`` runs again and again, for those who look at the graph; the run itself begins here."""
    memory: Memory = field(default_factory=Memory, repr=False)

    @property
    def one_shot(self) -> bool:
        """Say whether only one run can read it: it is itself an iterator."""
        kind = type(self.data)
        return hasattr(kind, "__next__") or hasattr(kind, "__anext__")


@dataclass(frozen=True, eq=False)
class Node:
    """A stage (or source) in its place: what it means, what it reads, and where the user wrote it."""

    stage: Stage | Source
    inputs: tuple[Outlet, ...] = ()
    declared_at: str = field(default="")

    @property
    def label(self) -> str:
        return self.stage.label

    @property
    def branches_failures(self) -> bool:
        """Say whether an outlet for failures stands behind the stage's own (``on_error="branch"``)."""
        return isinstance(self.stage, Stage) and self.stage.config.on_error == "branch"

    @property
    def outlets(self) -> int:
        return self.stage.outlets + self.branches_failures


class Outlet(NamedTuple):
    """One of the streams that leave a node: what a ``Pipeline`` stands for."""

    node: Node
    number: int = 0


def reachable(sinks: Iterable[Outlet]) -> list[Node]:
    """List the nodes that these outlets need, each behind all it reads; without recursion, for chains of any length."""
    order: dict[int, Node] = {}
    stack: list[tuple[Node, Iterator[Outlet]]] = []
    for sink in sinks:
        stack.append((sink.node, iter(sink.node.inputs)))
        while stack:
            node, rest = stack[-1]
            following: Outlet | None = next(rest, None)
            if following is None:
                order.setdefault(id(node), node)
                stack.pop()
            elif id(following.node) not in order:
                stack.append((following.node, iter(following.node.inputs)))
    return list(order.values())


def user_frame() -> tuple[FrameType, int]:
    """Find the nearest frame outside this package, and the ``stacklevel`` with which the caller of this would warn it."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, depth = frame.f_back, depth + 1
    return frame, depth


def declared_here() -> str:
    """Tell the ``file:line`` of the user's code that is building the graph."""
    frame, _ = user_frame()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
