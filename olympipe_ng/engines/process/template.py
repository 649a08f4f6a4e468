"""The process that forks the workers under ``forkserver``: it loads the graph once, with the user's modules, and starts no thread.

    supervisor ──FORK (socket), FORK, ...──► template ─fork─► one between ─fork, fork, ...─► workers
    supervisor ◄──FORKED (pid), ...────────                      ends at once, so that they become the supervisor's children

What is asked for together is forked together. A worker waits for the supervisor's word that it knows its pid.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ...transport.by_value import loads_graph
from ...transport.wire import Channel, channel_pair
from . import protocol as p
from .children import OPEN, die_with_parent, fork_child, fork_grandchildren, import_for_children, name_process
from .starting import Settings, adopt_channel, close_nothing, fail_set_up, live_as_worker, prepare

__all__ = ["TemplateStarter"]


class TemplateStarter:
    """Asks the template to fork; the workers become children of the supervisor, who learns their pid from the template's answer."""

    close_in_child: Callable[[], None] = staticmethod(close_nothing)
    refused = ""

    def __init__(self, graph: bytes, settings: Settings) -> None:
        self._graph = graph
        self._settings = settings
        self.begin()

    def begin(self) -> None:
        """Fork the template, while this is a clean process with one thread; again, if it died."""
        self.template, theirs = channel_pair()
        supervisor = os.getpid()

        def body() -> int:
            self.template.close()
            die_with_parent(supervisor)
            name_process("olympipe forks")
            return _Template(theirs, self._graph, self._settings, supervisor).run()

        self.helpers: tuple[int, ...] = (fork_child(body, ours=True),)
        theirs.close()

    def start(self, worker: int, node: int, place: int) -> tuple[Channel, int | None]:
        mine, theirs = channel_pair()
        self.template.send((p.FORK, worker, node, place), (), [theirs.fileno()])
        theirs.close()
        return mine, None

    def take(self, header: tuple[Any, ...]) -> int:
        """Take the template's word; return the number of the worker that was born, 0 where it is another word."""
        if header[0] == p.REFUSED:
            self.refused = header[1]
            return 0
        return int(header[1])


class _Template:
    """The process itself."""

    def __init__(self, channel: Channel, graph: bytes, settings: Settings, supervisor: int) -> None:
        self._channel = channel
        OPEN.add(channel)  # closed in the workers: held open, it would hide the template's death
        self._settings = settings
        self._supervisor = supervisor
        self._specs: Any = None
        self._failure: BaseException | None = None
        prepare(settings)
        try:
            self._specs = loads_graph(graph)
            import_for_children(self._specs.values())
        except BaseException as error:  # the user's modules are imported here: each worker reports it as its set-up
            self._failure = error

    def run(self) -> int:
        """Serve until the supervisor is gone."""
        channel = self._channel
        while (message := channel.receive()) is not None:
            asked = [header[1:] for header, _ in (message, *channel.receive_nowait())]
            sockets = [channel.descriptors.popleft()[0] for _ in asked]
            try:
                pids = fork_grandchildren([self._life(one, fd, sockets) for one, fd in zip(asked, sockets, strict=True)])
            except OSError as error:
                pids = []
                channel.send((p.REFUSED, str(error)))
            for fd in sockets:
                os.close(fd)
            for (worker, _, _), pid in zip(asked, pids, strict=False):  # none where that was refused: the end of their sockets tells
                channel.send((p.FORKED, worker, pid))
        return 0

    def _life(self, asked: tuple[int, int, int], fd: int, siblings: list[int]) -> Callable[[], int]:
        """Return what a worker does, whose socket is ``fd``."""

        def life() -> int:
            for sibling in {*siblings} - {fd}:  # held open, it would hide that one's death
                os.close(sibling)
            return self._live_as_worker(adopt_channel(fd), *asked)

        return life

    def _live_as_worker(self, channel: Channel, worker: int, node: int, place: int) -> int:
        if channel.receive() is None:  # the word that the one between has ended
            return 1
        die_with_parent(self._supervisor)
        if self._failure is not None:
            return fail_set_up(channel, node, self._failure)
        return live_as_worker(channel, worker, place, self._specs[node], self._settings)
