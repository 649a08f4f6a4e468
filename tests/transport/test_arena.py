"""Large buffers in shared memory: where they lie, how much room there is, and how they pass between real processes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympipe_ng.transport import arena as module
from olympipe_ng.transport.arena import Arena, Keeper, Reader, arena_supported
from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.encoding import BufferRef, Encoded, Encoder, decode
from olympipe_ng.transport.wire import channel_pair
from tests.strategies import lists_of
from tests.transport.memory import MB, Trio

pytestmark = pytest.mark.skipif(not arena_supported(), reason="no memory by descriptor here")


# --------------------------------------------------------------------------------------------------------------- allocation


@settings(deadline=None, derandomize=True, max_examples=60)
@given(lists_of(st.integers(1, 40_000) | st.tuples(st.integers(0, 50)), 60))
def test_blocks_never_overlap_and_come_back(steps):
    """Whatever is put, and freed in whatever order: each block keeps its bytes, and in the end all room is one again."""
    trio = Trio()
    held = {}
    for number, step in enumerate(steps):
        if isinstance(step, int):
            data = bytes([number]) * step
            held[trio.put(data)] = data
        elif held:
            ref = list(held)[step[0] % len(held)]
            trio.arena.free(ref)
            del held[ref]
    trio.show(held)
    for ref, data in held.items():
        assert trio.reader.view(ref) == data
        trio.arena.free(ref)
        trio.arena.free(ref)
    assert trio.arena.used == 0
    assert not any(segment.space.end for segment in trio.arena._segments)
    trio.close()


def test_memory_is_used_again(trio):
    """A stream through one block reserves no more than one step."""
    for number in range(100):
        ref = trio.put(bytes([number]) * 300_000)
        assert ref.offset == 0
        trio.arena.free(ref)
    assert trio.arena.reserved == module.STEP


def test_a_segment_is_used_only_once_it_was_accepted():
    """Before the supervisor has the descriptor nothing lies there; refused, nothing ever does."""
    told = []
    arena = Arena(1, lambda *args: told.append(args))
    assert arena.put(bytes(MB)) is None
    assert arena.put(bytes(MB)) is None
    assert len(told) == 1
    arena.accept(0)
    assert arena.put(bytes(MB)).length == MB
    arena.close()
    arena = Arena(1, lambda segment, fd: arena.refuse(segment))
    assert [arena.put(bytes(MB)) for _ in range(3)] == [None] * 3
    assert not arena.waiting
    arena.close()


def test_there_is_a_limit(monkeypatch):
    """Beyond its limit an arena has no room, nor a segment that would be of no use; freeing makes some."""
    trio = Trio(limit=3 * MB)
    refs = [trio.put(bytes(MB)) for _ in range(5)]
    assert [ref is None for ref in refs] == [False, False, False, True, True]
    assert len(trio.arena._segments) == 1
    trio.arena.free(refs[1])
    assert trio.put(bytes(MB)).offset == MB
    assert trio.arena.used == 3 * MB
    trio.close()


def test_a_second_segment_is_announced_when_the_first_is_full(monkeypatch):
    """An item larger than a segment has one of its own size."""
    monkeypatch.setattr(module, "SEGMENT", 2 * MB)
    trio = Trio()
    refs = [trio.put(bytes([n]) * size) for n, size in enumerate([MB, MB, MB, 5 * MB])]
    assert [ref.segment for ref in refs] == [0, 0, 1, 2]
    trio.show(refs)
    assert [trio.reader.view(ref)[-1] for ref in refs] == [0, 1, 2, 3]
    trio.close()


def test_a_segment_that_is_full_keeps_what_it_has(monkeypatch):
    """An idle moment gives back what is not used, and here there is nothing of that."""
    monkeypatch.setattr(module, "SEGMENT", 2 * MB)
    trio = Trio()
    refs = [trio.put(bytes([n]) * MB) for n in range(2)]
    trio.arena.trim()
    trio.show(refs)
    assert [trio.reader.view(ref)[-1] for ref in refs] == [0, 1]
    trio.close()


def test_no_memory_is_no_failure(monkeypatch, trio):
    """Where nothing can be reserved, put says so; memory that is there goes on being used."""
    held = trio.put(bytes(MB))

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert trio.put(bytes(MB)) is None
    trio.arena.free(held)
    assert trio.put(bytes(MB)) is not None
    monkeypatch.undo()
    assert trio.put(bytes(MB)) is not None


def test_no_descriptor_or_address_space_is_no_failure(monkeypatch):
    """A segment that cannot be made leaves everything inline."""
    for name in ("memfd_create", "ftruncate"):
        trio = Trio()
        monkeypatch.setattr(os, name, lambda *args: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        assert trio.put(bytes(MB)) is None
        monkeypatch.undo()
        trio.close()


def test_a_file_size_limit_is_no_failure():
    """Under a real limit of the system the process lives, and everything goes inline."""
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "from olympipe_ng.transport.arena import Arena\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "a = Arena(1, lambda s, fd: a.accept(s)); a.put(bytes(1 << 21)); print(a.put(bytes(1 << 21)))"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "None\n", done.stderr


def test_memory_is_reserved_in_steps(trio, monkeypatch):
    """A timer of the user's that goes off again and again interrupts one of them, not all: some systems begin an interrupted one anew."""
    lengths = []
    monkeypatch.setattr(os, "posix_fallocate", lambda fd, offset, length: lengths.append(length))
    trio.put(b"x" * (20 * MB + 5))
    assert lengths == [module.STEP] * 21


def test_memory_is_given_back_also_where_a_task_has_limited_the_size_of_files(trio):
    """The segment keeps its size: memory that was cut off could not be put back."""
    ref = trio.put(b"x" * (20 * MB))
    trio.arena.free(ref)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MB, before[1]))
    try:
        trio.arena.trim()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert trio.arena.reserved <= module.KEPT
    again = trio.arena.put(b"y" * (20 * MB))
    trio.show([again])
    with trio.reader.view(again) as view:
        assert view[-1] == ord("y")


def test_idle_memory_goes_back_to_the_system(trio):
    """Trimming keeps what is in use and a little more."""
    refs = [trio.put(bytes([n]) * 4 * MB) for n in range(8)]
    fd = trio.arena._segments[0].fd
    for ref in refs[2:]:
        trio.arena.free(ref)
    trio.arena.trim()
    assert trio.arena.reserved == 8 * MB
    assert os.fstat(fd).st_blocks * 512 == 8 * MB
    trio.show(refs)
    assert trio.reader.view(refs[1]) == bytes([1]) * 4 * MB
    again = trio.put(b"x" * 6 * MB)
    assert trio.reader.view(again) == b"x" * 6 * MB
    for ref in (*refs[:2], again):
        trio.arena.free(ref)
    trio.arena.trim()
    assert trio.arena.reserved == module.KEPT


# -------------------------------------------------------------------------------------------------------- several processes


def in_child(work):
    """Run ``work(channel)`` in a forked process; return our end and the child's pid."""
    ours, theirs = channel_pair()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            ours.close()
            work(theirs)
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    return ours, pid


def produce(channel, count, wait=True):
    """Make ``count`` arrays, one message each, under credit."""

    def announce(segment, fd):
        channel.send(("segment", segment), fds=[fd])
        arena.accept(channel.receive()[0][1])

    arena = Arena(1, announce)
    encoder = Encoder(ByValue(), arena)
    encoder.add(np.zeros(MB, "u1"))  # inline: it makes the arena known
    encoder.take()
    for number in range(count):
        encoder.add({"number": number, "array": np.full(MB, number % 256, "u1")})
        encoded = encoder.take()
        channel.send(("frame", encoded.header()), encoded.segments())
        if arena.used >= 4 * MB:
            arena.free(BufferRef(*channel.receive()[0][1]))
    if wait:
        channel.receive()


def consume(channel):
    """Add up what comes."""
    reader, total = Reader(), 0
    while (message := channel.receive()) is not None:
        (kind, *what), payload = message
        if kind == "segment":
            assert reader.add(*what, channel.descriptors.popleft())
        elif kind == "frame":
            (item,) = decode(Encoded.from_wire(what[0], payload), memory=reader)
            assert (item["array"] == item["number"] % 256).all()
            total += item["number"]
            channel.send(("done",))
        else:
            channel.send(("total", total))


def test_arrays_stream_through_three_processes():
    """Producer, supervisor and consumer, each block written once and used again; the supervisor never sees a pixel."""
    producer, producer_pid = in_child(lambda channel: produce(channel, 50))
    consumer, consumer_pid = in_child(consume)
    keeper, seen = Keeper(), 0
    while seen < 50:
        (kind, what), payload = producer.receive()
        if kind == "segment":
            assert keeper.add(1, what, producer.descriptors.popleft())
            producer.send(("accept", what))
            continue
        encoded = Encoded.from_wire(what, payload)
        seen += 1
        assert len(payload) < 1000
        keeper.hold(encoded.refs())
        for arena, segment, fd in keeper.missing("consumer", encoded.refs()):
            consumer.send(("segment", arena, segment), fds=[fd])
        consumer.send(("frame", encoded.header()), encoded.segments())
        assert consumer.receive()[0] == ("done",)
        for ref in keeper.release(encoded.refs())[1]:
            producer.send(("free", tuple(ref)))
    consumer.send(("sum",))
    assert consumer.receive()[0] == ("total", sum(range(50)))
    assert os.fstat(keeper._fds[1, 0]).st_blocks * 512 <= 6 * MB
    for channel, pid in ((producer, producer_pid), (consumer, consumer_pid)):
        channel.close()
        assert os.waitpid(pid, 0)[1] == 0
    keeper.close()


def test_data_survive_their_producers_death():
    """A frame of a producer that was killed is delivered all the same, twice if need be."""
    producer, pid = in_child(lambda channel: produce(channel, 2))
    (_, segment), _ = producer.receive()
    keeper = Keeper()
    assert keeper.add(1, segment, producer.descriptors.popleft())
    producer.send(("accept", segment))
    frames = [producer.receive() for _ in range(2)]
    encoded = [Encoded.from_wire(header[1], payload) for header, payload in frames]
    for each in encoded:
        keeper.hold(each.refs())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert producer.receive() is None
    keeper.owner_gone(1)
    for _ in range(2):
        consumer, consumer_pid = in_child(consume)
        for arena, number, fd in keeper.missing("consumer", encoded[1].refs()):
            consumer.send(("segment", arena, number), fds=[fd])
        consumer.send(("frame", encoded[1].header()), encoded[1].segments())
        assert consumer.receive()[0] == ("done",)
        consumer.send(("sum",))
        assert consumer.receive()[0] == ("total", 1)
        keeper.consumer_gone("consumer")
        consumer.close()
        os.waitpid(consumer_pid, 0)
    for each in encoded:
        keeper.release(each.refs())
    assert keeper._fds == {}
    producer.close()
