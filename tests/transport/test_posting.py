"""Several threads, signal handlers and finalizers that send through one channel: none of them waits for another."""

from __future__ import annotations

import socket
import threading

import pytest

from olympipe_ng.transport.wire import Channel


def test_who_posts_does_not_wait_for_who_is_sending():
    """Lanes: the one that holds the socket, which takes nothing now, sends what the others have left behind it."""
    left, right = socket.socketpair()
    sender, reader = Channel(left).share(), Channel(right)
    large = bytes(1 << 24)  # more than any socket buffer
    thread = threading.Thread(target=sender.post, args=((1, "large"), [large]))
    thread.start()
    while not reader.poll_readable(1.0):
        pass
    sender.post((2, "behind"), [b"it"])  # nobody reads meanwhile: it would wait for ever
    got = [reader.receive() for _ in range(2)]
    thread.join()
    assert [(header, len(payload)) for header, payload in got] == [((1, "large"), len(large)), ((2, "behind"), 2)]
    sender.close()
    reader.close()


def test_what_is_posted_while_its_own_thread_is_sending_goes_next():
    """The garbage collector may run in the middle of ``send``, and end a run there: it waits for no lock."""
    left, right = socket.socketpair()
    sender, reader = Channel(left).share(), Channel(right)

    class Collected(bytes):
        def __len__(self):
            sender.post((2, "posted"))
            return super().__len__()

    assert sender.send((1, "sent"), [Collected(b"payload")])
    assert [reader.receive()[0] for _ in range(2)] == [(1, "sent"), (2, "posted")]
    sender.close()
    reader.close()


@pytest.mark.parametrize("way", ["post", "send"])
def test_a_thread_that_was_interrupted_in_the_middle_of_a_message_is_not_sending_any_more(way, monkeypatch):
    """Ctrl-C while a run is paused: who asks later whether this thread is sending would only wait for itself."""
    left, right = (Channel(end) for end in socket.socketpair())
    left.share()

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(left, "_send_now", interrupt)
    with pytest.raises(KeyboardInterrupt):
        getattr(left, way)((1, "told"))
    assert not left.is_sending(threading.get_ident())
    left.close()
    right.close()


def test_what_a_finalizer_has_sent_meanwhile_is_not_looked_for(monkeypatch):
    """The collector may run between the look at what was posted and the lock: its message takes that of this thread along."""
    left, right = socket.socketpair()
    sender, reader = Channel(left).share(), Channel(right)
    lock = threading.Lock()

    class Interrupted:
        def acquire(self, blocking):
            if not told:
                told.append(True)
                sender.post((2, "of the collector's"))
            return lock.acquire(blocking)

        release = lock.release

    told = []
    monkeypatch.setattr(sender, "_lock", Interrupted())
    sender.post((1, "posted"))
    assert [reader.receive()[0] for _ in range(2)] == [(1, "posted"), (2, "of the collector's")]
    sender.close()
    reader.close()
