"""The caller's side of a run with processes: starts the supervisor, and passes messages between it and the run.

    Run ── send(event) ──► socket ──► supervisor
    Run ◄── deliver, pull, finish ... ◄── I/O thread ◄── socket

One thread, started after any fork. The supervisor's end without a ``FINISH`` is a failure of the run, never a hang; so is this thread's.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from ...errors import GraphError
from ...failures import Kind, Note
from ...origins import Origins
from ...scheduler import messages as m
from ...scheduler.statistics import NodeStatistics
from ...transport.adopt import adopt
from ...transport.by_value import ByValue
from ...transport.encoding import Encoded
from ...transport.explain import explain_unpicklable
from ...transport.importable import Stock, take_stock
from ...transport.wire import Channel, Message, channel_pair
from ..codecs import EncodedCodec
from ..contract import Delivered, Job
from . import protocol as p
from .blas import cap_threads, threads_of_run
from .boot import pack_plan
from .children import OPEN, be_supervisor, fork_child, import_for_children, starting
from .deaths import kill, wait_for
from .depot import CALLER
from .heap import kept_by_each
from .limits import LARGE_CLOSURE, check_descriptors, hold_standard, is_address_space_limited, warn_of_size
from .logs import LogDesk
from .nursery import Birth, beget
from .poller import Poller
from .shared import SharedMemory
from .starting import ForkStarter, choose_method, exec_child, take_settings
from .supervisor import supervise

__all__ = ["ProcessEngine"]

LOOK = 1.0  # seconds between two looks for the supervisor's end without a pidfd; less wakes more, more hangs longer on a held socket
ANSWER_SECONDS = 1.0  # for the supervisor to say how far it is; more keeps a display waiting, less shows a busy machine's old numbers
ORDERS = (m.Stop, m.Drain, m.Pause, m.Resume)  # of the user


class ProcessEngine:
    """Carries out a run with processes."""

    threaded = True

    def __init__(self, job: Job) -> None:
        self._job = job
        self._host = job.host
        self._method = choose_method(job.config.start_method)
        stock = self._stock = take_stock() if self._method == "fork" else None
        maps = not is_address_space_limited()
        self._shared = SharedMemory(CALLER, self._write, complain=job.host.warn, maps=maps, telling=threading.RLock())
        self.codec: Any = EncodedCodec(
            lambda: ByValue(self._define, stock),
            store=self._shared,
            memory=self._shared,
            zero_copy=job.config.zero_copy,
            together=job.config.frame_pickling == "list",
        )
        self._learner = ByValue()
        weakref.finalize(self, self._learner.close).atexit = False  # whoever still decodes an item, or an error, holds the run
        self._channel: Channel | None = None
        self._pid = 0
        self._process: Any = None
        self._birth: Birth | None = None  # of a supervisor that is not our child
        self._modules: list[str] = []  # that the graph refers to by name
        self._owner = os.getpid()
        self._finished = False
        self._failed = True  # until its end says otherwise
        self._open_sinks = {node.number for node in job.plan.sinks}
        self._thread = threading.Thread(target=self._listen, name="olympipe_ng I/O", daemon=True)
        self._answered = threading.Condition()  # whose lock a signal handler that looks at the run may hold already
        self._asked = self._answers = 0
        self._answer: Sequence[NodeStatistics] = ()
        self._desk = LogDesk()

    # --------------------------------------------------------------------------------------------------------- starting

    def start(self) -> None:
        check_descriptors(self._job.plan)
        with starting():
            self._begin()
        self._thread.start()

    def _begin(self) -> None:
        with hold_standard():
            mine, theirs = channel_pair()
        self._channel = mine.share()
        OPEN.add(self._channel)
        config, plan = self._job.config, self._job.plan
        try:
            settings = take_settings(self._method, config, threads_of_run(config.blas_threads, plan), kept_by_each(plan))
            if self._stock is not None:
                self._fork(theirs, settings, self._stock)
            else:
                self._exec(theirs, settings)
        finally:
            theirs.close()

    def _fork(self, theirs: Channel, settings: Any, stock: Stock) -> None:
        job, caller = self._job, os.getpid()
        adopt(job.specs, stock)
        import_for_children(job.specs.values())
        starter = ForkStarter(job.specs, settings, stock)

        def body() -> int:
            be_supervisor()
            cap_threads(settings.blas_threads)
            OPEN.add(theirs)
            return supervise(theirs, job.plan, dict(job.specs), starter, caller)

        fork_child(body, keep=[theirs], born=self._note_pid)
        OPEN.discard(theirs)

    def _exec(self, theirs: Channel, settings: Any) -> None:
        graph, opaque = self._dump_graph()
        if len(graph) > LARGE_CLOSURE:
            warn_of_size([spec for spec in self._job.specs.values() if not spec.plan.hub], len(graph))
        if self._method == "forkserver":
            self._birth = beget(theirs.fileno(), settings.path, settings.blas_threads)
        if self._birth is not None:
            self._pid = self._birth.pid
        else:
            exec_child("supervisor", theirs.fileno(), settings.path, blas_threads=settings.blas_threads, born=self._note_process)
        assert self._channel is not None
        header = (p.GRAPH, pack_plan(self._job.plan), tuple(settings), (len(graph), len(opaque)))
        self._channel.send(header, [graph, opaque])

    def _note_pid(self, pid: int) -> None:
        self._pid = pid

    def _note_process(self, process: Any) -> None:
        self._process, self._pid = process, process.pid

    def _dump_graph(self) -> tuple[bytes, bytes]:
        """Pickle what workers need, and apart from it what the hub needs, which holds nothing of the user's."""
        hub = {number: spec for number, spec in self._job.specs.items() if spec.plan.hub}
        users = {number: spec for number, spec in self._job.specs.items() if not spec.plan.hub}
        by_value = ByValue()
        try:
            dumped = by_value.dumps_graph(users), by_value.dumps_graph(hub)
            self._modules = by_value.named_modules()
            return dumped
        except Exception as error:  # whatever the user's functions hold: name the stage
            raise self._explain(users, error) from error

    def _explain(self, specs: dict[int, Any], error: Exception) -> GraphError:
        for spec in specs.values():
            reason = explain_unpicklable(spec.stage, "stage")
            if reason:
                where = f"stage {spec.title} ({spec.declared_at})"
                return GraphError(f"{where} cannot be sent to its workers under start_method={self._method!r}: {reason}")
        return GraphError(f"this pipeline cannot be sent to its workers under start_method={self._method!r}: {error}")

    # ---------------------------------------------------------------------------------------------------------- sending

    def send(self, event: m.Event) -> None:
        if isinstance(event, m.SourceFrame):
            header, segments = p.pack_parcel(event.parcel)
            self._write((p.SOURCE_FRAME, event.source, header), segments)
            return
        if isinstance(event, m.Took) and threading.current_thread() is not self._thread:  # which only throws away
            self._shared.tell_lent()
            self._shared.tell_returned()
        channel = self._open_channel()
        if isinstance(event, ORDERS) and channel is not None:
            channel.post(p.pack_event(event))  # a signal handler may say it, or the collector, anywhere
        else:
            self._write(p.pack_event(event))

    def _define(self, uid: str, blob: bytes) -> None:
        self._write((p.DEFINE, uid), [blob])

    def _write(self, header: tuple[Any, ...], segments: Any = (), fds: Sequence[int] = ()) -> None:
        channel = self._open_channel()
        if channel is not None:
            channel.send(header, segments, fds)

    def _open_channel(self) -> Channel | None:
        channel = self._channel
        return None if channel is None or channel.closed or os.getpid() != self._owner else channel

    def takes_all(self) -> None:
        self._write((p.TAKES_ALL,))

    def wait(self) -> None:
        raise AssertionError("this engine has a thread of its own")

    def waits_for(self, thread: threading.Thread) -> bool:
        ours = thread is self._thread or self._desk.works_on(thread)
        return ours or (self._channel is not None and self._channel.is_sending(thread.ident))

    def statistics(self) -> Sequence[NodeStatistics]:
        """Ask how far the run is. In the middle of a message of the same thread, where a signal handler looks, no question can go out:
        what was answered last is known."""
        channel = self._open_channel()
        if channel is not None and not self._finished:
            with self._answered:
                channel.post((p.STATISTICS,))
                self._asked += 1
                mine = self._asked
                if not channel.is_sending(threading.get_ident()):
                    self._answered.wait_for(lambda: self._finished or self._answers >= mine, ANSWER_SECONDS)
        return self._answer

    def _take_answer(self, statistics: Sequence[NodeStatistics]) -> None:
        with self._answered:
            self._answer = statistics
            self._answers += 1
            self._answered.notify_all()

    # -------------------------------------------------------------------------------------------------------- listening

    def _listen(self) -> None:
        channel = self._channel
        assert channel is not None
        try:
            for message in self._messages(channel):
                self._take(*message)
        except BaseException:  # a bug of ours: the user must learn of it rather than wait
            self._end(Note(Kind.INTERNAL, summary=f"the I/O thread failed\n{traceback.format_exc()}"), "", self._answer)
            channel.hang_up()
        self._desk.finish()  # here, and so is the supervisor reaped, for nobody closes a run that was dropped
        self._shared.over()
        if not self._finished:
            summary = f"the supervisor process (pid {self._pid}) died"
            self._end(Note(Kind.INTERNAL, summary=summary, hint="Was it killed? Its workers ended with it."), "", self._answer)
        self._reap()

    def _messages(self, channel: Channel) -> Iterator[Message]:
        """Give what the supervisor says until its socket ends, or it does: a child that another thread of the user's forked while this run
        began may hold the socket's other end."""
        poller = Poller()
        poller.watch(channel.fileno(), lambda mask: None)
        ended: list[int] = []
        pidfd = poller.watch_pid(self._pid, ended.append)
        try:
            while not channel.closed:
                poller.wait(LOOK if pidfd is None else None)
                yield from channel.receive_nowait()
                if ended or (pidfd is None and self._has_ended()):
                    while messages := channel.receive_nowait():
                        yield from messages
                    return
        finally:
            if pidfd is not None:
                os.close(pidfd)

    def _has_ended(self) -> bool:
        """Look for the supervisor's end, where no descriptor stands for it; one that a nursery begat is not ours to be looked for."""
        if self._birth is not None or self._process is not None:
            return self._process is not None and self._process.poll() is not None
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # whoever waits for all children was first
            return True

    def _take(self, header: tuple[Any, ...], payload: memoryview) -> None:
        kind, host = header[0], self._host
        if self._desk.take(header):
            return
        if kind == p.RETIRED and not self._open_sinks:
            return  # what was delivered and not taken yet is still read from there
        if self._channel is not None and self._shared.take(header, payload, self._channel):
            return
        if kind == p.DELIVER:
            encoded = Encoded.from_wire(header[3], payload)
            host.deliver(header[1], Delivered(encoded, 0, header[2], Origins(header[4]), header[5]))
        elif kind == p.PULL:
            host.pull(*header[1:])
        elif kind == p.SINK_END:
            self._open_sinks.discard(header[1])
            host.sink_end(header[1], p.unpack_note(header[2]))
        elif kind == p.CLOSE_SOURCE:
            host.close_source(*header[1:])
        elif kind == p.RECORD:
            host.record(p.unpack_note(header[1]))
        elif kind == p.WARN:
            host.warn(header[1])
        elif kind == p.DEFINE:
            self._learner.learn(header[1], bytes(payload))
        elif kind == p.STATISTICS:
            self._take_answer(p.unpack_statistics(header[1]))
        elif kind == p.FINISH:
            self._end(p.unpack_note(header[1]), header[2], p.unpack_statistics(header[3]))
        elif kind == p.CRASH:
            self._end(Note(Kind.INTERNAL, summary=f"the supervisor failed\n{header[1]}"), "", self._answer)

    def _end(self, note: Note | None, complaint: str, statistics: Sequence[NodeStatistics]) -> None:
        self._finished = True
        self._failed = note is not None
        self._take_answer(statistics)
        self._host.finish_run(note, complaint, statistics)

    # ----------------------------------------------------------------------------------------------------------- ending

    def close(self, seconds: float) -> list[str]:
        """Wait for the supervisor's end, which means everybody's; kill it if it does not come."""
        if os.getpid() != self._owner:
            return []
        until = time.monotonic() + seconds
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join(max(0.0, until - time.monotonic()))
        pid = self._pid
        if self._thread.is_alive() and pid:
            kill(pid)
            self._thread.join(1.0)
        if self._channel is not None:
            OPEN.discard(self._channel)
            self._channel.close()
        self._desk.close()
        if not self._host.unread:
            self._shared.close()
        self._reap()
        return []

    def _reap(self) -> None:
        pid = self._pid
        birth, self._birth = self._birth, None
        if birth is not None:
            self._pid = 0  # reaped elsewhere, so that it may soon be another's: who closes the run meanwhile must not kill it
            birth.reap(() if self._failed else self._modules)
        elif self._process is not None:
            self._process.wait()
        elif pid:
            wait_for(pid)
        self._pid = 0

