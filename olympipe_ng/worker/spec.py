"""What a worker must know: its stage, the run's options that bear on it, and how items cross to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast

from ..graph import Node
from ..options import RunConfig
from ..plan import NodePlan, Plan
from ..stages.contract import Stage

__all__ = ["Codec", "Encoding", "Producer", "StageSpec", "make_specs"]


BURST = 1024  # more keeps more failing items whole, less holds less memory; never more than the edge behind is given


class Encoding(Protocol):
    """Snapshots items, one by one, until they are taken."""

    @property
    def count(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def inline(self) -> int:
        """Count the bytes beside large buffers: those that every process on the way copies."""

    def add(self, item: Any) -> None:
        """Snapshot one item; raises what copying it raised, and holds what it held before."""

    def extend(self, items: list[Any]) -> None:
        """Snapshot many; on failure some of them are in."""

    def forget(self, count: int) -> None:
        """Drop the last ``count`` items."""

    def take(self) -> Any:
        """Return the payload of what was added, and begin anew."""


class Codec(Protocol):
    """How items cross from one worker to another."""

    together: bool
    """Whether to give encoders many items at once: they may be encoded together then, and fail together."""

    def open(self, payload: Any, lo: int, hi: int) -> Any:
        """Return a list of the items from ``lo`` on, or something whose ``[i]`` is the item ``lo + i`` and raises, for that item only, what
        loading it raised; its ``part`` gives many at once, or raises."""

    def encoder(self) -> Encoding:
        """Return a new encoder for an outlet."""

    def dump_exception(self, error: BaseException) -> bytes | None:
        """Return the exception as bytes, ``None`` if it cannot be rebuilt from them."""

    def explain(self, thing: Any, name: str) -> str:
        """Say which part of an item that could not be encoded is to blame, as a path that begins at ``name``, and what to do."""


class Producer(NamedTuple):
    """Whose outputs come in at a port: the stage to blame for an item that cannot be loaded."""

    node: int
    stage: str
    declared_at: str
    on_error: str


class StageSpec(NamedTuple):
    """Everything about one stage that its workers need."""

    plan: NodePlan
    stage: Stage
    declared_at: str
    producers: tuple[Producer, ...]
    on_error: Callable[[Any, Exception], Any] | None  # where it is a function
    initializers: tuple[Callable[[], object], ...]
    seed: int | None
    seeded: bool  # set the global generators before each item: processes of one thread only
    burst: int = BURST  # outputs of one item that are told together: all or none of them, if it fails

    @property
    def title(self) -> str:
        return self.plan.title


def make_specs(plan: Plan, nodes: Sequence[Node], config: RunConfig) -> dict[int, StageSpec]:
    """Give each stage's number what its workers need."""
    return {number: _spec(plan, nodes, number, config) for number, node in enumerate(nodes) if isinstance(node.stage, Stage)}


def _spec(plan: Plan, nodes: Sequence[Node], number: int, config: RunConfig) -> StageSpec:
    node, own = nodes[number], cast(Stage, nodes[number].stage)
    on_error = config.on_error if own.config.on_error is None else own.config.on_error
    initializers = [each for each in (config.initializer, own.config.initializer) if each is not None and not own.opaque]
    placed = plan.nodes[number]
    alone = config.engine == "process" and placed.lanes == 1 and not placed.hub
    return StageSpec(
        plan=placed,
        stage=own,
        declared_at=node.declared_at,
        producers=tuple(_producer(plan, nodes, plan.edges[edge].producer) for edge in placed.inputs),
        on_error=on_error if callable(on_error) else None,
        initializers=tuple(initializers),
        seed=config.seed,
        seeded=alone and config.seed is not None,
        burst=_burst(plan, placed),
    )


def _burst(plan: Plan, placed: NodePlan) -> int:
    sizes = [plan.edges[edge].queue_size for outlet in placed.outlets for edge in outlet]
    return min([BURST, *(size for size in sizes if size is not None)])


def _producer(plan: Plan, nodes: Sequence[Node], number: int) -> Producer:
    placed = plan.nodes[number]
    return Producer(number, placed.title, nodes[number].declared_at, placed.on_error)
