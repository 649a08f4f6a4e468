"""Messages over a stream socket."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympipe_ng.transport import incoming, wire
from olympipe_ng.transport.wire import Channel, channel_pair
from tests.strategies import lists_of

HEADERS = st.tuples(st.integers(), st.text(max_size=20), st.binary(max_size=40), st.none() | st.booleans() | st.floats(allow_nan=False))
MESSAGES = lists_of(st.tuples(HEADERS, lists_of(st.binary(max_size=300), 5, 2)), 12)


@pytest.fixture
def pair():
    left, right = channel_pair()
    yield left, right
    left.close()
    right.close()


@contextlib.contextmanager
def no_descriptors_left(resource):
    """Let this process open no other file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.closing(os.fdopen(os.dup(0), closefd=True)) as highest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno() + 1, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def stream_of(messages):
    """Return the bytes that these messages are on the wire."""
    left, right = socket.socketpair()
    sender = Channel(left)
    thread = threading.Thread(target=lambda: ([sender.send(header, segments) for header, segments in messages], sender.close()))
    thread.start()
    with right:
        data = b"".join(iter(lambda: right.recv(1 << 16), b""))
    thread.join()
    return data


def test_a_message_arrives_as_it_was_sent(pair):
    """A header is plain data; the payload is the segments, joined."""
    left, right = pair
    assert left.send(("frame", 3, None, 2.5, b"x"), [b"ab", bytearray(b"cd"), memoryview(b"ef")])
    header, payload = right.receive()
    assert header == ("frame", 3, None, 2.5, b"x")
    assert bytes(payload) == b"abcdef"


def test_the_programs_default_timeout_of_sockets_is_none_of_a_channels():
    """Neither does what must not wait wait for it, nor does what waits end with it."""
    socket.setdefaulttimeout(0.01)
    try:
        left, right = channel_pair()
    finally:
        socket.setdefaulttimeout(None)
    with contextlib.closing(left), contextlib.closing(right):
        assert os.get_blocking(right.fileno())
        assert right.receive_nowait() == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(MESSAGES, st.integers(1, 50))
def test_messages_arrive_whole_however_the_stream_is_cut(messages, step):
    """Byte by byte or in any pieces, the same messages come out, in order."""
    data = stream_of(messages)
    left, right = socket.socketpair()
    reader = Channel(right)
    got = []
    for at in range(0, len(data), step):
        left.sendall(data[at : at + step])
        got += reader.receive_nowait()
    left.close()
    got += reader.receive_nowait()
    reader.close()
    assert [(header, bytes(payload)) for header, payload in got] == [(header, b"".join(segments)) for header, segments in messages]


def test_a_large_message_arrives_byte_by_byte(monkeypatch):
    """A message that goes straight into memory of its own is kept between reads."""
    monkeypatch.setattr(incoming, "LARGE", 64)
    test_messages_arrive_whole_however_the_stream_is_cut.hypothesis.inner_test([(("a",), [b"x" * 500]), (("b",), [b"y" * 10])], 1)


@pytest.mark.parametrize("segments", [[b""], [b"", b"ab"], [b"", memoryview(b""), b"y" * 5000, b""]])
def test_segments_may_be_empty_behind_a_header_of_any_size(pair, segments):
    """A piece without a byte would be written again and again, for ever."""
    left, right = pair
    for text in ("x", "x" * 5000):
        left.queue((text,), segments)
        assert left.flush()
        header, payload = right.receive()
        assert header == (text,)
        assert bytes(payload) == b"".join(segments)


def test_a_message_larger_than_the_socket_passes(pair):
    """Blocking send and receive move what no buffer holds."""
    left, right = pair
    blob = os.urandom(5_000_000)
    thread = threading.Thread(target=left.send, args=(("big",), [blob[:7], blob[7:]]))
    thread.start()
    header, payload = right.receive()
    thread.join()
    assert header == ("big",)
    assert payload == blob


def test_more_segments_than_one_call_takes_pass(pair):
    """A thousand large segments and more are sent in several calls."""
    left, right = pair
    segments = [bytes([i % 256]) * wire.JOIN for i in range(wire.IOV_MAX + 500)]
    thread = threading.Thread(target=left.send, args=((), segments))
    thread.start()
    _, payload = right.receive()
    thread.join()
    assert payload == b"".join(segments)


def test_queue_and_flush_never_wait(pair):
    """What the socket does not take stays pending, and goes when there is room."""
    left, right = pair
    blob = bytes(3_000_000)
    left.queue((1,), [blob])
    left.queue((2,), [b"end"])
    assert not left.flush()
    assert 0 < left.pending <= len(blob) + 100
    got = []
    while not left.flush():
        got += right.receive_nowait()
    assert left.pending == 0
    while len(got) < 2:
        got += right.receive_nowait()
    assert [(header, len(payload)) for header, payload in got] == [((1,), len(blob)), ((2,), 3)]


def test_receive_nowait_has_nothing_when_nothing_came(pair):
    """No message is an empty list, and no end of the conversation."""
    left, right = pair
    assert right.receive_nowait() == []
    assert not right.closed
    left.send((1,))
    assert right.receive_nowait() == [((1,), memoryview(b""))]


def test_the_end_is_none_and_closed(pair):
    """A peer that closed is told apart from one that is silent."""
    left, right = pair
    left.send(("last words",))
    left.close()
    assert right.receive()[0] == ("last words",)
    assert right.receive() is None
    assert right.closed


def test_half_a_message_at_the_end_counts_as_nothing():
    """A peer that dies while it sends leaves its whole messages, and no more."""
    data = stream_of([((1,), [b"whole"]), ((2,), [b"half"])])
    left, right = socket.socketpair()
    left.sendall(data[:-1])
    left.close()
    reader = Channel(right)
    assert [header for header, _ in reader.receive_nowait()] == [(1,)]
    assert reader.receive_nowait() == []
    assert reader.closed
    reader.close()


def test_sending_to_a_dead_peer_is_no_error(pair):
    """A gone peer makes send false and flush a no-op, whatever was queued."""
    left, right = pair
    left.queue((0,), [bytes(3_000_000)])
    left.flush()
    right.close()
    assert left.flush()
    assert left.pending == 0
    assert not left.send((1,), [b"x"])
    left.queue((2,), [b"x"])
    assert left.pending == 0


def test_a_message_that_is_on_its_way_when_another_thread_closes_the_channel_is_dropped(pair, monkeypatch):
    """As one to a dead peer: whoever takes results while another stops the run is to meet its end."""
    sender, write = pair[0].share(), pair[0]._write
    monkeypatch.setattr(sender, "_write", lambda flags: (sender.close(), write(flags)))
    assert not sender.send((1, "two"), [b"three"])


def test_a_reset_connection_is_an_end(pair):
    """A peer that closes with our bytes unread resets us: that is an end as well."""
    left, right = pair
    left.send((1,))
    right.send((2,))
    right.close()
    assert left.receive()[0] == (2,)
    assert left.receive() is None


def test_small_payloads_are_kept_apart_from_the_reused_buffer(pair):
    """A payload that was received is not overwritten by later ones."""
    left, right = pair
    left.send((1,), [b"first"])
    _, first = right.receive()
    for number in range(3000):
        left.send((number,), [b"later" * 10])
        right.receive()
    assert first == b"first"


def test_poll_readable_knows_of_messages_already_read(pair):
    """A message that came along with an earlier one is readable, though the socket is empty."""
    left, right = pair
    assert not right.poll_readable(0)
    left.send((1,))
    left.send((2,))
    assert right.poll_readable(0)
    right.receive()
    assert right.poll_readable(0)
    right.receive()
    assert not right.poll_readable(0.001)


@pytest.mark.parametrize("way", ["send", "post"])
def test_threads_may_share_a_locked_channel(way):
    """With a lock, messages of several threads never mix, and those of one stay in order, whoever sends them."""
    left, right = socket.socketpair()
    sender, reader = Channel(left).share(), Channel(right)
    say = getattr(sender, way)
    threads = [threading.Thread(target=lambda n=n: [say((n, i), [bytes([n]) * 50_000]) for i in range(40)]) for n in range(4)]
    for thread in threads:
        thread.start()
    got = [reader.receive() for _ in range(160)]
    for thread in threads:
        thread.join()
    assert all(bytes(payload) == bytes([header[0]]) * 50_000 for header, payload in got)
    for number in range(4):
        assert [header[1] for header, _ in got if header[0] == number] == list(range(40))
    sender.close()
    reader.close()


def test_a_header_that_is_no_plain_data_leaves_the_channel_usable(pair):
    """A mistake of ours is raised, and nothing of it is sent."""
    left, right = pair
    with pytest.raises(ValueError, match="unmarshallable"):
        left.send((object(),))
    left.send((1,))
    assert right.receive()[0] == (1,)


def test_descriptors_come_with_their_messages(pair):
    """Each message that carried descriptors has its own tuple of them, in order, among messages without."""
    left, right = pair
    ends = [os.pipe() for _ in range(3)]
    left.send(("plain",), [b"x" * 10])
    left.send(("one",), [b"y"], fds=[ends[0][1]])
    left.send(("plain",))
    left.send(("two",), [b"z" * 100_000], fds=[ends[1][1], ends[2][1]])
    got = [right.receive()[0][0] for _ in range(4)]
    assert got == ["plain", "one", "plain", "two"]
    assert [len(fds) for fds in right.descriptors] == [1, 2]
    for number, fd in enumerate(fd for fds in right.descriptors for fd in fds):
        os.write(fd, b"%d" % number)
        assert os.read(ends[number][0], 10) == b"%d" % number
        assert not os.get_inheritable(fd)
    for fd in (fd for both in ends for fd in both):
        os.close(fd)


def test_descriptors_that_were_queued_go_with_the_right_byte(pair):
    """Behind a message that fills the socket, descriptors wait for their own message."""
    left, right = pair
    read, write = os.pipe()
    left.queue((1,), [bytes(2_000_000)])
    left.queue((2,), [b"x"], fds=[write])
    left.queue((3,), [bytes(2_000_000)])
    got = []
    while not left.flush() or len(got) < 3:
        got += right.receive_nowait()
        if len(got) == 1:
            assert not right.descriptors
    assert [header for header, _ in got] == [(1,), (2,), (3,)]
    assert len(right.descriptors) == 1
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("sent", [True, False])
def test_descriptors_may_be_closed_at_once_where_the_channel_keeps_its_own(pair, tmp_path, sent):
    """What is queued goes out though its file was closed meanwhile, and none is left open, sent or not."""
    left, right = pair
    (tmp_path / "file").write_text("here")
    before = len(os.listdir("/proc/self/fd"))
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    left.queue(("file",), (), [fd], keep_fds=True)
    os.close(fd)
    if sent:
        assert left.flush()
        assert right.receive()[0] == ("file",)
        [(came,)] = right.descriptors
        assert os.pread(came, 9, 0) == b"here"
        os.close(right.descriptors.popleft()[0])
    else:
        left.close()
        before -= 1
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_is_queued_where_the_channel_cannot_keep_descriptors_of_its_own(pair):
    """At the descriptor limit those that were given may be closed: neither they are sent nor what has their number by then."""
    resource = pytest.importorskip("resource")
    left, right = pair
    fd = os.dup(0)
    with no_descriptors_left(resource), pytest.raises(OSError, match="Too many open files"):
        left.queue(("lost",), (), [fd], keep_fds=True)
    os.close(fd)
    left.queue(("next",))
    assert left.flush()
    assert [header for header, _ in right.receive_nowait()] == [("next",)]
    assert not right.descriptors


def test_descriptors_beyond_the_limit_leave_a_short_tuple(pair):
    """At the descriptor limit the message still comes, its tuple says what is missing."""
    resource = pytest.importorskip("resource")
    left, right = pair
    fds = [os.dup(0) for _ in range(4)]
    left.send(("fds",), [b"x"], fds=fds)
    with no_descriptors_left(resource):
        header, payload = right.receive()
    assert header == ("fds",)
    assert payload == b"x"
    assert len(right.descriptors.popleft()) < 4
    for fd in fds:
        os.close(fd)


def test_closing_closes_descriptors_that_nobody_took(pair):
    """Nothing is left open behind a closed channel."""
    left, right = pair
    read, write = os.pipe()
    left.send((), fds=[write])
    right.receive()
    right.close()
    os.close(write)
    assert os.read(read, 1) == b""
    os.close(read)


def test_lengths_have_64_bits():
    """More than 4 GiB is announced as such."""
    assert wire.PREFIX.size == struct.calcsize("<QI") == 12
    assert wire.PREFIX.unpack(wire.PREFIX.pack(5 << 32, 7)) == (5 << 32, 7)


def test_a_large_payload_is_held_once(pair):
    """Receiving takes the message's own size in memory, not twice."""
    left, right = pair
    blob = bytes(8_000_000)
    thread = threading.Thread(target=left.send, args=((), [blob]))
    tracemalloc.start()
    try:
        thread.start()
        right.receive()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    thread.join()
    assert peak < 1.2 * len(blob)
