"""The world around the scheduler: a virtual clock, the sources, the sinks, and the loop that carries out its commands.

    heap of (time, what) ──► happens ──► event ──► scheduler.handle ──► commands ──► carried out ──► more on the heap
                                  ▲__________ inbox: what the hub did, at once __________|

Every choice comes from one seeded generator, so a seed is a run. Nothing pending, no deadline, and not finished: that is a hang.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from olympipe_ng.scheduler.messages import (
    Cancel,
    CloseSource,
    Deliver,
    Dispatch,
    Drain,
    Due,
    Finish,
    Grant,
    KillWorker,
    Pause,
    Pull,
    Record,
    Release,
    Resume,
    Scale,
    SinkEnd,
    SourceFrame,
    Spill,
    StartWorker,
    Stop,
    StopWorker,
    Took,
    Warn,
)
from olympipe_ng.scheduler.scheduler import Scheduler

from .checks import Violation, Watch
from .crew import Crew
from .ends import Sink, Source
from .oracle import Facts
from .show import show_state
from .spec import Scenario

__all__ = ["World"]

MAX_STEPS = 60_000  # events of one run; a run that needs more is going round in circles
SAME_INSTANT = 10_000  # events at one instant


class World:
    """One simulated run."""

    def __init__(self, scenario: Scenario, *, trace: bool = False) -> None:
        self.scenario = scenario
        self.plan = scenario.plan
        self.rng = Random(scenario.seed + 1)
        self.scheduler = Scheduler(scenario.plan)
        self.facts = Facts()
        self.watch = Watch(scenario.plan, self.scheduler.state, heavy=any(spec.heavy for spec in scenario.specs.values()))
        self.now = 0.0
        self.steps = self.same = self.counter = 0
        self.heap: list[tuple[float, int, Any, tuple[Any, ...]]] = []
        self.inbox: deque[Any] = deque()
        self.crew = Crew(self)
        self.sources = {node.number: Source(self, node.number) for node in scenario.plan.sources}
        self.sinks: dict[int, Sink] = {}
        for node in scenario.plan.sinks:
            self.sinks[node.number] = Sink(self, node.number)
        self.records: list[Any] = []
        self.finish: Finish | None = None
        self.paused = self.stopped = self.drained = False
        self.log: list[str] | None = [] if trace else None
        self.plans = self.plan_interventions()

    # ---------------------------------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Run until the scheduler has finished."""
        self.carry_out(self.scheduler.start(0.0))
        for sink in self.sinks.values():
            sink.wake()
            if sink.habit.leaves == 0:
                self.stop()
        while self.finish is None:
            self.step()
        if not self.scheduler.finished:
            raise Violation("Finish was said, and finished is not set")
        self.watch.check_end()
        for source in self.sources.values():
            if not source.ended and not source.closing:
                raise Violation(f"source {source.number} was left open")

    def step(self) -> None:
        """Let one thing happen."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Violation(f"livelock: {MAX_STEPS} events, and no end")
        for intervene in self.plans.pop(self.steps, ()):
            intervene()
        if self.inbox:
            self.handle(*self.arrived())
            return
        deadline = self.scheduler.deadline
        if self.heap and (deadline is None or self.heap[0][0] <= deadline):
            when, _, what, args = heapq.heappop(self.heap)
            self.pass_time(when)
            what(*args)
        elif deadline is not None:
            self.pass_time(deadline)
            self.handle(Due(self.crew.in_hand() if self.scheduler.stalls(self.now) else None))
        else:
            self.hang()

    def pass_time(self, when: float) -> None:
        self.same = self.same + 1 if when <= self.now else 0
        if self.same > SAME_INSTANT:
            raise Violation(f"livelock: {SAME_INSTANT} events at {self.now}\n{show_state(self)}")
        self.now = max(self.now, when)

    def hang(self) -> None:
        if self.paused:
            self.resume()
        elif any(plans for plans in self.plans.values()):
            self.steps = min(self.plans) - 1
        else:
            raise Violation(f"hang: nothing is on its way, and the run is not over\n{show_state(self)}")

    def arrived(self) -> list[Any]:
        """Take the next message, or several that an engine may have found together."""
        together = self.rng.randint(1, 4)
        return [self.inbox.popleft() for _ in range(min(together, len(self.inbox)))]

    def handle(self, *events: Any) -> None:
        if self.finish is not None:
            return
        for event in events:
            self.hear(event)
        commands = list(self.scheduler.handle_all(events, self.now))
        self.check_growth()
        self.carry_out(commands)
        self.watch.check_through()

    def hear(self, event: Any) -> None:
        """Take note of what the scheduler is about to be told."""
        if self.log is not None:
            self.log.append(f"{self.now:9.4f} {self.steps:5d}  --> {event}")
        if type(event) is SourceFrame:
            self.watch.report(event.parcel)
        elif type(event) is Took:
            self.sinks[event.sink].heard(event.count)
        self.crew.heard(event)

    def check_growth(self) -> None:
        """Check that an edge grew only because nothing at its two ends could move."""
        for edge in self.watch.grown():
            for node in (edge.producer, edge.consumer):
                if self.crew.at_work(node) or (node in self.sources and self.sources[node].at_work):
                    raise Violation(f"edge {edge.number} grew while node {node} was at work\n{show_state(self)}")

    def carry_out(self, commands: list[Any]) -> None:
        for command in commands:
            if self.log is not None:
                self.log.append(f"{'':15}      {command}")
            if self.finish is not None:
                raise Violation(f"a command after Finish: {command}")
            _COMMANDS[type(command)](self, command)

    def at(self, when: float, what: Any, *args: Any) -> None:
        self.counter += 1
        heapq.heappush(self.heap, (when, self.counter, what, args))

    def after(self, seconds: float, what: Any, *args: Any) -> None:
        self.counter += 1
        heapq.heappush(self.heap, (self.now + seconds, self.counter, what, args))

    def tell(self, event: Any) -> None:
        self.inbox.append(event)

    # ---------------------------------------------------------------------------------------------------- interventions

    def plan_interventions(self) -> dict[int, list[Callable[[], None]]]:
        """Decide before which steps somebody pauses, scales, drains or stops the run."""
        habits, rng = self.scenario.habits, self.rng
        plans: dict[int, list[Callable[[], None]]] = {}
        for step, what in ((habits.stop_at, self.stop), (habits.drain_at, self.drain)):
            if step >= 0:
                plans.setdefault(step + 1, []).append(what)
        for _ in range(habits.pauses):
            plans.setdefault(rng.randint(1, 60), []).append(self.pause)
        for _ in range(habits.scales):
            plans.setdefault(rng.randint(1, 60), []).append(self.scale)
        return plans

    def stop(self) -> None:
        self.stopped = True
        self.tell(Stop())

    def drain(self) -> None:
        self.drained, self.paused = True, False
        self.tell(Drain())

    def pause(self) -> None:
        if not self.drained:
            self.paused = True
            self.tell(Pause())
            self.after(self.rng.random() * 0.2, self.resume)

    def resume(self) -> None:
        self.paused = False
        self.tell(Resume())

    def scale(self) -> None:
        stages = [node.number for node in self.plan.nodes if node.number in self.scenario.specs]
        if stages:
            self.tell(Scale(self.rng.choice(stages), self.rng.randint(1, 4)))

    # --------------------------------------------------------------------------------------------------------- commands

    def pull(self, command: Pull) -> None:
        self.sources[command.source].pull(command)

    def close_source(self, command: CloseSource) -> None:
        source = self.sources[command.source]
        if source.closing or (command.drain and source.draining):
            raise Violation(f"source {command.source} is closed twice")
        source.draining |= command.drain
        source.closing |= not command.drain
        self.after(self.rng.random() * 0.01, source.drain if command.drain else source.close)

    def deliver(self, command: Deliver) -> None:
        self.sinks[command.sink].deliver(command)

    def sink_end(self, command: SinkEnd) -> None:
        self.sinks[command.sink].end(command)

    def wake_sinks(self) -> None:
        for sink in self.sinks.values():
            sink.wake()

    def release(self, command: Release) -> None:
        self.watch.release(command.frame.payload, over=self.scheduler.finished or self.scheduler.state.stopping)

    def spill(self, command: Spill) -> None:
        self.watch.spill(command.frame.payload)

    def record(self, command: Record) -> None:
        self.records.append(command.note)

    def warn(self, command: Warn) -> None:
        """Nobody reads it."""

    def finished(self, command: Finish) -> None:
        self.finish = command
        if self.crew.members:
            raise Violation(f"the run is finished, and workers {sorted(self.crew.members)} are there")
        if command.complaint:
            raise Violation(f"the ledger does not balance: {command.complaint}")


_COMMANDS: dict[type, Any] = {
    Dispatch: lambda world, command: world.crew.dispatch(command),
    StartWorker: lambda world, command: world.crew.start(command),
    **dict.fromkeys((Grant, Cancel, StopWorker, KillWorker), lambda world, command: world.crew.order(command)),
    Pull: World.pull,
    CloseSource: World.close_source,
    Deliver: World.deliver,
    SinkEnd: World.sink_end,
    Release: World.release,
    Spill: World.spill,
    Record: World.record,
    Warn: World.warn,
    Finish: World.finished,
}
