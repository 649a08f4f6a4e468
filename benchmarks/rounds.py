"""All contestants of a workload, one after the other, round after round: A B C A B C. What disturbs the machine disturbs all of them."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable
from typing import NamedTuple

from .contract import IDEAL, Claim, Workload, parse
from .measuring import Outcome, expect, measure
from .peers import load_peer

__all__ = ["Figures", "Settings", "Standing", "compete", "missing"]


class Settings(NamedTuple):
    """How a workload is to be run."""

    rounds: int = 5
    quick: bool = False
    memory: bool = False
    say: Callable[[str], None] = print


class Standing(NamedTuple):
    """What a contestant reached: medians over the rounds."""

    contestant: str
    items: int
    figure: float
    low: float
    high: float
    peak: int = 0
    trouble: str = ""


class Figures(NamedTuple):
    """All standings of one workload."""

    workload: Workload
    standings: dict[str, Standing]
    skipped: dict[str, str]

    def ratio(self, claim: Claim) -> float | None:
        """Return what is claimed, measured; ``None`` where one side is missing."""
        ours = self._figure(claim.ours)
        if ours is None or not claim.against:
            return ours
        if IDEAL in claim.against:
            return self._of_ideal(claim.ours)
        others = [figure for name in claim.against if (figure := self._figure(name)) is not None]
        if not others:
            return None
        best = min(others) if self.workload.measure.less_is_better else max(others)
        return ours / best / claim.scale

    def _figure(self, contestant: str) -> float | None:
        standing = self.standings.get(contestant)
        return standing.figure if standing and not standing.trouble else None

    def _of_ideal(self, contestant: str) -> float:
        standing, ideal = self.standings[contestant], self.workload.ideal
        assert ideal is not None, f"{self.workload.name} claims an ideal that it does not tell"
        return standing.figure * ideal(standing.items) / standing.items


def missing(modules: tuple[str, ...]) -> str:
    """Name the first module that is not installed."""
    return next((f"{name} is not installed" for name in modules if importlib.util.find_spec(name.partition(".")[0]) is None), "")


def compete(workload: Workload, settings: Settings) -> Figures:
    """Run all contestants, and check what they give."""
    skipped = {name: reason for name in workload.contestants if (reason := missing(load_peer(parse(name)[0]).MODULES))}
    present = [name for name in workload.contestants if name not in skipped]
    counts = {name: workload.count(name, quick=settings.quick) for name in present}
    if workload.prepare is not None:
        workload.prepare(max(counts.values()))
    outcomes: dict[str, list[Outcome]] = {name: [] for name in present}
    right: dict[tuple[int, str], tuple[str, str]] = {}
    for number in range(settings.rounds):
        for name in present:
            if outcomes[name] and outcomes[name][-1].trouble:
                continue  # it failed: it would again
            settings.say(f"{workload.name}: round {number + 1} of {settings.rounds}, {name}")
            outcome = measure(workload, name, counts[name], memory=settings.memory and number == settings.rounds - 1)
            key = (counts[name], parse(name)[1].get("stages", ""))
            if key not in right:
                right[key] = _reference(workload, name, counts[name], key[1], outcome)
            outcomes[name].append(outcome.compared_with(right[key]))
    return Figures(workload, {name: _stand(name, counts[name], outcomes[name], settings) for name in present}, skipped)


def _reference(workload: Workload, name: str, items: int, stages: str, outcome: Outcome) -> tuple[str, str]:
    loop = f"loop+stages={stages}" if stages else "loop"
    return expect(workload, loop, items, outcome if name == "loop" else None)


def _stand(name: str, items: int, outcomes: list[Outcome], settings: Settings) -> Standing:
    trouble = next((outcome.trouble for outcome in outcomes if outcome.trouble), "")
    timed = outcomes[:-1] if settings.memory and len(outcomes) > 1 else outcomes  # sampling memory costs time
    figures = [outcome.figure for outcome in timed]
    peak = max(outcome.peak for outcome in outcomes)
    return Standing(name, items, statistics.median(figures), min(figures), max(figures), peak, trouble)
