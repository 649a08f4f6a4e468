"""``timeout``: end the stream when no item came for ``seconds``.

    item ............ look .. cut       ``seconds`` after the last item, the set-up of all that is before it, or a pause
                       └─ grace ─┘

Time in which downstream was full must not count, but then nothing is given to this stage, and its tick comes late, perhaps before the
items that waited meanwhile. So the end is reached in two steps: a first tick only *looks*, shortly before the time is up; waiting items
come in between the two ticks. A first tick that is much too late shows that there was no room: the time begins anew. And while an
emission of ours waits for room, the generator stands still: the time begins when it goes on.

Considered and refused: a clock that upstream's items carry (an item is late when it reaches us late).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_number
from ..errors import GraphError, StreamTimeout
from ..origins import Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform

__all__ = ["Timeout"]

GRACE = 0.05  # seconds between the two ticks, at most a quarter of the whole: time for waiting items to be dealt
LATE = 0.1  # seconds, at least a quarter of the whole: a first tick later than that had no room. More cuts wrongly, less cuts late


@dataclass(frozen=True, eq=False)
class Timeout(Stage):
    """End the stream when no item came for ``seconds``; ``error=True`` raises ``StreamTimeout``."""

    seconds: float
    error: bool = False

    opaque: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    passes_watermarks: ClassVar[bool] = True
    excuses_setup: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_number(self, "seconds", above=0.0)
        if not isinstance(self.error, bool):
            raise GraphError(f"error must be True or False, got {self.error!r}")

    def make(self, context: Context) -> StreamTransform:
        return _Watch(self, context)


class _Watch(StreamTransform):
    def __init__(self, stage: Timeout, context: Context) -> None:
        self._stage = stage
        self._context = context
        self._passed = 0
        self._grace = min(GRACE, stage.seconds / 4)
        self._deadline: float | None = None
        self._looked = False
        self._cut = False

    def setup(self) -> None:
        self._begin()

    def begin(self) -> Iterable[Emission]:
        if self._deadline is not None:
            self._begin()
        return ()

    def _begin(self) -> None:
        self._looked = False
        self._deadline = self._context.clock() + self._stage.seconds - self._grace

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        if self._cut:
            self._context.count(Fate.CANCELLED, origins)
            return
        self._passed += len(items)
        self._begin()
        yield 0, items, origins
        self._begin()

    def tick(self) -> Iterable[Emission]:
        now = self._context.clock()
        if self._deadline is None or now < self._deadline:
            return ()
        if self._looked:
            return self._finish()
        if now - self._deadline > max(LATE, self._stage.seconds / 4):
            self._begin()
        else:
            self._looked, self._deadline = True, now + self._grace
        return ()

    def _finish(self) -> Iterable[Emission]:
        self._cut, self._deadline = True, None
        text = f"no item came for {self._stage.seconds:g} s: cut after {self._passed} items"
        if self._stage.error:
            raise StreamTimeout(text)
        self._context.warn(f"{self._stage.label}: {text}")
        return ()

    def end(self, port: int) -> Iterable[Emission]:
        self._deadline = None
        return ()

    @property
    def done(self) -> bool:
        return self._cut

    @property
    def deadline(self) -> float | None:
        return self._deadline
