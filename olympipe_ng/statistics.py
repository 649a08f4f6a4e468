"""What is known of a run at one moment, frozen: all that shows a run (report, progress, ``run.statistics()``) reads this and nothing else.

    scheduler: NodeStatistics (numbers) ─┐
    plan, graph: names, lines, workers  ─┼─► make_statistics ──► Statistics ──► report, progress, the user
    psutil: CPU and memory of workers   ─┘

The scheduler counts what workers say; nothing here is counted twice, and nothing here changes the run.

Considered and refused: live objects that change while one looks (two numbers of one display would be of two moments); data classes (every
run makes a report, and they take 2 ms more to be made than named tuples).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .failures import Kind, Note
from .graph import Node, Source
from .lazy import lazy
from .machine import usable_cpus
from .plan import NodePlan, Plan, Role
from .scheduler.messages import Counts
from .scheduler.statistics import NodeStatistics

psutil = lazy("psutil")

__all__ = ["FailureGroup", "StageStatistics", "Statistics", "WorkerStatistics", "known_total", "make_statistics"]


class WorkerStatistics(NamedTuple):
    """A worker of a stage: a process (under ``engine="thread"`` and ``"inline"`` the numbers are those of the calling process)."""

    number: int
    """Its place in the stage, 0 to count-1, kept over restarts."""
    pid: int
    cpu_percent: float
    """The share of one core that it used, on average since it began; several threads may exceed 100."""
    rss: int
    """Bytes of memory it holds."""


class StageStatistics(NamedTuple):
    """A source or a stage: what came, what left, what it cost, what waits before it.

    ``items_in`` is ``passed + filtered + dropped + failed + unpaired + unread + cancelled``, and ``under_way`` while the run goes on.
    """

    number: int
    name: str
    """The ``name=`` it was given, else its function's name, else its kind."""
    kind: str
    """The method that made it (``task``, ``batch``), or ``source``."""
    declared_at: str
    """``file:line``."""
    status: str
    """``running``, ``flushing``, ``ended``, ``failed`` or ``cancelled``."""
    items_in: int
    items_out: int
    """Items that it gave: more than ``passed`` after an ``explode``, fewer after a ``batch``."""
    passed: int
    """Items of its input that went into what it gave: the ledger's ``out``."""
    filtered: int
    dropped: int
    failed: int
    retried: int
    """Attempts that failed and were made again."""
    unpaired: int
    unread: int
    cancelled: int
    items_per_second: float
    """Items of its input that it is through with, per second of the whole run."""
    busy_percent: float
    """Time in the user's function, of the time of all its workers (and of all their threads or coroutines)."""
    busy_seconds: float
    """Seconds in the user's function, all workers together."""
    moving_seconds: float
    """Seconds of decoding and encoding items, all workers together."""
    waiting_seconds: float
    """Seconds in which workers (and their threads or coroutines) had nothing to do, or no room for results."""
    mean_seconds: float
    """Seconds in the user's function per item."""
    max_seconds: float
    """Seconds of the dearest item."""
    waiting: int
    """Items that wait before it."""
    waiting_bytes: int
    in_hand: int
    """Items that its workers hold."""
    blocked: bool
    """It has work, and no room for the results."""
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    """The workers it was planned with."""
    lanes: int
    """Threads or coroutines of each worker."""
    grows_by: str
    """The keyword that gives it more hands: ``count``, ``concurrency``, or ``""`` where nothing does."""
    workers: tuple[WorkerStatistics, ...] = ()
    """The workers that are alive; one that is gone is not there."""

    @property
    def under_way(self) -> int:
        """Return the items that came and of which nothing is decided yet."""
        return max(0, self.items_in - self.settled)

    @property
    def settled(self) -> int:
        """Return the items of its input that have found their word in the ledger."""
        return self.passed + self.filtered + self.dropped + self.failed + self.unpaired + self.unread + self.cancelled


class FailureGroup(NamedTuple):
    """The failures of one kind of exception in one stage."""

    stage: str
    exception: str
    count: int  # type: ignore[assignment]
    first: str
    """The whole text of the first."""


class Statistics(NamedTuple):
    """A run at one moment.

    >>> from olympipe_ng import Pipeline
    >>> with Pipeline(range(3), engine="inline").task(lambda x: x + 1).start() as run:
    ...     for item in run:
    ...         pass
    ...     [stage.items_out for stage in run.statistics().stages]
    [3, 3]
    """

    stages: tuple[StageStatistics, ...]
    """Sources and stages, in the order of their numbers."""
    elapsed: float
    """Seconds since the run began, until its end."""
    done: int
    """Items of the sources that are through the whole pipeline (an estimate where stages multiply or merge items)."""
    total: int | None
    """Items that the sources have: ``total=``, else their length, ``None`` where nothing tells it."""
    results: int
    """Items that were taken from the run, of all awaited pipelines."""
    one_to_one: bool
    """Each item of the one source makes one result of the one awaited pipeline, unless it fails."""
    failed: int
    """Items that failed, whatever ``on_error`` said."""
    failures: tuple[FailureGroup, ...]
    """The first 1 000 failures, by stage and exception, the most frequent first."""
    errors: tuple[str, ...]
    """The texts of the first 1 000 failures."""
    warnings: tuple[str, ...]
    """What the run logged as warnings, such as ``cut after n items``."""
    error: str
    """What ended the run, ``""`` if nothing did."""
    finished: bool
    engine: str
    cores: int
    """The cores that this process may use."""


def make_statistics(
    core: Any, records: Sequence[NodeStatistics], *, total: int | None = None, workers: bool = True, now: float | None = None
) -> Statistics:
    """Put together what the scheduler, the plan and the operating system know of the run that ``core`` holds.

    ``workers=False`` leaves out what must be asked of the operating system; ``now`` is the moment (``time.monotonic``).
    """
    plan: Plan = core.plan
    known = _by_number(plan, records)
    taken = {sink.number: max(sink.taken, known[sink.number].left) for sink in core.sinks}
    end = core.ended if core.ended is not None else time.monotonic() if now is None else now
    elapsed = max(0.0, end - core.began)
    stages = tuple(_stage(plan.nodes[k], node, known[k], elapsed, workers) for k, node in enumerate(core.nodes))
    one_to_one = _is_one_to_one(core)
    left_out = sum(stage.settled - stage.passed - stage.cancelled for stage in stages)
    return Statistics(
        stages=stages,
        elapsed=elapsed,
        done=sum(taken.values()) + left_out if one_to_one else _through(plan, known, taken),
        total=known_total(core) if total is None else total,
        results=sum(taken.values()),
        one_to_one=one_to_one,
        failed=core.unaccounted + sum(stage.failed for stage in stages),
        failures=_groups(list(core.failures)),
        errors=tuple(core.errors),
        warnings=tuple(core.warnings),
        error=core.note.text() if core.note is not None else "",
        finished=core.finished,
        engine=core.config.engine,
        cores=usable_cpus(),
    )


def known_total(core: Any) -> int | None:
    """Tell how many items the sources of a run have, ``None`` if nothing tells it."""
    if core.config.total is not None:
        return int(core.config.total)
    lengths = [_length(node.stage.data) for node in core.nodes if isinstance(node.stage, Source)]
    return sum(length for length in lengths if length is not None) if lengths and None not in lengths else None


def _length(data: Any) -> int | None:
    if not hasattr(type(data), "__len__"):
        return None
    try:
        return len(data)
    except Exception:  # the user's __len__: a display must not fail for want of it
        return None


def _is_one_to_one(core: Any) -> bool:
    """Say whether each item makes one result; a branch of failures has some of them only."""
    sources = [node for node in core.nodes if isinstance(node.stage, Source)]
    branched = any(outlet for node in core.plan.nodes for outlet in node.outlets[1:])
    alone = len(sources) == len(core.sinks) == 1 and not branched
    return alone and all(isinstance(node.stage, Source) or node.stage.one_to_one for node in core.nodes)


# ------------------------------------------------------------------------------------------------------------------ stages


def _by_number(plan: Plan, records: Sequence[NodeStatistics]) -> dict[int, NodeStatistics]:
    """Return a record for every node: of those that nothing is known of yet, an empty one."""
    known = {record.number: record for record in records}
    return {node.number: known.get(node.number) or _nothing(node.number) for node in plan.nodes}


def _nothing(number: int) -> NodeStatistics:
    return NodeStatistics(number, "running", 0, 0, Counts(), 0.0, 0.0, 0.0, 0, 0, 0, False, ())


def _stage(plan: NodePlan, node: Node, record: NodeStatistics, elapsed: float, workers: bool) -> StageStatistics:
    counts = record.counts if plan.role is Role.STAGE else Counts(passed=record.came)
    settled = sum(counts) - counts.retried
    hands = elapsed * plan.workers * plan.lanes if plan.role is Role.STAGE else 0.0
    return StageStatistics(
        number=record.number,
        name=node.label,
        kind="source" if isinstance(node.stage, Source) else node.stage.kind,
        declared_at=node.declared_at,
        status=record.status,
        items_in=record.came,
        items_out=record.left,
        **counts._asdict(),
        items_per_second=_ratio(settled, elapsed),
        busy_percent=min(100.0, 100 * _ratio(record.busy, hands)),
        busy_seconds=record.busy,
        moving_seconds=record.moving,
        waiting_seconds=max(0.0, hands - record.busy - record.moving),
        mean_seconds=_ratio(record.busy, counts.passed + counts.filtered + counts.dropped + counts.failed),
        max_seconds=record.slowest,
        waiting=record.waiting,
        waiting_bytes=record.waiting_bytes,
        in_hand=record.in_hand,
        blocked=record.blocked,
        count=plan.workers,
        lanes=plan.lanes,
        grows_by=_grows_by(plan, node),
        workers=tuple(_workers(record)) if workers else (),
    )


def _grows_by(plan: NodePlan, node: Node) -> str:
    if isinstance(node.stage, Source) or plan.hub or plan.stream or plan.stateful:
        return ""
    return "concurrency" if node.stage.is_async else "count"


def _workers(record: NodeStatistics) -> Iterator[WorkerStatistics]:
    for number, pid in record.workers:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                spent, age = process.cpu_times(), time.time() - process.create_time()
                yield WorkerStatistics(number, pid, 100 * _ratio(spent.user + spent.system, age), process.memory_info().rss)
        except psutil.Error:  # gone, or not ours to look at
            continue


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


# ---------------------------------------------------------------------------------------------------------- how far it is


def _through(plan: Plan, known: dict[int, NodeStatistics], taken: dict[int, int]) -> int:
    """Count the items of the sources that are through: of what came to a stage a share is settled, and of that what came to the next.

    Of two arms of one source the one that is behind counts.
    """
    shares: list[dict[int, float]] = []
    for node in plan.nodes:  # each stands behind all it reads
        reads = [shares[plan.edges[edge].producer] for edge in node.inputs]
        settled = _settled(node, known[node.number], taken)
        shares.append({node.number: 1.0} if node.role is Role.SOURCE else {k: v * settled for k, v in _least(reads).items()})
    ends = _least([shares[node.number] for node in plan.sinks])
    return round(sum(known[source].came * share for source, share in ends.items()))


def _settled(node: NodePlan, record: NodeStatistics, taken: dict[int, int]) -> float:
    settled = taken[node.number] if node.role is Role.SINK else sum(record.counts) - record.counts.retried
    return min(1.0, settled / record.came) if record.came else 1.0


def _least(reads: Sequence[dict[int, float]]) -> dict[int, float]:
    least: dict[int, float] = {}
    for shares in reads:
        for source, share in shares.items():
            least[source] = min(share, least.get(source, 1.0))
    return least


# ---------------------------------------------------------------------------------------------------------------- failures


_TYPES = {
    Kind.TIMEOUT: "StageTimeout",
    Kind.DIED: "WorkerDied",
    Kind.SERIALIZATION: "SerializationError",
    Kind.STREAM_TIMEOUT: "StreamTimeout",
}


def _groups(notes: Sequence[Note]) -> tuple[FailureGroup, ...]:
    together: dict[tuple[str, str], list[Note]] = {}
    for note in notes:
        together.setdefault((note.stage, _exception(note)), []).append(note)
    groups = (FailureGroup(stage, kind, len(those), those[0].text()) for (stage, kind), those in together.items())
    return tuple(sorted(groups, key=lambda group: -group.count))


def _exception(note: Note) -> str:
    """Return the name of the type of exception that a failure was."""
    return _TYPES.get(note.kind) or note.summary.partition(":")[0].strip() or note.kind
