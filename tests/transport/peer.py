"""The other process of the tests for classes by value: ``python peer.py FD`` answers each item with a function of it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
sys.path.insert(0, ROOT)

from olympipe_ng.transport.by_value import ByValue, loads_graph  # noqa: E402
from olympipe_ng.transport.encoding import Encoded, Encoder, decode  # noqa: E402
from olympipe_ng.transport.wire import Channel  # noqa: E402


class Speaker:
    """Sends and receives items, with the definitions of their classes."""

    def __init__(self, channel, stock=None):
        self.channel = channel
        self.defined = []
        self.by_value = ByValue(self._define, stock)
        self.encoder = Encoder(self.by_value)

    def _define(self, uid, blob):
        self.defined.append(uid)
        self.channel.send(("define", uid), [blob])

    def say(self, items):
        self.encoder.extend(items)
        encoded = self.encoder.take()
        self.channel.send(("items", encoded.header()), encoded.segments())

    def hear(self):
        """Return the next items, or ``None`` at the end."""
        while (message := self.channel.receive()) is not None:
            (kind, what), payload = message
            if kind == "define":
                self.by_value.learn(what, bytes(payload))
            else:
                return list(decode(Encoded.from_wire(what, payload)))
        return None


class Peer(Speaker):
    """A fresh process that applies ``function`` to items: like a worker, with as little as possible around it."""

    def __init__(self, function):
        left, right = socket.socketpair()
        self.process = subprocess.Popen([sys.executable, __file__, str(right.fileno())], pass_fds=[right.fileno()], cwd="/")
        right.close()
        super().__init__(Channel(left))
        self.channel.send(("graph", 0), [self.by_value.dumps_graph(function)])

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.channel.close()
        assert self.process.wait(10) == 0

    def ask(self, *items):
        self.say(list(items))
        answer = self.hear()
        assert answer is not None, "the peer died"
        return answer


def serve(speaker, function):
    while (items := speaker.hear()) is not None:
        speaker.say([function(item) for item in items])


def identity(item):
    return item


if __name__ == "__main__":
    speaker = Speaker(Channel(socket.socket(fileno=int(sys.argv[1]))))
    _, graph = speaker.channel.receive()
    serve(speaker, loads_graph(graph))
