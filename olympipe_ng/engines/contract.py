"""What an engine is: it carries out the scheduler's commands, and decides nothing.

    caller: Run ── start, send(event), wait ──► Engine ── commands carried out by processes, threads or at once
                ◄── Host: deliver, sink_end, pull, close_source, record, warn, finish ──
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..graph import Node
from ..options import RunConfig
from ..origins import Origins
from ..plan import Plan
from ..scheduler.messages import Event
from ..scheduler.statistics import NodeStatistics
from ..worker import StageSpec
from ..worker.spec import Codec

__all__ = ["Delivered", "Engine", "Host", "Job"]


class Delivered(NamedTuple):
    """A run of items that came for a sink, still encoded; ``soon``: when they are taken, say so at once."""

    payload: Any
    lo: int
    hi: int
    origins: Origins
    soon: bool


class Host(Protocol):
    """The caller's side of a run, as an engine sees it; called from any one thread."""

    def pull(self, source: int, upto: int, hungry: bool) -> None: ...

    def close_source(self, source: int, drain: bool) -> None: ...

    def draw(self) -> bool:
        """Draw once from a source that was asked to, in this thread; ``False`` if none was."""

    def deliver(self, sink: int, frame: Delivered) -> None: ...

    def sink_end(self, sink: int, note: Any) -> None: ...

    def record(self, note: Any) -> None: ...

    def warn(self, text: str) -> None: ...

    @property
    def unread(self) -> bool:
        """Whether there are items that were delivered, and are still to be taken."""

    def finish_run(self, note: Any, complaint: str, statistics: Sequence[NodeStatistics]) -> None: ...


class Job(NamedTuple):
    """A run to be carried out."""

    plan: Plan
    nodes: Sequence[Node]
    specs: Mapping[int, StageSpec]
    config: RunConfig
    host: Host


class Engine(Protocol):
    """Carries out one run."""

    codec: Codec
    """How items of this engine cross from and to the caller."""

    threaded: bool
    """Whether sources are read on threads; else ``wait`` must be called for anything to happen."""

    def start(self) -> None:
        """Begin; raises when processes cannot be started."""

    def send(self, event: Event) -> None:
        """Tell the scheduler; from any thread of the caller; what a user may say, also from a signal handler or the collector."""

    def takes_all(self) -> None:
        """Take note that whoever takes the results wants all of them, and none before the others."""

    def wait(self) -> None:
        """Go one step (engines without threads of their own)."""

    def waits_for(self, thread: threading.Thread) -> bool:
        """Say whether the end of the run waits for this thread, which so cannot wait for it: one of its own, or one in ``send``."""

    def statistics(self) -> Sequence[NodeStatistics]:
        """Return what the scheduler knows now."""

    def close(self, seconds: float) -> list[str]:
        """Wait until everything is gone, at most so long; say what is left. Called again when what was ``unread`` has been taken."""
