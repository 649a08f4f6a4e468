"""Random scenarios: from a seed, a graph, what its stages mean, and a world around it that behaves badly.

    source ─► stage ─► fork ─► stage ─┐
                         └──► filter ─┴─► zip ─► sink          (grown step by step from the open ends)

An open end knows what may still be done with it: only an *exact* stream (one order, one result) may be batched, zipped or counted,
only one that kept one origin per item may be rejoined. So the oracle can say of every sink what must come out of it.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role

from .spec import Habits, Kind, Scenario, SinkHabit, SourceHabit, Spec

__all__ = ["generate"]

NO_BOUND = 64 << 20
PACES = (1e-7, 1e-5, 1e-3, 5e-3, 0.03)


class End(NamedTuple):
    """An open end of the graph under construction."""

    node: int
    outlet: int = 0
    exact: bool = True  # one order, one result
    single: bool = True  # each item has one origin, ascending: what rejoin needs
    source: int = 0
    last: bool = False  # only a sink may follow


SPILL_BYTES = 1  # of a run: whatever waits for an unequal join goes to a file


class Builder:
    """Grows one random graph."""

    def __init__(self, rng: Random, kills: float, scale: int) -> None:
        self.rng = rng
        self.scale = scale
        self.nodes: list[NodePlan] = []
        self.edges: list[EdgePlan] = []
        self.specs: dict[int, Spec] = {}
        self.sources: dict[int, SourceHabit] = {}
        self.ends: list[End] = []
        self.salt = rng.randrange(1 << 20)
        self.flavour = Flavour(rng, kills)

    # -------------------------------------------------------------------------------------------------------- growing

    def add_source(self) -> None:
        rng, number = self.rng, len(self.nodes)
        self.nodes.append(NodePlan(number, "source", Role.SOURCE, outlets=((),)))
        total = self.scale * rng.choice((0, 1, 2, 3, rng.randint(4, 12), rng.randint(4, 25), rng.randint(10, 40)))
        total += rng.randint(30, 90) if self.flavour.calm else 0
        raises = rng.random() < self.flavour.source_raises
        self.sources[number] = SourceHabit(total, raises, rng.choice(PACES), rng.random() < 0.4)
        self.ends.append(End(number, source=number))

    def grow(self) -> None:
        """Add a stage or a join somewhere."""
        rng = self.rng
        roll = rng.random()
        if roll < self.flavour.joins and len(self.ends) > 1:
            self.join(rng.sample(range(len(self.ends)), 2 if rng.random() < 0.8 or len(self.ends) < 3 else 3))
        elif roll < self.flavour.joins + self.flavour.forks and len(self.ends) < 4:
            end = rng.choice(self.ends)
            self.diamond(end) if end.single and rng.random() < 0.4 else self.ends.append(end)
        else:
            self.stage(rng.randrange(len(self.ends)))

    def stage(self, place: int) -> None:
        end = self.ends[place]
        if end.last:
            return
        kind = self.flavour.kind(end.exact)
        made = self.add(kind, [end])
        self.ends[place : place + 1] = made

    def diamond(self, end: End) -> None:
        """Fork, run the arms through stages that keep the origin, and rejoin (or zip, or leave apart)."""
        rng = self.rng
        arms: list[End] = []
        for _ in range(2 if rng.random() < 0.8 else 3):
            arm = end
            for _ in range(rng.randint(0 if arms and all(other is not end for other in arms) else 1, 2)):
                arm = self.add(rng.choice((Kind.MAP, Kind.FILTER, Kind.FILTER)), [arm], ordered=True)[0]
            arms.append(arm)
        if end in self.ends:
            self.ends.remove(end)
        self.ends.extend(arms)
        self.join(list(range(len(self.ends) - len(arms), len(self.ends))))

    def join(self, places: list[int]) -> None:
        ends = [self.ends[place] for place in places]
        if any(end.last for end in ends) or len({end[:2] for end in ends}) < len(ends):
            return
        kinds = [Kind.GATHER]
        if all(end.exact for end in ends):
            kinds.append(Kind.ZIP)
            if all(end.single for end in ends) and len({end.source for end in ends}) == 1:
                kinds += [Kind.REJOIN, Kind.REJOIN]
        made = self.add(self.rng.choice(kinds), ends)
        self.ends = [end for place, end in enumerate(self.ends) if place not in places] + made

    # ----------------------------------------------------------------------------------------------------------- adding

    def add(self, kind: Kind, ends: list[End], ordered: bool | None = None) -> list[End]:
        """Add a stage behind ``ends``; return its own open ends."""
        rng, number = self.rng, len(self.nodes)
        outlets = rng.randint(2, 3) if kind is Kind.SPLIT else 1
        spec = self.flavour.spec(number, kind, self.salt, outlets)
        plan = self.flavour.node(number, kind, spec)
        if ordered is not None:
            plan = plan._replace(ordered=ordered)
        total = outlets + (spec.on_error == "branch")
        inputs = tuple(self.connect(end, number, port) for port, end in enumerate(ends))
        self.specs[number] = spec
        exact = all(end.exact for end in ends) and plan.ordered and kind not in (Kind.GATHER, Kind.LATEST, Kind.IDLE) and not spec.within
        single = all(end.single for end in ends) and exact and kind in SINGLE
        prompt = kind in (Kind.LIMIT, Kind.SKIP)
        plan = plan._replace(passes_watermarks=prompt and rng.random() < 0.5, ascends=prompt and single and rng.random() < 0.5)
        self.nodes.append(plan._replace(inputs=inputs, outlets=((),) * total))
        return [End(number, k, exact, single, ends[0].source, kind is Kind.BATCH and not exact) for k in range(total)]

    def connect(self, end: End, consumer: int, port: int) -> int:
        number = len(self.edges)
        size, limit = self.flavour.bounds()
        self.edges.append(EdgePlan(number, end.node, end.outlet, consumer, port, size, limit))
        node = self.nodes[end.node]
        outlets = tuple((*edges, number) if k == end.outlet else edges for k, edges in enumerate(node.outlets))
        self.nodes[end.node] = node._replace(outlets=outlets)
        return number

    def close(self) -> dict[int, SinkHabit]:
        """Put sinks behind the open ends; an outlet beside another that is read may stay unread."""
        sinks: dict[int, SinkHabit] = {}
        ends = self.ends
        self.rng.shuffle(ends)
        for end in ends:
            if any(self.nodes[end.node].outlets) and self.rng.random() < 0.4:
                continue
            self.sink(end, sinks)
        return sinks

    def sink(self, end: End, sinks: dict[int, SinkHabit]) -> None:
        rng, number = self.rng, len(self.nodes)
        edge = self.connect(end, number, 0)
        self.nodes.append(NodePlan(number, f"sink {number}", Role.SINK, inputs=(edge,), discard=rng.random() < 0.05))
        before = [other for other in sinks if not self.nodes[other].discard]
        after = rng.choice(before) if before and rng.random() < 0.2 else -1
        leaves = rng.randint(0, 8) if rng.random() < self.flavour.leaves else -1
        pace, burst = rng.choice((0.0, 0.0, 1e-4, 0.01)), rng.choice((1, 2, 5, 1000))
        sinks[number] = SinkHabit(pace, burst, after, leaves, rng.choice((0.0, 0.02, 10.0)))


class Flavour:
    """What one scenario has more of than others: few troubles at a time, so that each is seen alone and with each other."""

    def __init__(self, rng: Random, kills: float) -> None:
        self.rng = rng
        self.joins = rng.choice((0.0, 0.1, 0.25))
        self.forks = rng.choice((0.0, 0.0, 0.2, 0.3))
        self.failing = rng.choice((0, 30, 150))
        self.policies = rng.choice((("raise",), ("raise",), ("skip", "collect", "branch", "call"), ("skip", "raise", "branch", "collect")))
        self.killing = rng.choice((0, 0, 30, 80)) if kills else 0
        self.hanging = rng.choice((0, 0, 50)) if kills else 0
        self.unordered = rng.choice((0.0, 0.0, 0.3))
        self.kinds = rng.choice((ITEMS, ITEMS, ALL, ALL, STREAMS))
        self.tight = rng.choice((0.0, 0.5, 1.0))
        self.tight_bytes = rng.choice((0.0, 0.0, 0.6))
        self.explosive = rng.random() < 0.1
        self.source_raises = rng.choice((0.0, 0.0, 0.5))
        self.leaves = rng.choice((0.0, 0.0, 0.0, 0.4))
        self.pace = rng.choice((None, None, *PACES))
        self.max_failures = rng.random() < 0.05
        self.wide = rng.choice((1, 3, 4))
        self.heavy = rng.choice((0, 0, 100))
        self.calm = rng.random() < 0.3  # cheap items, a lane for each stage: tickets of many

    def kind(self, exact: bool) -> Kind:
        kind = self.rng.choice(self.kinds)
        if not exact and not kind.itemwise and kind not in (Kind.LIMIT, Kind.BATCH):
            return Kind.MAP
        return kind

    def bounds(self) -> tuple[int | None, int]:
        rng = self.rng
        if self.calm:
            return None, NO_BOUND
        size = rng.randint(1, 6) if rng.random() < self.tight else None
        return size, rng.choice((10, 40, 150)) if rng.random() < self.tight_bytes else NO_BOUND

    def spec(self, number: int, kind: Kind, salt: int, outlets: int) -> Spec:
        rng = self.rng
        spec = Spec(number, kind, salt, size=self.size(kind), outlets=outlets)
        spec.keeps = rng.choice((0, 20, 500, 800, 1000)) if kind in (Kind.FILTER, Kind.SPLIT) else 1000
        spec.fanout = rng.choice((0, 1, 3, 3, 6))
        if self.explosive and kind is Kind.EXPLODE:
            self.explosive, spec.fanout = False, rng.choice((60, 200, 1000))
        spec.pace = rng.choice(PACES[:3]) if self.calm else self.pace if self.pace is not None else rng.choice(PACES)
        spec.heavy = self.heavy
        if kind is Kind.BATCH and rng.random() < 0.3:
            spec.within = rng.choice((0.001, 0.05))
        if kind is Kind.SCAN:
            spec.fails, spec.on_error = rng.choice((0, 150)), rng.choice(("raise", "skip", "collect"))
        if kind.itemwise:
            spec.fails, spec.kills, spec.hangs = (rng.choice((0, rate, rate)) for rate in (self.failing, self.killing, self.hanging))
            spec.on_error = rng.choice(self.policies)
            spec.hangs = 0 if self.calm else spec.hangs
        return spec

    def size(self, kind: Kind) -> int:
        rng = self.rng
        if kind is Kind.LIMIT:
            return rng.choice((0, 1, 2, 5, 12, 30))
        return rng.randint(0, 4) if kind is Kind.SKIP else rng.randint(1, 4)

    def node(self, number: int, kind: Kind, spec: Spec) -> NodePlan:
        rng, label = self.rng, f"{kind.value} {number}"
        if not kind.itemwise:
            own = not kind.hub  # user code: a worker, whose state dies with it
            plan = NodePlan(number, label, Role.STAGE, hub=kind.hub, stream=True, many=True, stateful=own)
            plan = plan._replace(excuses_setup=kind is Kind.IDLE and rng.random() < 0.7)
            plan = plan._replace(abreast=kind is Kind.ZIP, wants_watermarks=kind is Kind.REJOIN, tells_settled=kind in TELLING)
            if not spec.fails:
                return plan
            return plan._replace(retries=rng.choice((0, 2)), backoff=rng.choice((0.0, 0.05)), on_error=spec.on_error)
        plan = NodePlan(
            number,
            label,
            Role.STAGE,
            workers=rng.randint(1, self.wide),
            lanes=rng.choice((1, 1, 2, 3)),
            many=kind is Kind.EXPLODE,
            ordered=rng.random() >= self.unordered,
            stateful=rng.random() < 0.03,
            retries=rng.choice((0, 0, 1, 3)),
            backoff=rng.choice((0.0, 0.0, 0.05)),
            on_error=spec.on_error,
            max_failures=rng.choice((0, 1, 0.3)) if self.max_failures else None,
            timeout=0.5 if spec.hangs else rng.choice((None, None, None, 5.0)),
            cancels=rng.random() < 0.2,
            setup_timeout=rng.choice((None, 3.0)),
            redeliver=rng.random() >= 0.1,
            max_items=rng.choice((None, None, None, rng.randint(1, 8))),
        )
        return plan._replace(workers=1, lanes=1, timeout=None) if self.calm else plan


ITEMS = (Kind.MAP, Kind.MAP, Kind.FILTER, Kind.EXPLODE, Kind.SPLIT)
SINGLE = (Kind.MAP, Kind.FILTER, Kind.SPLIT, Kind.LIMIT, Kind.SKIP, Kind.THROTTLE, Kind.REJOIN)  # may stand in an arm of a rejoin
TELLING = (Kind.THROTTLE, Kind.LATEST, Kind.REJOIN)
STREAMS = (Kind.BATCH, Kind.LIMIT, Kind.SKIP, Kind.THROTTLE, Kind.REDUCE, Kind.SCAN, Kind.SCAN, Kind.SHUFFLE, Kind.MAP)
ALL = (*ITEMS, *ITEMS, *STREAMS, Kind.LIMIT, Kind.LATEST, Kind.IDLE)


def _habits(rng: Random, kills: float) -> Habits:
    bad = kills > 0 and rng.random() < 0.7
    return Habits(
        prefix=rng.choice((0.0, 0.3, 0.8)),
        give_back=rng.choice((0.0, 0.3, 0.8)),
        death=rng.choice((0.0, kills, kills / 4)) if bad else 0.0,
        idle_death=rng.choice((0.0, 0.0, kills)) if bad else 0.0,
        start_death=rng.choice((0.0, 0.0, kills)) if bad else 0.0,
        start_kill=rng.choice((0.0, 0.0, kills)) if bad else 0.0,
        knows_hand=rng.choice((0.0, 0.7, 1.0)),
        setup_fails=0.2 if bad and rng.random() < 0.04 else 0.0,
        setup_hangs=0.2 if bad and rng.random() < 0.04 else 0.0,
        wears=0.5 if rng.random() < 0.1 else 0.0,
        close_fails=0.3 if rng.random() < 0.03 else 0.0,
        latency=rng.choice((0.0, 0.0, 0.3)),
        pauses=rng.choice((0, 0, 0, 2)),
        scales=rng.choice((0, 0, 0, 3)),
        drain_at=rng.randint(0, 60) if rng.random() < 0.05 else -1,
        stop_at=rng.randint(0, 80) if rng.random() < 0.08 else -1,
        dear=rng.choice((0.0, 0.05)),
    )


def _watermarked(builder: Builder) -> list[EdgePlan]:
    """Mark the edges from which a rejoin can be reached."""
    wanting = {node.number for node in builder.nodes if node.wants_watermarks}
    for node in reversed(builder.nodes):
        if any(builder.edges[edge].consumer in wanting for outlet in node.outlets for edge in outlet):
            wanting.add(node.number)
    return [edge._replace(watermarked=edge.consumer in wanting) for edge in builder.edges]


def generate(seed: int, kills: float = 0.0, scale: int = 1) -> Scenario:
    """Make the scenario of a seed; ``kills`` is the chance of a death per piece of work, where deaths happen at all."""
    rng = Random(seed)
    builder = Builder(rng, kills, scale)
    for _ in range(1 if rng.random() < 0.85 else 2):
        builder.add_source()
    for _ in range(rng.choice((0, 1, 2, 2, 3, 3, 4, 5))):
        builder.grow()
    sinks = builder.close()
    edges = _watermarked(builder)
    limit = rng.choice((0, 2, 0.5)) if rng.random() < 0.02 else None
    plan = Plan(tuple(builder.nodes), tuple(edges), limit, frame_items=rng.choice((3, 16, 4096)), seed=rng.randrange(1 << 16))
    plan = plan._replace(stall_timeout=rng.choice((None, 0.2, 60.0)), queue_bytes=SPILL_BYTES)
    return Scenario(seed, plan, builder.specs, builder.sources, sinks, _habits(rng, kills))
