"""From graph to plan: which workers there are, and which edges join them.

    nodes of the graph ──► NodePlan   number, workers, lanes, where it runs, how it fails
    what reads what    ──► EdgePlan   producer, outlet, consumer, port, bound
    awaited pipelines  ──► NodePlan of role SINK, behind the stages

The plan is plain data: the scheduler knows the graph only through it, and it holds nothing of the user's. A worker runs one stage today;
fusing two would be another plan for the same graph, and no change elsewhere.

**Opaque stages run in the hub**, that is in the supervisor itself. DESIGN.md gave them a process each; but they never look into an
item and run no user code, so a process would add a hop, a start and something to kill, for less work than the relay itself.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

from .errors import GraphError
from .graph import Node, Outlet, Source, reachable
from .machine import memory_limit, usable_cpus
from .options import RunConfig
from .stages.contract import Arity, Stage

__all__ = ["FRAME_ITEMS", "EdgePlan", "NodePlan", "Plan", "Role", "make_plan"]

QUEUE_BYTES = 256 << 20  # more hides uneven stages, less bounds memory
EDGE_BYTES = 64 << 20  # at most of it on one edge
FRAME_ITEMS = 4096  # of the largest frame; more relays less often, less is dealt more evenly
MAX_STAGES = 1000  # far beyond what one machine runs; above it a loop built the graph by mistake
MAX_WORKERS = 512
MAX_COROUTINES = 1 << 16  # of a worker, as many as there are ports: more costs memory and a longer start, and no loop keeps up with them


class Role(enum.Enum):
    """The three kinds of node that the scheduler tells apart."""

    SOURCE = "source"
    STAGE = "stage"
    SINK = "sink"


class EdgePlan(NamedTuple):
    """One stream between two nodes."""

    number: int
    producer: int
    outlet: int
    consumer: int
    port: int
    queue_size: int | None = None
    queue_bytes: int = EDGE_BYTES
    watermarked: bool = False  # a rejoin stands somewhere behind: tell it what is settled, even when nothing comes out


class NodePlan(NamedTuple):
    """What the scheduler must know of a node."""

    number: int
    label: str
    role: Role
    inputs: tuple[int, ...] = ()  # edges, by port
    outlets: tuple[tuple[int, ...], ...] = ()  # edges, by outlet; an empty one is read by nobody
    workers: int = 1
    lanes: int = 1  # threads or coroutines of a worker
    hub: bool = False
    stream: bool = False  # a stream transform: one worker, inputs in order
    many: bool = False  # outputs are not bounded by inputs: run under an allowance
    ordered: bool = True
    stateful: bool = False  # its worker's death fails the run
    renews: bool = False  # its worker's death costs an instance of the user's
    discard: bool = False  # a sink whose items nobody wants
    abreast: bool = False  # ports are read side by side: one that fails behind the end of another is not missed
    wants_watermarks: bool = False
    tells_settled: bool = False  # a stream transform that holds back what came before a watermark, and says what is settled behind it
    passes_watermarks: bool = False  # a stream transform behind which all is settled that is settled before it
    excuses_setup: bool = False  # no time counts for a stream transform while a stage before it is being set up
    ascends: bool = False  # its outputs come in the order of their origins, no two with the same: each settles what is below it
    retries: int = 0
    backoff: float = 0.0
    max_backoff: float = 60.0
    on_error: str = "raise"  # raise, skip, collect, call or branch
    max_failures: float | None = None
    timeout: float | None = None
    setup_timeout: float | None = None
    cancels: bool = False  # its workers end an item that is late themselves, unless they hang
    redeliver: bool = True
    max_items: int | None = None  # recycle a worker after so many

    @property
    def title(self) -> str:
        """What it is called in errors and the log: ``2 'resize'``."""
        return f"{self.number} {self.label!r}"

    @property
    def staffed(self) -> bool:
        """Whether workers of its own run it."""
        return self.role is Role.STAGE and not self.hub


class Plan(NamedTuple):
    """All of a run, as the scheduler sees it."""

    nodes: tuple[NodePlan, ...]
    edges: tuple[EdgePlan, ...]
    max_failures: float | None = None
    close_timeout: float = 30.0
    frame_items: int = FRAME_ITEMS
    seed: int = 0
    stall_timeout: float | None = None
    queue_bytes: int = QUEUE_BYTES  # of the run; what joins of unequal arms need is counted against twice as much

    @property
    def sources(self) -> list[NodePlan]:
        return [node for node in self.nodes if node.role is Role.SOURCE]

    @property
    def workers(self) -> int:
        return sum(node.workers for node in self.nodes if node.staffed)

    @property
    def joins(self) -> bool:
        """Whether one part of the graph may wait for another: unequal arms, or several sinks."""
        return len(self.sinks) > 1 or any(len(node.inputs) > 1 for node in self.nodes)

    @property
    def sinks(self) -> list[NodePlan]:
        return [node for node in self.nodes if node.role is Role.SINK]


def make_plan(
    sinks: Sequence[Outlet], config: RunConfig, *, discard: Sequence[bool] = (), frame_items: int = FRAME_ITEMS
) -> tuple[Plan, list[Node]]:
    """Lay out the run of ``sinks``: the plan, and the graph's nodes in the order of their numbers."""
    nodes = reachable(sinks)
    _check_size(nodes)
    run_bytes = config.queue_bytes or _default_bytes()
    edges = _join(nodes, sinks, config, run_bytes)
    auto = _auto_workers(nodes)
    ascending = _ascending(nodes)
    plans = [_node_plan(number, node, edges, config, auto)._replace(ascends=id(node) in ascending) for number, node in enumerate(nodes)]
    _check_workers(plans)
    for k, _ in enumerate(sinks):
        thrown_away = bool(discard) and discard[k]
        number = len(nodes) + k
        plans.append(NodePlan(number, f"sink {k}", Role.SINK, inputs=_inputs(edges, number), discard=thrown_away))
    plan = Plan(
        tuple(plans),
        tuple(edges),
        max_failures=config.max_failures,
        close_timeout=config.close_timeout,
        frame_items=frame_items,
        seed=0 if config.seed is None else config.seed,
        stall_timeout=config.stall_timeout,
        queue_bytes=run_bytes,
    )
    return plan, nodes


def _check_size(nodes: Sequence[Node]) -> None:
    if len(nodes) > MAX_STAGES:
        raise GraphError(f"this graph has {len(nodes)} stages, more than the {MAX_STAGES} supported: was it built in a loop by mistake?")


def _check_workers(plans: Sequence[NodePlan]) -> None:
    total = sum(plan.workers for plan in plans if plan.staffed)
    if total > MAX_WORKERS:
        raise GraphError(f"this graph asks for {total} workers, more than the {MAX_WORKERS} that are supported: lower count=")


def _join(nodes: Sequence[Node], sinks: Sequence[Outlet], config: RunConfig, run_bytes: int) -> list[EdgePlan]:
    numbers = {id(node): number for number, node in enumerate(nodes)}
    edges: list[EdgePlan] = []
    for number, node in enumerate(nodes):
        size = node.stage.config.queue_size if isinstance(node.stage, Stage) else None
        for port, outlet in enumerate(node.inputs):
            bound = _bound(outlet.node, config) if size is None else size
            edges.append(EdgePlan(len(edges), numbers[id(outlet.node)], outlet.number, number, port, bound))
    for k, outlet in enumerate(sinks):
        edges.append(EdgePlan(len(edges), numbers[id(outlet.node)], outlet.number, len(nodes) + k, 0, _bound(outlet.node, config)))
    share = max(1, min(EDGE_BYTES, run_bytes // max(1, len(edges))))
    watermarked = _watermarked(nodes, edges)
    return [edge._replace(queue_bytes=share, watermarked=edge.number in watermarked) for edge in edges]


def _bound(producer: Node, config: RunConfig) -> int | None:
    """Return how many items may wait behind a node, where the user does not say it of the edge itself."""
    fresh = isinstance(producer.stage, Stage) and producer.stage.keeps_fresh
    return 1 if fresh else config.queue_size


def _default_bytes() -> int:
    limit = memory_limit()
    return QUEUE_BYTES if limit is None else min(QUEUE_BYTES, limit // 8)


def _watermarked(nodes: Sequence[Node], edges: Sequence[EdgePlan]) -> set[int]:
    """Find the edges from which a stage that wants watermarks can be reached."""
    wanting = {number for number, node in enumerate(nodes) if isinstance(node.stage, Stage) and node.stage.wants_watermarks}
    watermarked: set[int] = set()
    for edge in sorted(edges, key=lambda edge: edge.consumer, reverse=True):  # consumers stand behind their producers
        if edge.consumer in wanting:
            watermarked.add(edge.number)
            wanting.add(edge.producer)
    return watermarked


def _ascending(nodes: Sequence[Node]) -> set[int]:
    """Find the nodes behind which all come in the order of their origins, and no two with the same (by ``id``)."""
    found: set[int] = set()
    for node in nodes:  # consumers stand behind their producers
        stage = node.stage
        keeps = isinstance(stage, Source) or ((stage.keeps_origin or stage.tells_apart) and stage.config.ordered)
        if keeps and all(id(outlet.node) in found for outlet in node.inputs):
            found.add(id(node))
    return found


def _auto_workers(nodes: Sequence[Node]) -> int:
    auto = sum(isinstance(node.stage, Stage) and node.stage.config.count == "auto" for node in nodes)
    fixed = sum(_fixed_workers(node) for node in nodes)
    return max(1, (usable_cpus() - fixed) // max(1, auto)) if auto else 1


def _fixed_workers(node: Node) -> int:
    if not isinstance(node.stage, Stage) or node.stage.opaque or node.stage.config.count == "auto":
        return 0
    return node.stage.config.count


def _inputs(edges: Sequence[EdgePlan], consumer: int) -> tuple[int, ...]:
    return tuple(edge.number for edge in sorted(edges, key=lambda edge: edge.port) if edge.consumer == consumer)


def _outlets(edges: Sequence[EdgePlan], producer: int, outlets: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(edge.number for edge in edges if edge.producer == producer and edge.outlet == k) for k in range(outlets))


def _node_plan(number: int, node: Node, edges: Sequence[EdgePlan], config: RunConfig, auto: int) -> NodePlan:
    outlets = _outlets(edges, number, node.outlets)
    if isinstance(node.stage, Source):
        return NodePlan(number, node.label, Role.SOURCE, outlets=outlets, on_error=_policy(config.on_error))
    stage, own = node.stage, node.stage.config
    return NodePlan(
        number,
        node.label,
        Role.STAGE,
        inputs=_inputs(edges, number),
        outlets=outlets,
        workers=auto if own.count == "auto" else own.count,
        lanes=min(own.concurrency, MAX_COROUTINES) if stage.is_async else own.threads,
        hub=stage.opaque,
        stream=stage.arity is None,
        many=stage.arity in (None, Arity.MANY),
        ordered=own.ordered,
        stateful=stage.stateful,
        renews=stage.renews,
        abreast=stage.abreast,
        wants_watermarks=stage.wants_watermarks,
        tells_settled=stage.tells_settled,
        passes_watermarks=stage.passes_watermarks,
        excuses_setup=stage.excuses_setup,
        retries=config.retries if own.retries is None else own.retries,
        backoff=own.backoff,
        max_backoff=own.max_backoff,
        on_error=_policy(config.on_error if own.on_error is None else own.on_error),
        max_failures=own.max_failures,
        timeout=own.timeout,
        setup_timeout=own.setup_timeout,
        cancels=stage.is_async,
        redeliver=own.redeliver,
        max_items=own.max_items_per_worker,
    )


def _policy(on_error: Any) -> str:
    return on_error if isinstance(on_error, str) else "call"
