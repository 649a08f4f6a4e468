"""The loop that every engine turns: events to the scheduler, its commands to those who carry them out.

    events ──► Scheduler.handle ──► commands ──table──┬─► the hub: workers that run at once ──► more events
                                                      └─► the engine: workers of its own, and the caller
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..plan import NodePlan, Plan
from ..scheduler import messages as m
from ..scheduler.scheduler import Scheduler
from ..transport.encoding import BufferRef, Encoded
from ..transport.spill import Spool
from ..worker import Catch, Codec, StageSpec, everything
from .bench import Bench
from .codecs import EncodedCodec, HubCodec, ObjectCodec
from .contract import Delivered, Job

__all__ = ["GRACE", "Driver"]

GRACE = 1.0  # seconds for the item in hand when a worker is no longer wanted; more delays every stop, less ends what would have ended


class Driver:
    """Carries out what concerns the hub; subclasses carry out what concerns other workers and the caller."""

    def __init__(self, plan: Plan, specs: Mapping[int, StageSpec], catch: Catch = everything) -> None:
        self.plan = plan
        self.scheduler = Scheduler(plan)
        self.specs = specs  # of the hub's stages at least
        self.hub = Bench(lambda text: self.warn(m.Warn(text)), catch)
        self._at_hub: set[int] = set()  # workers
        self.events: deque[m.Event] = deque()
        self.spool = Spool()
        self.read_block: Callable[[BufferRef], bytes] = _refuse  # where there is shared memory: what lies in it,
        self.let_go: Callable[[Encoded], None] = _nothing  # and that a payload does not need it any more
        self._spools = True
        self._table: dict[type, Callable[[Any], None]] = {
            m.Dispatch: self._dispatch,
            m.Grant: self._grant,
            m.Cancel: self._cancel,
            m.StartWorker: self._start_worker,
            m.StopWorker: self._stop_worker,
            m.KillWorker: self.kill_worker,
            m.Deliver: self.deliver,
            m.SinkEnd: self.sink_end,
            m.Release: self.release,
            m.Spill: self.spill,
            m.Pull: self.pull,
            m.CloseSource: self.close_source,
            m.Record: self.record,
            m.Warn: self.warn,
            m.Finish: self.finish,
        }

    def begin(self) -> None:
        """Give the first commands."""
        self._carry_out(self.scheduler.start(time.monotonic()))
        self.turn()

    def turn(self) -> None:
        """Handle the events that are there, and those that follow at once."""
        while self.events:
            events, self.events = self.events, deque()
            self._carry_out(self.scheduler.handle_all(events, time.monotonic()))

    def due(self) -> m.Due:
        """Make the event that time has come, with what the workers are at where that will be told."""
        return m.Due(self.look_in_hand() if self.scheduler.stalls(time.monotonic()) else None)

    def look_in_hand(self) -> dict[int, range]:
        """Return the items that lanes are at, by ticket."""
        return {}

    def remaining(self) -> float | None:
        """Return the seconds until the scheduler wants to be asked again; ``None``: only after an event."""
        deadline = self.scheduler.deadline
        return None if deadline is None else min(threading.TIMEOUT_MAX, max(0.0, deadline - time.monotonic()))

    def _carry_out(self, commands: Iterable[m.Command]) -> None:
        for command in commands:
            self._table[type(command)](command)

    def spill(self, command: m.Spill) -> None:
        """Write a frame to the temporary file; where that cannot be, it stays in memory."""
        payload = command.frame.payload
        if not self._spools or not isinstance(payload, Encoded):
            return
        try:
            command.frame.payload = self.spool.write(payload.inlined(self.read_block))
        except OSError as error:
            self._spools = False
            self.warn(m.Warn(f"what waits stays in memory: the temporary file cannot be written ({error})"))
        else:
            self.let_go(payload)

    # ------------------------------------------------------------------------------------------------------------ the hub

    def _start_worker(self, command: m.StartWorker) -> None:
        if self.runs_at_once(self.plan.nodes[command.node]):
            spec = self.specs[command.node]
            self._at_hub.add(command.worker)
            self.events.append(self.hub.start(command, spec, self.codec_of(spec)))
        else:
            self.start_worker(command)

    def _dispatch(self, command: m.Dispatch) -> None:
        if command.worker in self._at_hub:
            self.take(self.hub.dispatch(command))
        else:
            self.dispatch(command)

    def _grant(self, command: m.Grant) -> None:
        if command.worker in self._at_hub:
            self.take(self.hub.grant(command))
        else:
            self.grant(command)

    def _cancel(self, command: m.Cancel) -> None:
        if command.worker in self._at_hub:
            self.take(self.hub.cancel(command.worker, command.ticket))
        else:
            self.cancel(command)

    def _stop_worker(self, command: m.StopWorker) -> None:
        if command.worker in self._at_hub:
            self.take([self.hub.stop(command.worker)])
        else:
            self.stop_worker(command)

    def take(self, events: list[m.Event]) -> None:
        """Take what the hub says."""
        self.events.extend(events)

    def runs_at_once(self, node: NodePlan) -> bool:
        """Say whether a stage has its workers in the hub."""
        return node.hub

    # ------------------------------------------------------------------------------------------------ each engine says how

    def codec_of(self, spec: StageSpec) -> Codec:
        """Return what reads and writes the payloads of a stage in the hub."""
        raise NotImplementedError

    def dispatch(self, command: m.Dispatch) -> None:
        raise NotImplementedError

    def grant(self, command: m.Grant) -> None:
        raise NotImplementedError

    def cancel(self, command: m.Cancel) -> None:
        raise NotImplementedError

    def start_worker(self, command: m.StartWorker) -> None:
        raise NotImplementedError

    def stop_worker(self, command: m.StopWorker) -> None:
        raise NotImplementedError

    def kill_worker(self, command: m.KillWorker) -> None:
        raise NotImplementedError

    def deliver(self, command: m.Deliver) -> None:
        raise NotImplementedError

    def sink_end(self, command: m.SinkEnd) -> None:
        raise NotImplementedError

    def release(self, command: m.Release) -> None:
        raise NotImplementedError

    def pull(self, command: m.Pull) -> None:
        raise NotImplementedError

    def close_source(self, command: m.CloseSource) -> None:
        raise NotImplementedError

    def record(self, command: m.Record) -> None:
        raise NotImplementedError

    def warn(self, command: m.Warn) -> None:
        raise NotImplementedError

    def finish(self, command: m.Finish) -> None:
        raise NotImplementedError


def _refuse(ref: BufferRef) -> bytes:
    raise LookupError(f"{ref}: this engine has no shared memory")


def _nothing(payload: Encoded) -> None:
    """Hold nothing, let nothing go."""


class LocalDriver(Driver):
    """A driver in the caller's process: speaks to the host directly."""

    def __init__(self, job: Job, catch: Catch = everything) -> None:
        super().__init__(job.plan, job.specs, catch)
        self.job = job
        self.host = job.host
        self.codec: Any = EncodedCodec(together=job.config.frame_pickling == "list") if job.config.copy_items else ObjectCodec()

    def takes_all(self) -> None:
        """Change nothing: a result is handed on without a process being woken."""

    def codec_of(self, spec: StageSpec) -> Codec:
        codec: Codec = HubCodec() if spec.plan.hub and self.job.config.copy_items else self.codec
        return codec

    def deliver(self, command: m.Deliver) -> None:
        frame, lo, hi = command.frame, command.lo, command.hi
        payload = frame.payload.at_hand() if isinstance(frame.payload, Encoded) else frame.payload
        self.host.deliver(command.sink, Delivered(payload, lo, hi, frame.origins[lo:hi], command.soon))

    def sink_end(self, command: m.SinkEnd) -> None:
        self.host.sink_end(command.sink, command.note)

    def release(self, command: m.Release) -> None:
        command.frame.payload = None

    def pull(self, command: m.Pull) -> None:
        self.host.pull(command.source, command.upto, command.hungry)

    def close_source(self, command: m.CloseSource) -> None:
        self.host.close_source(command.source, command.drain)

    def record(self, command: m.Record) -> None:
        self.host.record(command.note)

    def warn(self, command: m.Warn) -> None:
        self.host.warn(command.text)
