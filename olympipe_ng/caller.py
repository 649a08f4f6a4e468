"""The caller's side of a run: what it opens, what the engine tells it, how it ends.

    engine ── deliver, sink_end ──► Sinks ──► the user
    engine ── pull, close_source ──► Feeder (a thread a source) ── SourceFrame ──► engine
    engine ── record, warn, finish_run ──► errors, warnings, report

Everything here is guarded by one condition: engines speak from a thread of their own, the user from any. An engine without threads
(inline) is turned from here, whenever the user waits (``turns``). It does not hold the ``Run``, so that one can be abandoned.
"""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from . import screen
from .current import WORKER
from .engines.contract import Delivered, Engine, Job
from .engines.feeding import Feeder, FeederHere, FeederThread
from .errors import GraphError, PipelineError
from .failures import Kind, Note, in_caller, to_error
from .graph import Node, Outlet, Source
from .lazy import lazy
from .options import RunConfig
from .plan import FRAME_ITEMS, make_plan
from .scheduler import messages as m
from .scheduler.statistics import NodeStatistics
from .sinks import Sink, Sinks
from .sources import under
from .stages.contract import Stage
from .transport.exceptions import load_exception
from .turns import Turns
from .worker import everything, make_specs

if TYPE_CHECKING:
    from .statistics import Statistics

engines = {"inline": lazy("olympipe_ng.engines.inline"), "thread": lazy("olympipe_ng.engines.threads")}
engines["process"] = lazy("olympipe_ng.engines.process.client")
_statistics = lazy("olympipe_ng.statistics")
_progress = lazy("olympipe_ng.progress")

NO_FORK = (
    'engine="process" needs os.fork and sockets that hand descriptors over, which this system does not have (Windows: run it under WSL): '
    'use engine="thread", or engine="inline"; OLYMPIPE_NG_ENGINE=thread does so for all pipelines that say nothing else'
)

__all__ = ["Caller"]

KEPT_ERRORS = 1000  # texts in ``.errors``; the rest is counted
STOP_SECONDS = 2.0  # for everything to be gone after a stop
SOURCE_SECONDS = 1.0  # for the sources together to yield, and to run their ``finally``; then they count as stuck
log = logging.getLogger("olympipe_ng")


class Caller(Sinks):
    """Holds what a run needs in this process; see the head of this module."""

    def __init__(self, sinks: Sequence[Outlet], config: RunConfig, discard: Sequence[bool], *, nested: bool = False) -> None:
        self.config = config
        self.nested = nested  # inside a source of another run, which says what is to be said
        single = config.engine == "inline"
        self.plan, self.nodes = make_plan(sinks, config, discard=discard, frame_items=1 if single else FRAME_ITEMS)
        self.joins = self.plan.joins
        self.changed = threading.Condition()
        self.owner = os.getpid()
        self.telling = threading.RLock()  # a signal handler that stops the run may come in between
        self.turns = Turns(self.changed)
        self.sinks = [Sink(node.number) for node in self.plan.sinks]
        self._by_number = {sink.number: sink for sink in self.sinks}
        self.errors: list[str] = []
        self.failures: list[Note] = []
        self.failed = 0
        self.unloadable = 0
        self.warnings: list[str] = []
        self.final: Sequence[NodeStatistics] = ()
        self.note: Note | None = None
        self.finished = False
        self.stopping = False
        self.halted = False  # the interpreter ended before the run did
        self.hurried = False  # the stop was interrupted
        self.raised = False
        self.left: list[str] = []
        self.began = time.monotonic()
        self.ended: float | None = None
        self.closer: threading.Thread | None = None  # who closes what the run opened
        self.closed = threading.Event()  # and is through with it
        self.progress: Any = None
        job = Job(self.plan, self.nodes, make_specs(self.plan, self.nodes, config), config, self)
        self.engine: Engine = _make_engine(job)
        self.feeders = {node.number: self._feeder(ordinal, node.number) for ordinal, node in enumerate(self.plan.sources)}

    def _feeder(self, ordinal: int, number: int) -> FeederHere | FeederThread:
        source = under(cast(Source, self.nodes[number].stage), self.config)
        engine = self.engine
        catch = everything if engine.threaded else in_caller
        feeder = Feeder(number, ordinal, source, engine.codec, engine.send, self.config.on_error, warn=self.warn, catch=catch)
        return FeederThread(feeder, contextvars.copy_context().run) if engine.threaded else FeederHere(feeder)

    # ---------------------------------------------------------------------------------------------------- begin and end

    def start(self) -> None:
        try:
            self.engine.start()
        except BaseException:
            self.finished = True
            self.engine.close(STOP_SECONDS)
            raise
        try:
            for feeder in self.feeders.values():
                feeder.start()
            self.progress = _progress.make_progress(self) if self.config.progress is not False else None
        except BaseException:  # no thread more may be started, or the user's display is odd
            self.stop()
            raise

    def step(self) -> None:
        """Go one step, and show how far it is."""
        self.engine.wait()
        if self.progress is not None:
            self.progress.turn()

    def finish(self) -> None:
        """Wait for the end; raise the run's error, once."""
        try:
            self._until(lambda: self.finished)
        except BaseException:
            self.stop()
            raise
        self._clean_up()
        self._raise()

    def stop(self) -> None:
        """End now, if it has not ended."""
        if self.inherited:
            return
        if self._waits_for(threading.current_thread()):  # a signal handler, or the collector at an iterator that nobody holds
            self.abandon()
            return
        with self.changed:
            first, self.stopping = not self.stopping, True
        try:
            if not self.finished and first:
                self._order(m.Stop())
            patience = 0.0 if self.hurried else min(threading.TIMEOUT_MAX, STOP_SECONDS + self.config.close_timeout)
            self._until(lambda: self.finished, time.monotonic() + patience)
        except BaseException:  # a second Ctrl-C: wait for nothing any more
            self.hurried = True
            self.engine.close(0.0)
            raise
        self._clean_up()

    def halt(self) -> None:
        """Begin the end because the interpreter does."""
        self.halted = not self.finished
        self.abandon()

    def stand_still(self) -> None:
        """Let a daemon thread go no further behind a run that was halted: it is about to be stopped itself, as daemons are, and must not
        take what has come for all that there is. A stage's thread may go on, for its own run waits for it."""
        if self.halted and threading.current_thread().daemon and WORKER.get(None) is None:
            threading.Event().wait()

    def interrupt(self) -> None:
        """Begin the end, from any thread, and wait for nothing: whoever takes the items sees it through."""
        self.stopping = True
        if not self.finished and not self.inherited:
            self._order(m.Stop())

    def drain(self) -> None:
        """Draw no more; what was drawn is finished."""
        self._order(m.Drain())

    def _order(self, order: m.Stop | m.Drain) -> None:
        """Tell the scheduler; and the sources, where the thread that carries on the engine may be waiting in one of them."""
        self.engine.send(order)
        if not self.engine.threaded and not self.turns.mine:
            for feeder in self.feeders.values():
                feeder.close(drain=isinstance(order, m.Drain))

    def abandon(self) -> None:
        """End because nobody holds the run any more; must not wait, it may be called anywhere."""
        self.stopping = True
        if not self.finished and not self.inherited:
            self.engine.send(m.Stop())
            if not self.engine.threaded and not self.turns.mine:
                self._clean_up()

    def _waits_for(self, thread: threading.Thread) -> bool:
        is_reader = any(feeder.reads_on(thread) for feeder in self.feeders.values())
        shows = self.progress is not None and self.progress.tells_on(thread)
        return is_reader or shows or self.engine.waits_for(thread) or self.turns.mine

    def _clean_up(self) -> None:
        """Close what the run opened in this process; name what stays."""
        if self.engine.threaded:
            self._close()
        elif not self.turns.once(self._close, 0.0 if self.hurried else STOP_SECONDS):
            self.hurried = True  # who is at it will close what is to be closed
            _log("a thread is still busy in user code of this run and was left behind")

    def _close(self) -> None:
        """Close everything, once; whoever comes while another thread is at it finds everything gone, too."""
        me = threading.current_thread()
        with self.changed:
            first, self.closer = self.closer is None, self.closer or me
        if first:
            try:
                self._close_all()
            finally:
                self.closed.set()
        elif self.closer is me or self.closed.wait(STOP_SECONDS + SOURCE_SECONDS):
            self.engine.close(0.0)

    def _close_all(self) -> None:
        self.ended = time.monotonic()
        if self.progress is not None:
            self.progress.close()
        self._close_feeders()
        self.left = self.engine.close(STOP_SECONDS)
        for name in self.left:
            _log("%s is still busy in user code and was left behind", name)
        self._say_unread()
        if not self.nested:
            self._say_failures()

    def _close_feeders(self) -> None:
        for feeder in self.feeders.values():
            feeder.close()
        until = time.monotonic() + SOURCE_SECONDS
        for number, feeder in self.feeders.items():
            if not feeder.join(max(0.0, until - time.monotonic())):
                _log("source %s is stuck in the user's code; its thread was left behind", self.plan.nodes[number].title)

    def _say_unread(self) -> None:
        for record in self.final:
            if record.counts.unread:
                where = f"stage {self.plan.nodes[record.number].title} ({self.declared(record.number)})"
                self.warn(f"{where}: of its items {record.counts.unread} went to a branch that nobody awaits")

    def _say_failures(self) -> None:
        if self.failed:
            items = "1 item" if self.failed == 1 else f"{self.failed} items"
            _log("%s failed; the first: %s", items, self.errors[0] if self.errors else "")

    def _raise(self) -> None:
        if self.note is not None and not self.raised:
            self.raised = True
            raise self._error(self.note)

    def _error(self, note: Note) -> PipelineError:
        if note.kind == Kind.TOO_MANY and self.failures:
            last = self.failures[-1]  # of those that were kept: it shows what went wrong
            note = note._replace(exception=last.exception, traceback=last.traceback)
        cause = load_exception(note.exception) if note.exception else None
        if not note.declared_at and note.node >= 0:
            stage = note.stage or self.plan.nodes[note.node].title
            note = note._replace(stage=stage, declared_at=self.declared(note.node))
        return to_error(note, cause, list(self.errors))

    # ------------------------------------------------------------------------------------------ what the engine says (Host)

    def deliver(self, sink: int, frame: Delivered) -> None:
        with self.changed:
            held = self._by_number[sink]
            held.received += frame.hi - frame.lo
            held.frames.append(frame)
            if held.thrown_away:
                self._throw_away(held)
            self.changed.notify_all()

    def sink_end(self, sink: int, note: Any) -> None:
        with self.changed:
            held = self._by_number[sink]
            held.ended, held.note = True, note
            self.changed.notify_all()

    def pull(self, source: int, upto: int, hungry: bool) -> None:
        self.feeders[source].pull(upto, hungry=hungry)

    def close_source(self, source: int, drain: bool) -> None:
        self.feeders[source].close(drain=drain)

    def draw(self) -> bool:
        return any(feeder.draw() for feeder in self.feeders.values())

    def record(self, note: Any) -> None:
        self.failed += 1
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(note.text())
            self.failures.append(note)

    def warn(self, text: str) -> None:
        """Say something once, though several workers may find it."""
        if text in self.warnings:
            return
        if len(self.warnings) < KEPT_ERRORS:
            self.warnings.append(text)
        if not self.nested:
            _log("%s", text)

    def finish_run(self, note: Any, complaint: str, statistics: Sequence[NodeStatistics]) -> None:
        with self.changed:
            self.note = note
            if complaint and note is None and not self.stopping:
                self.note = Note(Kind.INTERNAL, summary=f"the ledger does not balance: {complaint}")
            self.final = statistics
            self.finished = True
            for sink in self.sinks:
                if not sink.ended:
                    sink.ended, sink.note = True, self.note
            self.changed.notify_all()

    # --------------------------------------------------------------------------------------------------------- looking

    @property
    def unaccounted(self) -> int:
        """Count the failures that are in no stage's account: those of sources, and results that could not be loaded here."""
        return self.unloadable + sum(feeder.feeder.failed for feeder in self.feeders.values())

    def statistics(self) -> Statistics:
        look = self.engine.statistics
        records = self.final if self.finished else look() if self.engine.threaded else self.turns.look(look)
        return cast("Statistics", _statistics.make_statistics(self, records))

    def declared(self, number: int) -> str:
        """Return where a stage was declared."""
        return self.nodes[number].declared_at if number < len(self.nodes) else ""

    @property
    def stages(self) -> list[Node]:
        return [node for node in self.nodes if isinstance(node.stage, Stage)]


def _log(text: str, *args: object) -> None:
    """Log a warning. What a handler raises is printed, as ``logging`` does with what it catches itself: it ends no thread of a run."""
    try:
        screen.make_room()
        log.warning(text, *args)
    except Exception:  # the user's handler or filter
        logging.Handler().handleError(logging.makeLogRecord({"msg": text, "args": args}))


def _make_engine(job: Job) -> Engine:
    if job.config.engine == "process" and not hasattr(os, "fork"):
        raise GraphError(NO_FORK)
    module = engines[job.config.engine]
    kind = {"inline": "InlineEngine", "thread": "ThreadEngine", "process": "ProcessEngine"}[job.config.engine]
    return cast(Engine, getattr(module, kind)(job))
