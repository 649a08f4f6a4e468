"""One run, judged: what came out of every sink against the oracle, how the run ended against how it may end.

    run_seed(17) ──► None, or a Failing: what was wrong, the graph, and the line that repeats it
"""

from __future__ import annotations

import traceback
from collections import Counter
from typing import Any, NamedTuple

from olympipe_ng.failures import Kind as NoteKind
from olympipe_ng.failures import Note

from .checks import Violation
from .generate import generate
from .oracle import Flow, check_sink, expected
from .show import show_scenario
from .spec import Kind, Scenario
from .world import World

__all__ = ["Failing", "run_seed"]

INEXACT = (Kind.LIMIT, Kind.ZIP, Kind.REJOIN, Kind.LATEST, Kind.IDLE)  # behind them, not every failure comes to be committed


class Failing(NamedTuple):
    """A run in which a promise was broken."""

    seed: int
    kills: float
    scale: int
    problem: str
    graph: str

    def __str__(self) -> str:
        scale = f" --scale {self.scale}" if self.scale != 1 else ""
        line = f"python -m tests.simulate --seed {self.seed} --runs 1 --kills {self.kills:g}{scale} --trace"
        return f"seed {self.seed}: {self.problem}\n{self.graph}\nrepeat it: {line}"


def run_seed(seed: int, kills: float = 0.0, scale: int = 1, *, trace: bool = False) -> Failing | None:
    """Run the scenario of a seed; return what was wrong, ``None`` if all went well."""
    scenario = generate(seed, kills, scale)
    world = World(scenario, trace=trace)
    problem = ""
    try:
        world.run()
        judge(scenario, world)
    except Violation as violation:
        problem = str(violation)
    except Exception:  # the scheduler's (or the model's) own failure is a finding like any other
        problem = traceback.format_exc()
    if trace and world.log is not None:
        print("\n".join(world.log))
    return Failing(seed, kills, scale, problem, show_scenario(scenario)) if problem else None


def judge(scenario: Scenario, world: World) -> None:
    """Compare the outcome with the oracle's."""
    assert world.finish is not None
    flows, records = expected(scenario, world.facts)
    note = world.finish.note
    well = note is None and not world.stopped
    for number, sink in world.sinks.items():
        if not sink.ended:
            raise Violation(f"sink {number} was never ended")
        if not sink.discard:
            problem = check_sink(flows[number], sink.got, complete=well or sink.complete)
            if problem:
                raise Violation(f"sink {number}: {problem}")
    if note is not None:
        _judge_note(scenario, world, flows, note)
    elif not world.stopped:
        _judge_success(world, flows)
        _judge_records(scenario, world, records)


def _judge_note(scenario: Scenario, world: World, flows: dict[int, Flow], note: Any) -> None:
    """Check that the run failed for a reason, and that what was before it came out."""
    if note in world.facts.fatal or (isinstance(note, Note) and note.kind == NoteKind.TOO_MANY and _has_budget(scenario)):
        return
    if not any(note in flow.ends for flow in flows.values()):
        raise Violation(f"the run failed with {note}; expected were {[sorted(map(str, flow.ends)) for flow in flows.values()]}")
    if not world.stopped:
        _judge_elders(world, flows, note)


def _judge_elders(world: World, flows: dict[int, Flow], note: Any) -> None:
    """Check that the sink at which the error came out (one of those it can come to) got all that was before it."""
    reached = [(number, flow) for number, flow in flows.items() if note in flow.ends]
    if any(not flow.exact or world.sinks[number].discard for number, flow in reached):
        return
    problems = [f"sink {number}: {check_sink(flow, world.sinks[number].got, complete=True)}" for number, flow in reached]
    if all(not problem.endswith(": ") for problem in problems):
        raise Violation(f"before the error {note}: {'; '.join(problems)}")


def _has_budget(scenario: Scenario) -> bool:
    return scenario.plan.max_failures is not None or any(node.max_failures is not None for node in scenario.plan.nodes)


def _judge_success(world: World, flows: dict[int, Flow]) -> None:
    for number, flow in flows.items():
        if None not in flow.ends:
            raise Violation(f"the run ended well; sink {number} should have ended with one of {sorted(map(str, flow.ends))}")


def _judge_records(scenario: Scenario, world: World, records: list[Any]) -> None:
    if Counter(world.records) - Counter(records):
        raise Violation(f"failures were recorded: {world.records}, expected: {records}")
    if not any(spec.kind in INEXACT for spec in scenario.specs.values()) and len(world.records) < len(records):
        raise Violation(f"{len(world.records)} failures were recorded, {len(records)} expected")
