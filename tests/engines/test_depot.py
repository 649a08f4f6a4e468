"""Who is shown which memory: a result that the caller can read where it lies is not copied through the socket."""

from __future__ import annotations

import pytest

from olympipe_ng.engines.codecs import EncodedCodec
from olympipe_ng.engines.process import protocol as p
from olympipe_ng.engines.process.depot import CALLER, Depot
from olympipe_ng.engines.process.shared import SharedMemory
from olympipe_ng.transport.arena import Arena, Reader
from olympipe_ng.transport.spill import Spool
from olympipe_ng.transport.wire import channel_pair

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


def test_a_worker_frees_only_what_it_wrote_itself():
    """A reference that it would have passed on, had the item not failed, is another's block at the same place of another arena."""
    announced: list[tuple[int, ...]] = []
    memory = SharedMemory(WORKER, lambda header, segments=(), fds=(): announced.append(header), complain=pytest.fail)
    assert memory.put(bytes(1 << 20)) is None
    memory.take((p.ACCEPT, announced[0][1], True), memoryview(b""), None)
    mine = memory.put(b"a" * (1 << 20))
    memory.free(mine._replace(arena=CALLER))
    assert memory.put(b"b" * (1 << 20)) != mine
    memory.free(mine)
    assert memory.put(b"c" * (1 << 20)) == mine
    memory.close()
