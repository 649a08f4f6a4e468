"""Who is shown which memory: a result that the caller can read where it lies is not copied through the socket."""

from __future__ import annotations

import threading

import pytest

from olympipe_ng import Pipeline
from olympipe_ng.caller import Caller
from olympipe_ng.engines.codecs import EncodedCodec
from olympipe_ng.engines.process import protocol as p
from olympipe_ng.engines.process.depot import CALLER, Depot
from olympipe_ng.engines.process.shared import WAITS, SharedMemory
from olympipe_ng.engines.process.worker import WorkerProcess
from olympipe_ng.options import RunConfig
from olympipe_ng.plan import make_plan
from olympipe_ng.scheduler.messages import Done, Took
from olympipe_ng.transport.arena import Arena, Reader
from olympipe_ng.transport.encoding import BufferRef
from olympipe_ng.transport.spill import Spool
from olympipe_ng.transport.wire import channel_pair
from olympipe_ng.worker import make_specs

WORKER = 7


@pytest.mark.parametrize("maker", [WORKER, CALLER])
def test_the_caller_is_shown_each_segment_when_it_is_made_its_own_too(maker):
    """Until it has said that it sees it, results that lie there come as bytes."""
    supervisor, caller = channel_pair()
    depot, reader = Depot(lambda number: supervisor, Spool()), Reader()
    arena = Arena(maker, lambda segment, fd: caller.send((p.SEGMENT, segment), (), [fd]))
    assert arena.put(bytes(1 << 20)) is None  # nobody has accepted the segment yet
    [(header, _)] = supervisor.receive_nowait()
    assert depot.take(maker, header, supervisor)
    supervisor.flush()
    shown = {message[0]: message for message, _ in caller.receive_nowait()}
    assert set(shown) == {p.ACCEPT, p.SEGMENT}
    arena.accept(0)

    encoder = EncodedCodec(store=arena).encoder()
    encoder.add(bytes(1 << 20))
    payload = encoder.take()
    assert payload.refs()
    depot.hold(payload)
    assert not depot.for_caller(supervisor, payload).refs()
    assert reader.add(*shown[p.SEGMENT][1:], caller.descriptors.popleft())
    depot.take(CALLER, (p.MAPPED, maker, 0), supervisor)
    assert depot.for_caller(supervisor, payload) is payload
    for each in (depot, reader, arena, supervisor, caller):
        each.close()


class Talk:
    """A worker's half of shared memory, whose supervisor is the test."""

    def __init__(self, *answers: bool):
        self.said: list[tuple[int, ...]] = []
        self.answers = list(answers)
        self.memory = SharedMemory(WORKER, self.send, complain=pytest.fail, await_answer=self.answer if answers else None)

    def send(self, header, segments=(), fds=()):
        self.said.append(header)

    def answer(self):
        """Answer the newest announcement."""
        self.memory.take((p.ACCEPT, self.said[-1][1], self.answers.pop(0)), memoryview(b""), None)


@pytest.fixture
def talk():
    made: list[Talk] = []

    def make(*answers):
        made.append(Talk(*answers))
        return made[-1]

    yield make
    for each in made:
        each.memory.close()


def test_a_worker_frees_only_what_it_wrote_itself(talk):
    """A reference that it would have passed on, had the item not failed, is another's block at the same place of another arena."""
    memory = talk(True).memory
    mine = memory.put(b"a" * WAITS)
    memory.free(mine._replace(arena=CALLER))
    assert memory.put(b"b" * WAITS) != mine
    memory.free(mine)
    assert memory.put(b"c" * WAITS) == mine


def test_a_large_item_waits_for_its_segment_and_a_smaller_one_is_sent_at_once(talk):
    """An answer takes a millisecond, as a megabyte in a message does."""
    first = talk(True)
    assert first.memory.put(bytes(WAITS - 1)) is None
    assert first.answers == [True]
    assert first.memory.put(bytes(WAITS)).offset == 0
    assert [header[0] for header in first.said] == [p.SEGMENT]


def test_a_large_item_is_sent_when_its_segment_is_refused(talk):
    """At a limit of descriptors the supervisor takes none."""
    refused = talk(False)
    assert refused.memory.put(bytes(WAITS)) is None
    assert refused.memory.put(bytes(WAITS)) is None
    assert len(refused.said) == 1


def test_nobody_waits_who_does_not_listen_himself(talk):
    """The thread that listens may itself wait for the one that writes: then neither would ever go on."""
    assert talk().memory.put(bytes(WAITS)) is None


def test_who_reads_one_pipeline_tells_of_an_item_only_when_what_another_reader_tells_for_it_is_sent():
    """Two threads read two pipelines of a run: what was lent to either is told by whoever comes first."""
    numbers = Pipeline(range(3), engine="process", start_method="fork", zero_copy=True)
    engine = Caller([numbers.outlet, numbers.task(abs).outlet], RunConfig(start_method="fork"), [False, False]).engine
    other = threading.Thread(target=engine.send, args=(Took(2, 1),))
    said = overtaken_by(other, engine._shared)
    engine._write = engine._shared._send
    engine.send(Took(1, 1))
    other.join()
    assert said == [p.LENT, p.EVENT, p.EVENT]


def overtaken_by(other, memory):
    """Have another thread come along while it is told what was lent; return what is said, in order."""
    lent, said, lock = [[BufferRef(CALLER, 0, 0, 9)], [], []], [], memory._telling
    waits = threading.Event()

    class Watched:
        def __enter__(self):
            if threading.current_thread() is other:
                waits.set()
            lock.acquire()

        def __exit__(self, *error):
            lock.release()

    def send(header, *more):
        if header[0] == p.LENT:
            other.start()
            assert waits.wait(20)
        said.append(header[0])

    memory._telling = Watched()
    memory._send = send
    memory._reader.take_lent = lambda: lent.pop(0)
    return said


def test_a_lane_tells_of_its_item_only_when_what_another_tells_for_it_is_sent():
    """What was lent to it is told by whoever comes first; the item's memory would be used again if it were settled before that."""
    plan, nodes = make_plan([Pipeline([1]).task(abs, threads=2).outlet], RunConfig())
    specs, (mine, theirs) = make_specs(plan, nodes, RunConfig()), channel_pair()
    worker = WorkerProcess(mine, WORKER, 0, specs[1], zero_copy=True, together=False, stock=None, kept=0)
    other = threading.Thread(target=worker._told, args=(Done(WORKER, 2, 1),))
    said = overtaken_by(other, worker._shared)
    worker._send = worker._shared._send
    worker._told(Done(WORKER, 1, 1))
    other.join()
    assert said == [p.LENT, p.DONE, p.DONE]
    for each in (mine, theirs):
        each.close()
