"""``repeat``: a source that runs what is upstream of it, epoch after epoch.

    upstream (a graph) ──► run ──► items ─┐
                       ──► run ──► items ─┴─► the source of what is downstream

The run that the user sees begins here; each epoch is a run of its own inside it, started when the one before has ended, stopped with it,
with the options that the run around it has (``options`` and ``preview`` behind a repeat reach what stands before it).
Where upstream is only a source it is opened again, and where nothing upstream has a function of the user's it is run inline: no process
is started to put items into batches. An epoch's errors are the user's errors already and are not wrapped again; the failures and warnings
that it collects are recorded in the run around it. Its ledger is its own: counts of the stages behind a repeat are not in the outer report.

Considered and refused: keeping the items of the first epoch (memory, and what is random upstream would be frozen: ``list`` does that).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .checks import check_int
from .graph import Node, Outlet, Source, declared_here, reachable
from .lazy import lazy
from .options import RunConfig
from .readers import Reader
from .sources import Opener, open_source, under
from .stages.contract import Stage

run = lazy("olympipe_ng.run")

__all__ = ["change_sources", "repeated"]


def repeated(upstream: Outlet, config: RunConfig, times: int | None) -> Source:
    """Describe the source that runs ``upstream`` ``times`` times, ``None`` for ever."""
    times = check_int("times", times, minimum=0, none=True)
    return Source(_Epochs(upstream, config, times), "repeat", declared_at=declared_here(), upstream=upstream)


def change_sources(outlets: Sequence[Outlet], change: Callable[[Source], Source]) -> list[Outlet]:
    """Build the same graph on other sources, sharing what does not change; a source that is repeated is changed where it is read."""
    built: dict[int, Node] = {}
    for node in reachable(outlets):
        stage = _change(node.stage, change) if isinstance(node.stage, Source) else node.stage
        inputs = tuple(Outlet(built[id(read.node)], read.number) for read in node.inputs)
        built[id(node)] = node if stage is node.stage and inputs == node.inputs else replace(node, stage=stage, inputs=inputs)
    return [Outlet(built[id(outlet.node)], outlet.number) for outlet in outlets]


def _change(source: Source, change: Callable[[Source], Source]) -> Source:
    if not isinstance(source.data, _Epochs):
        return change(source)
    epochs = source.data
    [upstream] = change_sources([epochs.upstream], change)
    if upstream is epochs.upstream:
        return source
    return replace(source, data=_Epochs(upstream, epochs.config, epochs.times), upstream=upstream)


class _Epochs(Opener):
    def __init__(self, upstream: Outlet, config: RunConfig, times: int | None) -> None:
        self.upstream, self.config, self.times = upstream, config, times

    def under(self, config: RunConfig) -> Opener:
        return _Epochs(self.upstream, config, self.times)

    def open(self) -> Reader:
        return _EpochsReader(self)

    def open_epoch(self, epoch: int) -> Reader:
        seed = None if self.config.seed is None else self.config.seed + epoch
        engine = "inline" if _is_opaque(self.upstream) else self.config.engine
        config = self.config.changed({"engine": engine, "seed": seed, "total": None, "progress": False})
        stage = self.upstream.node.stage
        return open_source(under(stage, config)) if isinstance(stage, Source) else _RunReader(self.upstream, config)


def _is_opaque(upstream: Outlet) -> bool:
    """Say whether no function of the user's is upstream, nor behind another repeat, whose epochs run as this one does."""
    return all(_has_no_function(node.stage) for node in reachable([upstream]))


def _has_no_function(stage: Stage | Source) -> bool:
    if isinstance(stage, Source):
        return stage.upstream is None or _is_opaque(stage.upstream)
    return stage.opaque


class _EpochsReader(Reader):
    """Reads one epoch after the other; an endless repetition of nothing ends."""

    def __init__(self, epochs: _Epochs) -> None:
        super().__init__()
        self._epochs = epochs
        self._begun = 0
        self._inner: Reader | None = None
        self._fruitful = True
        self._over = False  # nothing more is to be taken
        self._draining = False  # nothing more is to be begun
        self._news: list[Any] = []  # of epochs that are over
        self._failed = 0  # in those

    def take(self, n: int) -> Sequence[Any]:
        while self._open() and not self._over:
            assert self._inner is not None
            items = self._inner.take(n)
            if items:
                self._fruitful = True
                return items
            self.close()
        return ()

    def news(self) -> Sequence[Any]:
        news, self._news = self._news, []
        return [*news, *(self._inner.news() if self._inner is not None else ())]

    @property
    def failed(self) -> int:
        return self._failed + (self._inner.failed if self._inner is not None else 0)

    def interrupt(self) -> None:
        self._over = True
        inner = self._inner
        if inner is not None:
            inner.interrupt()

    def drain(self) -> bool:
        self._draining = True
        inner = self._inner
        if inner is not None and not inner.drain():
            self._over = True
        return not self._over

    def close(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()
            self._news += inner.news()
            self._failed += inner.failed

    def _draw(self) -> Any:
        items = self.take(1)
        if not items:
            raise StopIteration
        return items[0]

    def _open(self) -> bool:
        if self._inner is None and self._has_more():
            self._fruitful = False
            self._inner = self._epochs.open_epoch(self._begun)
            self._begun += 1
            if self._draining:  # it came meanwhile
                self.drain()
        return self._inner is not None

    def _has_more(self) -> bool:
        if self._over or self._draining:
            return False
        return self._fruitful if self._epochs.times is None else self._begun < self._epochs.times


class _RunReader(Reader):
    """Reads the results of a run of its own."""

    def __init__(self, outlet: Outlet, config: RunConfig) -> None:
        super().__init__()
        self._run = run.start_run([outlet], config, nested=True)
        self._items = self._run.sink(0)
        self._heard = (0, 0)

    def news(self) -> Sequence[Any]:
        core, (failures, warnings) = self._run._core, self._heard
        news = [*core.failures[failures:], *core.warnings[warnings:]]
        self._heard = (failures + sum(not isinstance(each, str) for each in news), warnings + sum(isinstance(each, str) for each in news))
        return news

    @property
    def failed(self) -> int:
        """Count what was recorded; at the end, what was skipped too."""
        core = self._run._core
        failed: int = max(core.failed, core.unaccounted + sum(record.counts.failed for record in core.final))
        return failed

    def interrupt(self) -> None:
        self._run._core.interrupt()

    def drain(self) -> bool:
        self._run.drain()
        return True

    def close(self) -> None:
        self._run.stop()

    def _draw(self) -> Any:
        for item in self._items:
            return item
        self._run.wait()
        raise StopIteration
