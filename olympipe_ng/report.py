"""The report of a run: where the time went, what holds it up and what would help, that nothing was lost, and what failed.

    Statistics ──► RunReport ──► str: aligned columns, 100 characters wide for usual names
                             ├─► _repr_html_: the same in a notebook
                             └─► to_dict, to_json: all numbers

A report is made of a ``Statistics`` and nothing else, so one of a run that still goes on is made in the same way.

Considered and refused: naming a bottleneck in every run (where no stage is busy half the time, no stage is to blame).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import units
from .lazy import lazy
from .statistics import FailureGroup, StageStatistics, Statistics

html = lazy("html")
json = lazy("json")

__all__ = ["Bottleneck", "RunReport"]

BUSY = 50.0  # percent; a stage that is busy less cannot be what the others wait for
TELLING = 1.0  # seconds; in a shorter run the start of workers hides how busy they were
KEPT = 1000  # failures of which there is more than a number
NAME = 22  # characters of a stage's name in the table


class Bottleneck(NamedTuple):
    """The stage that the others wait for."""

    number: int
    name: str
    load: float
    """Percent of the time in which its workers were in the user's function or moving items."""
    times_next: float | None
    """How many times busier it was than the next; ``None`` where there is no other."""
    hint: str
    """What would help, ``""`` where nothing is known to."""

    def __str__(self) -> str:
        beside = f", {units.factor(self.times_next)} the next" if self.times_next is not None else ""
        return f"{self.name}: {units.percent(self.load)} busy{beside}" + (f" - {self.hint}" if self.hint else "")


@dataclass(frozen=True)
class RunReport:
    """What a run did, or has done so far, stage by stage: print it.

    >>> from olympipe_ng import Pipeline
    >>> report = Pipeline(range(4), engine="inline").filter(lambda x: x % 2).wait_for_result().report
    >>> [(stage.kind, stage.items_in, stage.filtered) for stage in report.stages]
    [('source', 4, 0), ('filter', 4, 2)]
    """

    statistics: Statistics

    @property
    def stages(self) -> tuple[StageStatistics, ...]:
        """Return the record of each source and stage, in the order of their numbers."""
        return self.statistics.stages

    @property
    def elapsed(self) -> float:
        """Return the seconds from the run's beginning to its end."""
        return self.statistics.elapsed

    @property
    def failed(self) -> int:
        """Return how many items failed."""
        return self.statistics.failed

    @property
    def failures(self) -> tuple[FailureGroup, ...]:
        """Return the failures (the first 1 000) by stage and exception."""
        return self.statistics.failures

    @property
    def errors(self) -> tuple[str, ...]:
        """Return the texts of the failures (the first 1 000)."""
        return self.statistics.errors

    @property
    def bottleneck(self) -> Bottleneck | None:
        """Return the stage that the others wait for, ``None`` where no stage is busy half the time."""
        return _bottleneck(self.statistics)

    def __str__(self) -> str:
        parts = [[_headline(self.statistics)], _table(self.stages), *self._below()]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def _below(self) -> list[list[str]]:
        """Return what stands below the table, in paragraphs."""
        run = self.statistics
        return [_judgement(run), _ledger(run.stages), _failures(run), _warnings(run), [] if run.finished else _now(run.stages)]

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as plain dicts, lists, strings and numbers; times in seconds, sizes in bytes, loads in percent.

        >>> from olympipe_ng import Pipeline
        >>> report = Pipeline(range(4), engine="inline").filter(lambda x: x % 2).wait_for_result().report
        >>> report.to_dict()["stages"][1]["filtered"]
        2
        """
        slow = self.bottleneck
        return {**_described(self.statistics), "bottleneck": None if slow is None else {**_described(slow), "text": str(slow)}}

    def to_json(self, indent: int | None = None) -> str:
        """Return ``to_dict()`` as JSON, to be written beside what the run gave.

        >>> from olympipe_ng import Pipeline
        >>> import json
        >>> json.loads(Pipeline(range(4), engine="inline").wait_for_result().report.to_json())["results"]
        4
        """
        text = str(json.dumps(self.to_dict(), indent=indent, ensure_ascii=False))
        return text.encode("utf-8", "backslashreplace").decode()  # half a pair (of a file name that is not UTF-8) no file would take

    def _repr_html_(self) -> str:
        head, *rows = _cells(self.stages)
        below = "\n\n".join("\n".join(lines) for lines in self._below() if lines)
        return f"<p>{html.escape(_headline(self.statistics))}</p>{_html_table(head, rows)}<pre>{html.escape(below)}</pre>"


def _described(value: Any) -> Any:
    """Return named tuples as dicts, all the way down."""
    if not isinstance(value, tuple):
        return value
    if hasattr(value, "_asdict"):
        return {name: _described(each) for name, each in value._asdict().items()}
    return [_described(each) for each in value]


def _headline(run: Statistics) -> str:
    read = sum(stage.items_out for stage in run.stages if stage.kind == "source")
    words = [f"{_items(read)} read", f"{_number_of(run.results, 'result')}"]
    words += [f"{_items(run.failed)} failed"] if run.failed else []
    state = "" if run.finished else " so far"
    return f"{units.seconds(run.elapsed)}{state}: {', '.join(words)}" + (f"; ended by an error: {run.error}" if run.error else "")


def _items(number: int) -> str:
    return _number_of(number, "item")


def _number_of(number: int, what: str) -> str:
    return f"{units.exact(number)} {what}{'' if number == 1 else 's'}"


# ------------------------------------------------------------------------------------------------------------------- table


_HEAD = ("stage", "in", "out", "failed", "rate", "busy", "function", "moving", "waiting", "per item")


def _table(stages: Sequence[StageStatistics]) -> list[str]:
    rows = _cells(stages)
    widths = [max(len(row[k]) for row in rows) for k in range(len(_HEAD))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _cells(stages: Sequence[StageStatistics]) -> list[tuple[str, ...]]:
    return [_HEAD, *map(_row, stages)]


def _row(stage: StageStatistics) -> tuple[str, ...]:
    counts = (units.count(stage.items_in), units.count(stage.items_out), units.count(stage.failed) if stage.failed else "-")
    if stage.kind == "source":
        return (_title(stage), *counts, units.rate(stage.items_per_second), *["-"] * 5)
    times = map(units.seconds, (stage.busy_seconds, stage.moving_seconds, stage.waiting_seconds, stage.mean_seconds))
    return (_title(stage), *counts, units.rate(stage.items_per_second), units.percent(stage.busy_percent), *times)


def _title(stage: StageStatistics) -> str:
    """Return number, name, and by how many workers, threads or coroutines it was run."""
    hands = f" x{stage.count}" if stage.count > 1 else ""
    hands += f"x{stage.lanes}" if stage.lanes > 1 and hands else f" x{stage.lanes}" if stage.lanes > 1 else ""
    return f"{stage.number} {_cut(stage.name, NAME - len(hands))}{hands}"


def _cut(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"


# -------------------------------------------------------------------------------------------------------------- bottleneck


def _judgement(run: Statistics) -> list[str]:
    """Return the sentence about the bottleneck; none of a run too short to tell, or of one that did nothing."""
    slow = _bottleneck(run)
    if slow is not None:
        return [f"bottleneck: {slow}"]
    if run.elapsed < TELLING or run.engine == "inline" or not any(stage.busy_seconds for stage in run.stages):
        return []
    return ["bottleneck: no stage is busy half the time; the source, what takes the results, or the cores set the pace"]


def _bottleneck(run: Statistics) -> Bottleneck | None:
    stages = sorted((stage for stage in run.stages if stage.kind != "source"), key=_load, reverse=True)
    loads = [_load(stage) for stage in stages]
    if not stages or loads[0] < BUSY:
        return None
    times_next = loads[0] / loads[1] if len(loads) > 1 and loads[1] > 0 else None
    slow = stages[0]
    return Bottleneck(slow.number, slow.name, loads[0], times_next, _hint(run, slow, times_next))


def _load(stage: StageStatistics) -> float:
    """Return the percentage of time in which a stage's workers did something."""
    spent = stage.busy_seconds + stage.moving_seconds
    whole = spent + stage.waiting_seconds
    return 100 * spent / whole if whole > 0 else 0.0


def _hint(run: Statistics, stage: StageStatistics, times_next: float | None) -> str:
    if run.engine == "inline":
        return 'all stages share one thread; try engine="process"'
    if stage.moving_seconds > stage.busy_seconds:
        return "moving items takes longer than working on them; try smaller items, or more work per item"
    if stage.grows_by == "concurrency":
        return f"try concurrency={2 * stage.lanes}"
    if stage.grows_by == "count":
        return _more_workers(run, stage, times_next)
    return ""


def _more_workers(run: Statistics, stage: StageStatistics, times_next: float | None) -> str:
    wanted = max(stage.count + 1, round(stage.count * (times_next or 2)))
    count = min(wanted, run.cores)
    if count > stage.count:
        return f"try count={count}"
    return f"it has a worker for each of the {run.cores} cores; threads= or async def help if it waits rather than computes"


# ------------------------------------------------------------------------------------------------------------------ ledger


_WORDS = ("filtered", "dropped", "failed", "unpaired", "unread", "cancelled")


def _ledger(stages: Sequence[StageStatistics]) -> list[str]:
    """Return a line for each stage, without what is zero: ``1 keep  100 in = 60 out + 40 filtered``."""
    stages = [stage for stage in stages if stage.kind != "source"]
    titles = [f"{stage.number} {_cut(stage.name, NAME)}" for stage in stages]
    width = max(map(len, titles), default=0)
    lines = [f"{title.ljust(width)}  {_account(stage)}" for title, stage in zip(titles, stages, strict=True)]
    return ["ledger", *lines] if lines else []


def _account(stage: StageStatistics) -> str:
    terms = [f"{units.exact(stage.passed)} out"]
    terms += [f"{units.exact(getattr(stage, word))} {word}" for word in _WORDS if getattr(stage, word)]
    terms += [f"{units.exact(stage.under_way)} under way"] if stage.under_way else []
    terms = terms if stage.passed or len(terms) == 1 else terms[1:]
    aside = f" (which gave {_items(stage.items_out)})" if stage.items_out != stage.passed else ""
    return f"{units.exact(stage.items_in)} in = {' + '.join(terms)}{aside}"


# ------------------------------------------------------------------------------------------------------ what went wrong


def _failures(run: Statistics) -> list[str]:
    if not run.failures:
        return []
    kept = len(run.errors)
    more = f" (the first {units.exact(kept)} of {units.exact(run.failed)})" if KEPT <= kept < run.failed else ""
    return [f"failures{more}", *(line for group in run.failures for line in _group(group))]


def _group(group: FailureGroup) -> list[str]:
    stage = f" in stage {group.stage}" if group.stage else ""
    first = [f"    {line}" for line in group.first.splitlines()]
    return [f"  {units.exact(group.count)} x {group.exception}{stage}; the first:", *first]


def _warnings(run: Statistics) -> list[str]:
    return ["warnings", *(f"  {text}" for text in run.warnings)] if run.warnings else []


# --------------------------------------------------------------------------------------------------------- while it runs


def _now(stages: Sequence[StageStatistics]) -> list[str]:
    """Return what waits before each stage, and how its workers are."""
    return ["now", *(f"  {stage.number} {_cut(stage.name, NAME)}: {_state(stage)}" for stage in stages if stage.kind != "source")]


def _state(stage: StageStatistics) -> str:
    words = [f"{_items(stage.waiting)} waiting ({units.size(stage.waiting_bytes)})", f"{units.exact(stage.in_hand)} in hand"]
    words += ["no room for results"] if stage.blocked else []
    words += [f"pid {worker.pid} {units.percent(worker.cpu_percent)} cpu {units.size(worker.rss)}" for worker in stage.workers]
    return ", ".join(words)
