"""What must come out of every sink: the same graph computed plainly, list after list, with no frames, workers or time.

    Flow     what a stream carries: its items, and what it may end with
      arms      one list where there is one order; several after a merge, each in its own order
      ordered   False behind ``ordered=False``: the items, in whatever order
      partial   True where only some of them come, which ones being a matter of time (``latest``, a limit behind a merge)

An error has its item's place: an arm stops there, and ends with it. Where two ends race (an arm that fails against one that ends), ``ends``
holds both. What only the run can know (which item was the culprit of two deaths, how much an explode gave before it failed) is asked
of ``Facts``; that those were rightly so is checked where they happen.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from olympipe_ng.plan import NodePlan, Role

from .spec import ALWAYS, Item, Kind, Scenario, Spec

__all__ = ["Arm", "Facts", "Flow", "check_sink", "expected"]

CLEAN: frozenset[Any] = frozenset({None})


class Facts:
    """What happened in the run that the oracle cannot foresee."""

    def __init__(self) -> None:
        self.verdicts: dict[tuple[int, Item], Any] = {}  # items that failed otherwise than by raising
        self.emitted: dict[tuple[int, Item], int] = {}  # outputs of an item that were told before it was through
        self.broken: set[tuple[int, Item]] = set()  # items that failed after that
        self.totals: dict[int, int] = {}  # what the sources drew
        self.raised: set[int] = set()  # sources that came to raise
        self.fatal: list[Any] = []  # notes of what fails a run, whatever its items do


class Arm(NamedTuple):
    """One ordered stream, and what it may end with (``None``: well)."""

    items: list[Item]
    ends: frozenset[Any] = CLEAN
    at: Any = None  # the index of the item that ended it

    @property
    def open(self) -> bool:
        """Say whether it may end well or not: so what a stage gives at a good end may come or not."""
        return None in self.ends and len(self.ends) > 1


class Flow(NamedTuple):
    """What a stream carries; see the head of this module."""

    arms: list[Arm]
    ordered: bool = True
    partial: bool = False
    batched: bool = False

    @property
    def exact(self) -> bool:
        return len(self.arms) == 1 and self.ordered and not self.partial

    @property
    def ends(self) -> frozenset[Any]:
        return frozenset().union(*(arm.ends for arm in self.arms))


def expected(scenario: Scenario, facts: Facts) -> tuple[dict[int, Flow], list[Any]]:
    """Compute what each sink gets, and every failure that is recorded on the way."""
    flows: dict[int, Flow] = {}  # by edge
    sinks: dict[int, Flow] = {}
    records: list[Any] = []
    for node in scenario.plan.nodes:
        inputs = [flows[edge] for edge in node.inputs]
        if node.role is Role.SINK:
            sinks[node.number] = inputs[0]
            continue
        if node.role is Role.SOURCE:
            outlets = _source(scenario, node, facts)
        else:
            outlets = _stage(node, scenario.specs[node.number], inputs, facts, records)
        for flow, edges in zip(outlets, node.outlets, strict=True):
            flows.update(dict.fromkeys(edges, flow))
    return sinks, records


def _source(scenario: Scenario, node: NodePlan, facts: Facts) -> list[Flow]:
    habit = scenario.sources[node.number]
    total = facts.totals.get(node.number, habit.total)
    ends = frozenset({("source", node.number, (node.number, total))}) if node.number in facts.raised else CLEAN
    return [Flow([Arm([(node.number, k) for k in range(total)], ends, total)])]


def _stage(node: NodePlan, spec: Spec, inputs: list[Flow], facts: Facts, records: list[Any]) -> list[Flow]:
    if spec.kind is Kind.SCAN:
        return [_scan(node, spec, inputs[0].arms[0], facts, records)]
    if not spec.kind.itemwise:
        return [_STREAMS[spec.kind](spec, inputs)]
    flow = inputs[0]
    arms: list[list[Arm]] = [[] for _ in node.outlets]
    placed = flow.ordered and not flow.partial and node.ordered  # else an error has no place to cut the stream at
    for arm in flow.arms:
        for outlet, made in enumerate(_items(node, spec, arm, facts, records, placed=placed)):
            arms[outlet].append(made)
    return [Flow(made, flow.ordered and node.ordered, flow.partial) for made in arms]


# -------------------------------------------------------------------------------------------------------- stages of items


def _items(node: NodePlan, spec: Spec, arm: Arm, facts: Facts, records: list[Any], *, placed: bool) -> list[Arm]:
    outputs: list[list[Item]] = [[] for _ in node.outlets]
    ends = set(arm.ends)
    for item in arm.items:
        note = _failure(node, spec, item, facts)
        if note is None:
            for outlet, output in spec.apply(item):
                outputs[outlet].append(output)
            continue
        emitted = facts.emitted.get((node.number, item), 0)
        outputs[0].extend(output for _, output in spec.apply(item)[:emitted])
        if node.on_error == "raise":
            if placed:
                return [Arm(items, frozenset({note}), _index(item)) for items in outputs]
            ends.add(note)
            continue
        if node.on_error == "collect":
            records.append(note)
        for outlet, output in instead(spec, item):
            outputs[outlet].append(output)
    return [Arm(items, frozenset(ends), arm.at) for items in outputs]


def _failure(node: NodePlan, spec: Spec, item: Item, facts: Facts) -> Any:
    verdict = facts.verdicts.get((node.number, item))
    if verdict is not None:
        return verdict
    attempts = failing(node, spec, item)
    if attempts > node.retries or (node.number, item) in facts.broken:  # what had given outputs is not tried again
        return ("raised", node.number, item)
    return None


def failing(node: NodePlan, spec: Spec, item: Item) -> int:
    """Return how many attempts fail in the worker: by raising, or because it ends by itself what takes too long."""
    return ALWAYS if node.cancels and spec.hanging(item) else spec.failing(item)


def instead(spec: Spec, item: Item) -> list[tuple[int, Item]]:
    """Return what stands for an item that failed, under ``on_error``."""
    if spec.on_error == "call":
        return [(k, (*spec.replacement(item), k)) for k in range(spec.outlets)]
    if spec.on_error == "branch":
        return [(spec.outlets, spec.replacement(item))]
    return []


# -------------------------------------------------------------------------------------------------------- stages of streams


def _batch(spec: Spec, inputs: list[Flow]) -> Flow:
    flow = inputs[0]
    if not flow.exact or spec.within:
        return flow._replace(batched=True, partial=flow.partial or None not in flow.ends or len(flow.ends) > 1)
    arm = flow.arms[0]
    items, size = arm.items, spec.size
    batches = [tuple(items[k : k + size]) for k in range(0, len(items), size)]
    if batches and len(batches[-1]) < size and None not in arm.ends:
        batches.pop()
    return Flow([Arm(batches, arm.ends)], partial=arm.open)  # type: ignore[arg-type]


def _limit(spec: Spec, inputs: list[Flow]) -> Flow:
    flow = inputs[0]
    if not flow.exact:
        return flow._replace(arms=[Arm(arm.items, arm.ends | CLEAN) for arm in flow.arms], partial=True)
    arm = flow.arms[0]
    return Flow([Arm(arm.items[: spec.size], CLEAN if len(arm.items) >= spec.size else arm.ends, arm.at)])


def _skip(spec: Spec, inputs: list[Flow]) -> Flow:
    arm = inputs[0].arms[0]
    return Flow([Arm(arm.items[spec.size :], arm.ends, arm.at)])


def _gather(spec: Spec, inputs: list[Flow]) -> Flow:
    arms = [Arm([(*item, spec.node, port) for item in arm.items], arm.ends) for port, flow in enumerate(inputs) for arm in flow.arms]
    return Flow(arms, all(flow.ordered for flow in inputs), any(flow.partial for flow in inputs))


def _zip(spec: Spec, inputs: list[Flow]) -> Flow:
    arms = [flow.arms[0] for flow in inputs]
    count = min(len(arm.items) for arm in arms)
    pairs: list[Any] = [tuple(arm.items[k] for arm in arms) for k in range(count)]
    return Flow([Arm(pairs, frozenset().union(*(arm.ends for arm in arms if len(arm.items) == count)))])


def _rejoin(spec: Spec, inputs: list[Flow]) -> Flow:
    """Join by origin, below the first index at which an arm fails."""
    arms = [flow.arms[0] for flow in inputs]
    failures = [(arm.at, end) for arm in arms for end in arm.ends if end is not None]
    cut = min((index for index, _ in failures), default=None)
    by_index = [{_index(item): item for item in arm.items} for arm in arms]
    joined: list[Any] = []
    for index, item in by_index[0].items():
        if (cut is None or index < cut) and all(index in arm for arm in by_index[1:]):
            joined.append((item, *(arm[index] for arm in by_index[1:])))
    ends = {end for index, end in failures if index == cut}
    return Flow([Arm(joined, frozenset(ends) or CLEAN, cut)])


def _index(item: Any) -> int | None:
    """Return the place of an item in its source; that of a row is its items'."""
    while item and isinstance(item[0], tuple):
        item = item[0]
    return item[1] if len(item) > 1 else None


def _latest(spec: Spec, inputs: list[Flow]) -> Flow:
    return inputs[0]._replace(partial=True)


def _idle(spec: Spec, inputs: list[Flow]) -> Flow:
    flow = inputs[0]
    return flow._replace(arms=[arm._replace(ends=arm.ends | CLEAN) for arm in flow.arms], partial=True)


def _same(spec: Spec, inputs: list[Flow]) -> Flow:
    return inputs[0]


def _reduce(spec: Spec, inputs: list[Flow]) -> Flow:
    arm = inputs[0].arms[0]
    total = sum(map(hash, arm.items)) & 0xFFFF
    return Flow([Arm([(spec.node, len(arm.items), total)] if None in arm.ends else [], arm.ends)], partial=arm.open)


def _scan(node: NodePlan, spec: Spec, arm: Arm, facts: Facts, records: list[Any]) -> Flow:
    items: list[Item] = []
    for item in arm.items:
        note = _failure(node, spec, item, facts)
        if note is None:
            items.append((*item, node.number, len(items)))
        elif node.on_error == "raise":
            return Flow([Arm(items, frozenset({note}))])
        elif node.on_error == "collect":
            records.append(note)
    return Flow([Arm(items, arm.ends)])


def _shuffle(spec: Spec, inputs: list[Flow]) -> Flow:
    """Shuffle with a small buffer, from the stage's own seed."""
    arm = inputs[0].arms[0]
    rng, buffer, items = Random(spec.salt), list[Item](), list[Item]()
    for item in arm.items:
        buffer.append(item)
        if len(buffer) > spec.size:
            items.append(buffer.pop(rng.randrange(len(buffer))))
    return Flow([Arm(items + (buffer[::-1] if None in arm.ends else []), arm.ends)], partial=arm.open)


_STREAMS = {
    Kind.BATCH: _batch,
    Kind.LIMIT: _limit,
    Kind.SKIP: _skip,
    Kind.GATHER: _gather,
    Kind.ZIP: _zip,
    Kind.REJOIN: _rejoin,
    Kind.LATEST: _latest,
    Kind.THROTTLE: _same,
    Kind.IDLE: _idle,
    Kind.REDUCE: _reduce,
    Kind.SHUFFLE: _shuffle,
}

# ---------------------------------------------------------------------------------------------------------------- comparing


def check_sink(flow: Flow, got: list[Any], *, complete: bool) -> str:
    """Compare what a sink got with what it should; ``""`` if all is well. Not ``complete``: the run ended early, elders only."""
    if flow.batched:
        got = [item for batch in got for item in batch]
    if flow.exact:
        return _check_exact(flow.arms[0].items, got, complete)
    places = {item: (a, k) for a, arm in enumerate(flow.arms) for k, item in enumerate(arm.items)}
    if len(set(got)) < len(got):
        return f"an item came twice: {_twice(got)}"
    strange = [item for item in got if item not in places]
    if strange:
        return f"items that should not be there: {strange[:3]}"
    problem = _check_arms(flow, [places[item] for item in got]) if flow.ordered else ""
    if not problem and complete and not flow.partial and len(got) < len(places):
        missing = sorted(set(places) - set(got))
        return f"{len(missing)} items are lost, the first {missing[:3]}"
    return problem


def _check_exact(want: list[Item], got: list[Item], complete: bool) -> str:
    wanted = want if complete else want[: len(got)]
    if got == wanted:
        return ""
    place = next((k for k, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), min(len(got), len(wanted)))
    return f"{len(got)} of {len(want)} items; number {place} should be {want[place : place + 3]}, is {got[place : place + 3]}"


def _check_arms(flow: Flow, places: list[tuple[int, int]]) -> str:
    """Check that each arm's items come in the arm's order, none left out (unless that is its nature)."""
    after = [0] * len(flow.arms)
    for arm, k in places:
        if k < after[arm] or (k > after[arm] and not flow.partial):
            return f"arm {arm}: item {k} {flow.arms[arm].items[k]} came where number {after[arm]} was due"
        after[arm] = k + 1
    return ""


def _twice(got: list[Any]) -> Any:
    seen = set()
    for item in got:
        if item in seen:
            return item
        seen.add(item)
    return None
