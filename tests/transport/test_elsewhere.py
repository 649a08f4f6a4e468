"""What other systems refuse, or do not have, in the transport: told to it by hand."""

from __future__ import annotations

import errno
import mmap
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from olympipe_ng.transport import incoming, wire
from olympipe_ng.transport.arena import Arena, arena_supported
from olympipe_ng.transport.wire import channel_pair

MB = 1 << 20


class Unremovable(mmap.mmap):
    """Memory of a kernel that takes nothing back (gVisor's)."""

    def madvise(self, *advice):
        raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.skipif(not arena_supported(), reason="no memory by descriptor here")
def test_memory_that_the_system_does_not_take_back_is_kept(monkeypatch):
    """Nobody dies of it, and what is kept is used again."""
    monkeypatch.setattr(mmap, "mmap", Unremovable)
    arena = Arena(1, lambda segment, fd: arena.accept(segment))
    try:
        assert arena.put(bytes(8 * MB)) is None  # it has to be announced first
        ref = arena.put(bytes(8 * MB))
        arena.free(ref)
        arena.trim()
        assert arena.reserved == 8 * MB == os.fstat(arena._segments[0].fd).st_blocks * 512
        assert arena.put(bytes(8 * MB)) == ref
    finally:
        arena.close()


def test_descriptors_that_came_are_not_inherited_where_the_system_cannot_be_asked_for_that(monkeypatch):
    """MSG_CMSG_CLOEXEC is of Linux: elsewhere each is told."""
    monkeypatch.setattr(incoming, "CLOEXEC", 0)
    left, right = channel_pair()
    try:
        left.send(("take",), (), [1, 2])
        right.receive()
        assert [os.get_inheritable(fd) for fd in right.descriptors[0]] == [False, False]
    finally:
        left.close()
        right.close()


MOST = 1 << 16


class Strict(socket.socket):
    """A socket that takes and gives at most so many bytes a call, as macOS's do (2 GiB), whether it is full or not."""

    def send(self, data, flags=0):
        return self.sendmsg([data], (), flags)

    def sendmsg(self, buffers, ancillary=(), flags=0):
        buffers = list(buffers)
        self._look(buffers)
        return super().sendmsg(buffers, ancillary, flags)

    def recvmsg_into(self, buffers, *more):
        self._look(buffers)
        return super().recvmsg_into(buffers, *more)

    def _look(self, buffers):
        if sum(map(len, buffers)) > MOST:
            raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize("fds", [[], [0]])
def test_no_call_moves_more_than_a_system_takes_at_once(monkeypatch, fds):
    """A message of any size travels in parts, with descriptors and without."""
    monkeypatch.setattr(wire, "AT_MOST", MOST)
    monkeypatch.setattr(incoming, "AT_MOST", MOST)
    left, right = (wire.Channel(Strict(fileno=end.detach())) for end in socket.socketpair())
    segments = [bytes([k]) * size for k, size in enumerate((10, 5 * MOST + 1, MOST, 7, 3 * MOST - 1))]
    try:
        left.queue(("large",), segments, fds, keep_fds=True)
        left.queue(("small",))
        messages = []
        while len(messages) < 2:
            left.flush()
            messages += right.receive_nowait()
        assert [header for header, _ in messages] == [("large",), ("small",)]
        assert messages[0][1] == b"".join(segments)
        assert len(right.descriptors) == len(fds)
    finally:
        left.close()
        right.close()


def test_where_nobody_knows_how_many_buffers_a_call_takes_it_is_given_few(tmp_path):
    """sysconf says -1 then."""
    unknown = "import os; known = os.sysconf; os.sysconf = lambda name: -1 if 'IOV' in name else known(name)"
    (tmp_path / "sitecustomize.py").write_text(unknown)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    code = "from olympipe_ng.transport.wire import IOV_MAX; print(IOV_MAX)"
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True, timeout=60) == "16\n"


def test_a_vanished_peer_is_no_signal_where_each_socket_is_told_so(monkeypatch):
    """macOS has no MSG_NOSIGNAL, but an option of the socket, which its Python does not name."""
    told = []

    class Told(socket.socket):
        def setsockopt(self, *option):
            told.append(option)

    monkeypatch.setattr(wire, "SO_NOSIGPIPE", 0x1022)
    wire.Channel(Told(socket.AF_UNIX, socket.SOCK_STREAM)).close()
    assert (socket.SOL_SOCKET, 0x1022, 1) in told
