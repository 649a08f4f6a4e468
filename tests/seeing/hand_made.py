"""Runs that never ran: a real graph and its plan, with the numbers that a test says the scheduler has counted."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from olympipe_ng import Pipeline
from olympipe_ng.caller import Caller
from olympipe_ng.failures import Kind, Note
from olympipe_ng.options import RunConfig
from olympipe_ng.plan import make_plan
from olympipe_ng.scheduler.messages import Counts
from olympipe_ng.scheduler.statistics import NodeStatistics
from olympipe_ng.sinks import Sink
from olympipe_ng.statistics import Statistics, make_statistics
from tests.fakes import FakeClock


def load(path: Any) -> Any:
    return path


def resize(image: Any) -> Any:
    return image


def record(number: int, came: int = 0, left: int = 0, **more: Any) -> NodeStatistics:
    """Say what the scheduler counted of a node; all that came is passed on, unless said otherwise."""
    rest: dict[str, Any] = {"busy": 0.0, "moving": 0.0, "slowest": 0.0, "waiting": 0, "waiting_bytes": 0, "in_hand": 0, "blocked": False}
    rest |= {"status": "running", "counts": Counts(passed=came), "workers": ()}
    return NodeStatistics(number=number, came=came, left=left, **{**rest, **more})


def failure(stage: str = "1 'load'", summary: str = "OSError: image file is truncated", **more: Any) -> Note:
    return Note(more.pop("kind", Kind.RAISED), stage, "app.py:41", summary=summary, **more)


class StillEngine:
    """An engine that knows what it is told, and counts how often it is turned and asked."""

    def __init__(self, records: Sequence[NodeStatistics], *, threaded: bool) -> None:
        self.records = records
        self.threaded = threaded
        self.turns = 0
        self.ask: Callable[[], object] = lambda: None

    def wait(self) -> None:
        self.turns += 1

    def statistics(self) -> Sequence[NodeStatistics]:
        self.ask()
        return self.records


class StillRun:
    """What ``run`` holds of a run, without the run; it began ``elapsed`` seconds ago."""

    def __init__(
        self, pipelines: Sequence[Pipeline[Any]], *records: NodeStatistics, elapsed: float = 10.0, threaded: bool = True, **options: Any
    ) -> None:
        self.clock = FakeClock()
        self.config = RunConfig(**options)
        self.plan, self.nodes = make_plan([pipeline.outlet for pipeline in pipelines], self.config)
        self.sinks = [Sink(node.number) for node in self.plan.sinks]
        self.final: Sequence[NodeStatistics] = records
        self.engine: Any = StillEngine(list(records), threaded=threaded)
        self.began = self.clock() - elapsed
        self.ended: float | None = None
        self.errors: list[str] = []
        self.failures: list[Note] = []
        self.warnings: list[str] = []
        self.unaccounted = 0
        self.note: Note | None = None
        self.finished = self.stopping = False
        self.progress: Any = None

    step = Caller.step

    def record(self, note: Note) -> None:
        self.failures.append(note)
        self.errors.append(note.text())

    def finish(self) -> StillRun:
        self.finished, self.ended = True, self.clock()
        return self

    def statistics(self, **more: Any) -> Statistics:
        return make_statistics(self, self.engine.records, now=self.clock(), **more)


def at(done: int) -> list[NodeStatistics]:
    """Say that so many items of a chain of one stage are done."""
    return [record(0, done, done), record(1, done, done), record(2, done, done)]


def still_run(done: int = 0, *, elapsed: float = 0.0, source: Any = range(5000), **options: Any) -> StillRun:
    """Begin a run of 5 000 items, of which so many are done."""
    return StillRun([Pipeline(source).task(load)], *at(done), elapsed=elapsed, **options)


class Terminal(io.StringIO):
    """A terminal that remembers all that was written to it."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        """Return the lines as one sees them: a carriage return begins the line anew, over what is there."""
        return [_overwritten(line) for line in self.getvalue().split("\n")]


def _overwritten(line: str) -> str:
    seen = ""
    for piece in line.split("\r"):
        seen = piece + seen[len(piece) :]
    return seen.rstrip()
