"""Stand-ins that a test holds in its hands: a clock that only it turns, and a worker's context that remembers what it was told."""

from __future__ import annotations

from collections import defaultdict

from olympipe_ng.origins import Origin, Origins
from olympipe_ng.stages.contract import Fate


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeContext:
    """What a running half may ask of its worker, recorded."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self.time = FakeClock()
        self.counted: dict[Fate, list[Origin]] = defaultdict(list)
        self.warnings: list[str] = []

    def clock(self) -> float:
        return self.time()

    def count(self, fate: Fate, origins: Origins) -> None:
        self.counted[fate] += list(origins)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
