"""What a workload is, and what is claimed of it. Plain descriptions: nothing here measures or prints.

    Workload ── source(n) ──► Peer.run(job, source) ──► results ── keep ──► compared with the plain loop's
                                                        seconds ── measure ──► one figure

A *contestant* is a peer with options: ``queue_chain+chunk=512``, ``olympipe_ng+zero_copy``. Its figure is compared with another's of the
same run, never with one of another day.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["IDEAL", "LATENCY", "MICROSECONDS", "MILLISECONDS", "PEAK", "RATE", "Claim", "Job", "Measure", "Stage", "Workload", "parse"]

IDEAL = "ideal"  # the baseline of a claim that is made against arithmetic, not against a contestant
OURS = "olympipe_ng"


class Stage(NamedTuple):
    """One step of a workload."""

    function: Callable[[Any], Any]
    workers: int = 1


class Measure(NamedTuple):
    """How a run becomes one figure."""

    unit: str
    less_is_better: bool
    of: Callable[[Sequence[Any], float, int], float]  # (kept results, seconds, items)
    sampled: bool = False  # the figure is the peak of memory, which only the driver sees


def _median_of_delays(kept: Sequence[Any], seconds: float, items: int) -> float:
    return float(statistics.median(delay for _, delay in kept)) * 1e3


RATE = Measure("items/s", False, lambda kept, seconds, items: items / seconds)
MICROSECONDS = Measure("us/item", True, lambda kept, seconds, items: seconds / items * 1e6)
MILLISECONDS = Measure("ms", True, lambda kept, seconds, items: seconds * 1e3)
LATENCY = Measure("ms, median", True, _median_of_delays)
PEAK = Measure("MiB", True, lambda kept, seconds, items: 0.0, sampled=True)


@dataclass(frozen=True)
class Claim:
    """A ratio that is to be reached: ours against another contestant's figure, against ``IDEAL``, or (no ``against``) the figure itself.

    ``against`` with several names means the best of them. ``least`` and ``goal`` are upper bounds where less is better.
    """

    text: str
    against: tuple[str, ...] = ()
    least: float = 0.0
    goal: float = 0.0
    ours: str = OURS
    scale: float = 1.0  # of the ratio: a chain of twice the stages may cost twice as much


def _same(item: Any) -> Any:
    return item


@dataclass(frozen=True)
class Workload:
    """One job, as every peer does it."""

    name: str
    title: str
    stages: tuple[Stage, ...]
    source: Callable[[int], Iterable[Any]]
    items: int
    contestants: tuple[str, ...]
    claims: tuple[Claim, ...] = ()
    few: int = 10  # items with --quick
    measure: Measure = RATE
    keep: Callable[[Any], Any] = _same  # what is kept of a result: nobody wants a thousand arrays
    check: Callable[[Any], Any] = _same  # what of it is compared
    finish: Callable[[list[Any]], list[Any]] = _same  # timed too
    expected: Callable[[int], list[Any]] | None = None  # else the plain loop tells
    ideal: Callable[[int], float] | None = None  # seconds that arithmetic allows
    share: Mapping[str, float] = field(default_factory=dict)  # of the items, for contestants that would take minutes
    options: Mapping[str, Any] = field(default_factory=dict)  # of our stages
    streamed: bool = False  # results are iterated as they come
    item_bytes: int = 0  # large ones: few of them may wait in a queue
    warm_runs: int = 0  # before the one that is timed, in the same process
    rest: float = 0.0  # seconds between those and it, as between two cells of a notebook
    modules: tuple[str, ...] = ()  # without which it is skipped; imported before the clock starts
    prepare: Callable[[int], None] | None = None  # makes files, once, before all runs
    timeout: float = 180.0

    def count(self, contestant: str, *, quick: bool) -> int:
        """Tell how many items a contestant is given."""
        return max(1, round((self.few if quick else self.items) * self.share.get(contestant, 1.0)))


class Job(NamedTuple):
    """A workload as one contestant is to do it."""

    workload: Workload
    options: Mapping[str, str]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return the steps; ``stages=20`` asks for twenty times the first."""
        many = self.options.get("stages")
        return self.workload.stages[:1] * int(many) if many else self.workload.stages

    def through(self, item: Any) -> Any:
        """Do all steps at once, for those who know only one function."""
        for function, _ in self.stages:
            item = function(item)
        return item

    @property
    def pool_size(self) -> int:
        """Tell how many workers a pool gets: what the widest stage has, at least two."""
        return max(2, *(stage.workers for stage in self.stages))


def parse(contestant: str) -> tuple[str, dict[str, str]]:
    """Split ``queue_chain+chunk=512,fork`` into a peer and its options."""
    peer, _, options = contestant.partition("+")
    pairs = (option.partition("=") for option in options.split(",") if option)
    return peer, {name: value for name, _, value in pairs}
