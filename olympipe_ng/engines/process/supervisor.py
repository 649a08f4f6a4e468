"""The supervisor: the scheduler's loop in a process of its own, one socket to the caller and one to each worker.

    poll ──► messages ──► events ──► Scheduler ──► commands ──► messages, queued ──► flushed as far as the sockets take them

It never blocks, and never imports, unpickles or runs anything of the user's. It is the workers' parent and reaps them; a worker's end is
known from its socket or its pidfd (else SIGCHLD), whichever speaks first (what the worker forked may hold the socket; the pidfd waits for a
large process to be torn down). When the caller is gone it stops the run, kills what does not end soon, and goes.
"""

from __future__ import annotations

import math
import time
import traceback
from typing import Any

from ...failures import Note
from ...plan import Plan
from ...scheduler import messages as m
from ...transport.wire import Channel
from ...worker import Codec, StageSpec
from ..codecs import HubCodec
from ..driver import GRACE, Driver
from . import protocol as p
from .deaths import death_note, kill_orphans, wait_for, was_killed
from .depot import CALLER, Depot
from .outbox import Outbox
from .poller import Poller
from .record import WorkerRecord
from .starting import Starter
from .template import TemplateStarter

__all__ = ["Supervisor", "supervise"]

GRACE_ALONE = 0.4  # the same where the caller is gone, and nobody wants what the item gives
LOG_BYTES = 8 << 20  # waiting for the caller: beyond it lines and log records are dropped, and counted


class Supervisor(Driver):
    """Carries out a run with processes."""

    def __init__(self, caller: Channel, plan: Plan, specs: dict[int, StageSpec], starter: Starter, caller_pid: int) -> None:
        super().__init__(plan, specs)
        self._caller = caller
        self._outbox = Outbox(caller)
        self._starter = starter
        self._poller = Poller()
        self._workers: dict[int, WorkerRecord] = {}
        self._definitions: dict[str, bytes] = {}  # classes that travel by value
        self._grace = GRACE
        self._until = math.inf  # when everything is ended, whatever it is at
        self._dropped_lines = 0
        self._depot = Depot(self._channel_of, self.spool)
        self.read_block, self.let_go = self._depot.read, self._depot.release
        starter.close_in_child = self._depot.close
        self._poller.watch(caller.fileno(), self._from_caller)
        self._caller_pidfd = self._poller.watch_pid(caller_pid, self._go_on_alone)
        if self._caller_pidfd is None:
            self._poller.watch_children(lambda: list(map(self._died, [*self._workers.values()])))
        if isinstance(starter, TemplateStarter):
            self._poller.watch(starter.template.fileno(), self._from_template)

    # --------------------------------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Serve until the run is over or the caller is gone."""
        self.begin()
        self._from_caller(0)  # what came together with the graph, and was read with it
        self.turn()
        self._flush()
        while (not self.scheduler.finished or self._caller.pending) and time.monotonic() < self._until:
            self._wait()
            self._kill_overdue()
            self.turn()
            self._flush()
        self.hub.close()
        self.kill_all()

    def _flush(self) -> None:
        self._poller.flush([*self._outbox.take_due(), *(worker.channel for worker in self._workers.values())])

    def _wait(self) -> None:
        self._poller.wait(self._timeout())
        if not self.events and self.remaining() == 0.0:
            self.events.append(self.due())

    def _timeout(self) -> float | None:
        now = time.monotonic()
        times = [alarm - now for worker in self._workers.values() if (alarm := worker.alarm) is not None]
        times += [seconds for seconds in (self.remaining(), self._outbox.wait()) if seconds is not None]
        times += [self._until - now] if self._until < math.inf else []
        return max(0.0, min(times)) if times else None

    # ------------------------------------------------------------------------------------------------------ the caller

    def _tell(self, header: tuple[Any, ...], segments: Any = ()) -> None:
        self._caller.queue(header, segments)

    def _from_caller(self, mask: int) -> None:
        for header, payload in self._caller.receive_nowait():
            if header[0] == p.SOURCE_FRAME:
                parcel = p.unpack_parcel(header[2], payload)
                self._depot.hold(parcel.payload)
                self.events.append(m.SourceFrame(header[1], parcel))
            elif header[0] == p.EVENT:
                self.events.append(p.unpack_event(header))
            elif header[0] == p.DEFINE:
                self._define(header, payload, None)
            elif self._depot.take(CALLER, header, self._caller):
                continue
            elif header[0] == p.STATISTICS:
                self._tell((p.STATISTICS, p.pack_statistics(self.scheduler.statistics())))
            elif header[0] == p.TAKES_ALL:
                self._outbox.groups = True
        if self._caller.closed:
            self._go_on_alone()

    def _channel_of(self, number: int) -> Channel | None:
        if number == CALLER:
            return self._caller
        worker = self._workers.get(number)
        return None if worker is None else worker.channel

    def _go_on_alone(self, mask: int = 0) -> None:
        """End without the caller: workers may close what they hold, and are given little time for the item in hand."""
        for fd in (self._caller.fileno(), self._caller_pidfd):
            if fd is not None and fd >= 0:
                self._poller.unwatch(fd)
        self._caller.close()
        self._grace = GRACE_ALONE
        self._until = min(self._until, time.monotonic() + GRACE + self.plan.close_timeout)
        self.events.append(m.Stop())

    def _define(self, header: tuple[Any, ...], blob: memoryview, sender: WorkerRecord | None) -> None:
        """Pass a class's definition on to everybody who may meet its instances: once, though several may define it."""
        if header[1] in self._definitions:
            return
        self._definitions[header[1]] = bytes(blob)
        if sender is not None:
            self._tell(header, [blob])
        for worker in self._workers.values():
            if worker is not sender and worker.pid is not None:
                worker.channel.queue(header, [blob])

    # ------------------------------------------------------------------------------------------------------ the workers

    def _from_template(self, mask: int) -> None:
        starter = self._starter
        assert isinstance(starter, TemplateStarter)
        for header, _ in starter.template.receive_nowait():
            worker = self._workers.get(starter.take(header))
            if worker is not None:
                worker.pid = header[2]
                worker.pidfd = self._poller.watch_pid(header[2], lambda mask, worker=worker: self._died(worker))  # type: ignore[misc]
                worker.channel.queue((p.SETUP,))
                self._introduce(worker)
        self._kill_leavings()  # of workers that died while another was being born
        if starter.template.closed:
            self._begin_template_again(starter)

    def _begin_template_again(self, starter: TemplateStarter) -> None:
        """Replace the process that forks the workers; those that it was asked for count as dead, and are asked for again."""
        self._poller.unwatch(starter.template.fileno())
        starter.template.close()
        starter.begin()
        self._poller.watch(starter.template.fileno(), self._from_template)
        for worker in [worker for worker in self._workers.values() if worker.pid is None]:
            self._forget(worker)
            if worker.told_to_stop and worker.late_note is None:
                self.events.append(m.WorkerGone(worker.number))
            else:
                self.events.append(m.WorkerDied(worker.number, worker.late_note or self._obituary(worker), killed=True))

    def _from_worker(self, worker: WorkerRecord) -> None:
        if worker.channel.closed:
            return
        for header, payload in worker.channel.receive_nowait():
            self._hear(worker, header, payload)
        self._look_for_end(worker)

    def _look_for_end(self, worker: WorkerRecord) -> None:
        if worker.channel.closed:
            self._poller.unwatch(worker.channel.fileno())
            worker.lost_at = time.monotonic()
            self._died(worker)

    def _hear(self, worker: WorkerRecord, header: tuple[Any, ...], payload: memoryview) -> None:
        kind = header[0]
        if kind == p.DONE:
            done = p.unpack_done(header, payload, worker.number)
            worker.in_hand -= done.finished
            self._hold_outputs(done)
            self.events.append(done)
        elif self._depot.take(worker.number, header, worker.channel):
            return
        elif kind == p.READY:
            self.events.append(m.WorkerReady(worker.number, header[1], p.unpack_state(header[2])))
        elif kind == p.SETUP_FAILED:
            self.events.append(m.SetupFailed(worker.number, p.unpack_note(header[1])))
        elif kind == p.CLOSING:
            worker.kill_at = time.monotonic() + self.plan.close_timeout
        elif kind == p.PAGE:
            fds = worker.channel.descriptors.popleft() if worker.channel.descriptors else ()
            worker.page = fds[0] if fds else None
        elif kind == p.WORN:
            self.events.append(m.WorkerWorn(worker.number))
        elif kind == p.GONE:
            worker.said_gone, worker.gone_note = True, p.unpack_note(header[1])
        elif kind == p.DEFINE:
            self._define(header, payload, worker)
        elif kind not in (p.LOG, p.PRINT) or self._caller.pending < LOG_BYTES:
            self._tell(header)
        else:
            self._dropped_lines += 1

    def _died(self, worker: WorkerRecord) -> None:
        """Take note of a worker's end, if it has ended: first what it said, then how it went."""
        if worker.number not in self._workers:
            return
        if not worker.channel.closed:
            for header, payload in worker.channel.receive_nowait():
                self._hear(worker, header, payload)
        if not worker.reap():
            return  # its status comes with its pidfd, or with the next look
        in_hand = worker.look_in_hand()
        self._forget(worker)
        if worker.late_note is None and (worker.told_to_stop or worker.said_gone):
            self.events.append(m.WorkerGone(worker.number, worker.gone_note))
        else:
            note = worker.late_note or self._obituary(worker)
            self.events.append(m.WorkerDied(worker.number, note, in_hand, was_killed(worker.status)))
        worker.last_words()
        self._kill_leavings()

    def look_in_hand(self) -> dict[int, range]:
        return {ticket: at for worker in self._workers.values() for ticket, at in (worker.look_in_hand() or {}).items()}

    def _obituary(self, worker: WorkerRecord) -> Note:
        """Say how a worker ended, and whose it was; the caller adds the line, and where an item is to blame a worker adds that."""
        plan, lost_state = self.plan.nodes[worker.node], self.scheduler.holds_state(worker.number)
        note = death_note(worker.pid, worker.status, worker.peak, worker.last_words(), lost_state=lost_state, refused=self._starter.refused)
        return note._replace(stage=plan.title, node=plan.number)

    def _forget(self, worker: WorkerRecord) -> None:
        del self._workers[worker.number]
        self._depot.gone(worker.number)
        self._poller.unwatch_pid(worker.pidfd)
        if worker.channel.fileno() >= 0:
            self._poller.unwatch(worker.channel.fileno())
        worker.channel.close()

    def _kill_leavings(self) -> None:
        """End what a worker left behind, unless one of our children may be a worker that is just being born."""
        pids = [worker.pid for worker in self._workers.values()]
        if None not in pids:
            kill_orphans({*pids, *self._starter.helpers})  # type: ignore[arg-type]

    def _kill_overdue(self) -> None:
        """Kill who was told to stop and did not; look again for who has lost its socket."""
        now = time.monotonic()
        for worker in list(self._workers.values()):
            worker.kill_if_overdue(now, self._starter.helpers)
            if worker.lost_at is not None and now > worker.lost_at:
                self._died(worker)

    def kill_all(self) -> None:
        """Kill what is left, and what that has left behind."""
        for worker in list(self._workers.values()):
            worker.kill()
        for worker in list(self._workers.values()):
            if worker.pid is not None and not worker.reaped:
                wait_for(worker.pid)
            self._forget(worker)
            worker.last_words()
        kill_orphans()

    # -------------------------------------------------------------------------------------------------------- commands

    def start_worker(self, command: m.StartWorker) -> None:
        channel, pid = self._starter.start(command.worker, command.node, command.place)
        worker = WorkerRecord(command.worker, command.node, channel, pid, self.plan.nodes[command.node].lanes)
        self._workers[command.worker] = worker
        self._poller.watch(channel.fileno(), lambda mask: self._from_worker(worker))
        if pid is not None:
            worker.pidfd = self._poller.watch_pid(pid, lambda mask: self._died(worker))
            self._introduce(worker)

    def _introduce(self, worker: WorkerRecord) -> None:
        """Tell a worker what was said before it was there; not sooner than its first word, which a forked one waits for."""
        for uid, blob in self._definitions.items():
            worker.channel.queue((p.DEFINE, uid), [blob])
        if worker.told_to_stop:
            worker.channel.queue((p.STOP,))

    def dispatch(self, command: m.Dispatch) -> None:
        if command.worker in self._workers:
            worker = self._workers[command.worker]
            if command.frame is not None:
                self._depot.before(command.worker, worker.channel, command.frame.payload)
            worker.channel.queue(*p.pack_dispatch(command))
            if not worker.in_hand:  # it has nothing to do until this is there
                self._poller.flush((worker.channel,))
            worker.in_hand += 1

    def codec_of(self, spec: StageSpec) -> Codec:
        return HubCodec(self._depot.lease)

    def take(self, events: list[m.Event]) -> None:
        for event in events:
            if isinstance(event, m.Done):
                self._hold_outputs(event)
            self.events.append(event)
        self._depot.settle()

    def _hold_outputs(self, done: m.Done) -> None:
        for _, parcel in done.outputs:
            self._depot.hold(parcel.payload)

    def grant(self, command: m.Grant) -> None:
        if command.worker in self._workers:
            self._workers[command.worker].channel.queue((p.GRANT, command.ticket, command.allowance))

    def cancel(self, command: m.Cancel) -> None:
        if command.worker in self._workers:
            self._workers[command.worker].channel.queue((p.CANCEL, command.ticket))

    def stop_worker(self, command: m.StopWorker) -> None:
        worker = self._workers.get(command.worker)
        if worker is not None:
            worker.told_to_stop = True
            worker.kill_at = time.monotonic() + self._grace + (0.0 if command.abandon else self.plan.close_timeout)
            if worker.pid is not None:
                worker.channel.queue((p.STOP,))

    def kill_worker(self, command: m.KillWorker) -> None:
        worker = self._workers.get(command.worker)
        if worker is not None:
            worker.late_note = command.note
            worker.kill(self._starter.helpers)

    def deliver(self, command: m.Deliver) -> None:
        payload = self._depot.for_caller(self._caller, command.frame.payload.cut(command.lo, command.hi))
        origins = p.pack_origins(command.frame.origins[command.lo : command.hi])
        header = (p.DELIVER, command.sink, payload.count, payload.header(), origins, command.soon)
        self._outbox.deliver(header, payload.segments(), soon=command.soon)

    def sink_end(self, command: m.SinkEnd) -> None:
        self._tell((p.SINK_END, command.sink, p.pack_note(command.note)))

    def release(self, command: m.Release) -> None:
        self._depot.release(command.frame.payload)
        command.frame.payload = None

    def pull(self, command: m.Pull) -> None:
        self._tell((p.PULL, *command))

    def close_source(self, command: m.CloseSource) -> None:
        self._tell((p.CLOSE_SOURCE, *command))

    def record(self, command: m.Record) -> None:
        self._tell((p.RECORD, p.pack_note(command.note)))

    def warn(self, command: m.Warn) -> None:
        self._tell((p.WARN, command.text))

    def finish(self, command: m.Finish) -> None:
        if self._dropped_lines:
            self._tell((p.WARN, f"{self._dropped_lines} lines and log records of workers were dropped: they came too fast"))
        statistics = p.pack_statistics(self.scheduler.statistics())
        self._tell((p.FINISH, p.pack_note(command.note), command.complaint, statistics))


def supervise(caller: Channel, plan: Plan, specs: dict[int, StageSpec], starter: Starter, caller_pid: int) -> int:
    """Be the supervisor; a bug of ours is told to the caller before everything is taken down."""
    supervisor = Supervisor(caller, plan, specs, starter, caller_pid)
    try:
        supervisor.run()
    except BaseException:  # a bug of ours: the caller must learn of it rather than wait
        supervisor.kill_all()
        caller.send((p.CRASH, traceback.format_exc()))
        return 1
    return 0
