"""What a fresh interpreter of ours runs: ``python -c "... boot.supervisor(fd)"``. Nothing of the user's ``__main__`` is run again."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import SourceFileLoader
from typing import Any, cast

from ...lazy import lazy
from ...plan import EdgePlan, NodePlan, Plan, Role
from ...transport.by_value import loads_graph
from ...transport.wire import Channel
from . import protocol as p
from .children import OPEN, be_supervisor, die_with_parent, enter_child, fork_child, import_for_children, leave, name_process
from .poller import Poller
from .starting import Settings, SpawnStarter, adopt_channel, fail_set_up, live_as_worker, prepare
from .template import TemplateStarter

__all__ = ["nursery", "pack_plan", "supervisor", "worker"]

_supervisor = lazy("olympipe_ng.engines.process.supervisor")  # imported while the template, forked before, loads the graph

HANDED_OVER = 4  # descriptors for a supervisor: the run's socket, the folder, standard output and error


def pack_plan(plan: Plan) -> tuple[Any, ...]:
    """Return a plan as plain data."""
    nodes: Any = tuple(tuple(node._replace(role=cast("Any", node.role.value))) for node in plan.nodes)
    edges: Any = tuple(tuple(edge) for edge in plan.edges)
    return tuple(plan._replace(nodes=nodes, edges=edges))


def unpack_plan(plain: tuple[Any, ...]) -> Plan:
    plan = Plan(*plain)
    nodes = tuple(NodePlan(*node) for node in plan.nodes)
    return plan._replace(
        nodes=tuple(node._replace(role=Role(node.role)) for node in nodes), edges=tuple(EdgePlan(*edge) for edge in plan.edges)
    )


def supervisor(fd: int) -> None:
    """Be the supervisor of a run whose caller did not fork."""
    enter_child()
    leave(_live_as_supervisor(fd))


def _live_as_supervisor(fd: int) -> int:
    adopts = be_supervisor()
    caller = adopt_channel(fd)
    OPEN.add(caller)
    message = caller.receive()
    if message is None:
        return 1
    (_, plain, settings, sizes), payload = message
    graph, opaque = bytes(payload[: sizes[0]]), bytes(payload[sizes[0] :])
    settings = Settings(*settings)
    plan = unpack_plan(plain)
    if settings.method == "forkserver" and adopts:  # else what the template forks would be nobody's child whom we could wait for
        starter: Any = TemplateStarter(graph, settings)
    else:
        starter = SpawnStarter(graph, settings)
    return int(_supervisor.supervise(caller, plan, loads_graph(opaque), starter, settings.caller))


def nursery(fd: int) -> None:
    """Stay between runs: fork their supervisors, and import what they needed."""
    enter_child()
    name_process("olympipe warm")
    import_for_children()
    for name in (_supervisor.__name__, "cloudpickle.cloudpickle"):
        importlib.import_module(name)
    _Nursery(adopt_channel(fd)).run()
    leave(0)


class _Nursery:
    """The process behind ``nursery.Nursery``."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        OPEN.add(channel)  # closed in what is forked
        self._poller = Poller()
        self._poller.watch(channel.fileno(), self._hear)
        self._files: dict[str, int] = {}  # of what was imported for runs: when they were changed
        self._pidfd: int | None = None
        self._over = False

    def run(self) -> None:
        """Serve until the caller does not want it any more, or is gone."""
        while not self._over:
            self._poller.wait(None)

    def _hear(self, mask: int) -> None:
        for header, _ in self._channel.receive_nowait():
            if header[0] == p.SETUP:
                self._pidfd = self._poller.watch_pid(header[1], self._end)
                self._channel.send((p.NURSED, 0))
            elif header[0] == p.BEGIN:
                self._channel.send((p.NURSED, self._begin(self._channel.descriptors.popleft())))
            else:
                _reap(header[1])
                self._channel.send((p.NURSED, 0))
                self._import(header[2])
        if self._channel.closed:
            self._end(0)

    def _end(self, mask: int) -> None:
        self._over = True

    def _begin(self, fds: tuple[int, ...]) -> int:
        """Fork a supervisor; return its pid, 0 where what was imported is out of date, or descriptors are missing."""
        pid = 0
        if len(fds) == HANDED_OVER and all(_changed_at(path) == at for path, at in self._files.items()):
            pid = fork_child(lambda: self._bear(fds))
        for fd in fds:
            os.close(fd)
        return pid

    def _bear(self, fds: tuple[int, ...]) -> int:
        """Be a supervisor, where the caller is and with its standard streams."""
        run, folder, *streams = fds
        os.fchdir(folder)
        for number, stream in enumerate(streams, 1):
            os.dup2(stream, number)
        for fd in (folder, *streams, *([] if self._pidfd is None else [self._pidfd])):
            os.close(fd)
        return _live_as_supervisor(run)

    def _import(self, modules: Iterable[str]) -> None:
        """Import what a run that worked has imported; keep in mind in what state the files were."""
        before = set(sys.modules)
        with _noting_reads(self._files):
            for name in modules:
                try:
                    importlib.import_module(name)
                except BaseException:  # the user's module: whoever needs it will import it, and tell
                    continue
        for name in set(sys.modules) - before:
            path = getattr(sys.modules[name], "__file__", None)
            if path:
                self._files.setdefault(path, _changed_at(path))


@contextlib.contextmanager
def _noting_reads(files: dict[str, int]) -> Iterator[None]:
    """Note when the source files that are imported were changed, each before it is read: the program may write it at any moment."""
    look = SourceFileLoader.path_stats

    def note_and_look(loader: SourceFileLoader, path: str) -> Any:
        files[path] = _changed_at(path)
        return look(loader, path)

    SourceFileLoader.path_stats = note_and_look  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        SourceFileLoader.path_stats = look  # type: ignore[method-assign]


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def worker(fd: int) -> None:
    """Be one worker of a run that spawns."""
    enter_child()
    channel = adopt_channel(fd)
    OPEN.add(channel)  # closed in what the user's modules fork
    message = channel.receive()
    if message is None:
        os._exit(1)
    (_, number, node, place, parent, settings), payload = message
    die_with_parent(parent)
    settings = Settings(*settings)
    prepare(settings)
    status = 1
    try:
        try:
            spec = loads_graph(bytes(payload))[node]
        except BaseException as error:  # the user's modules are imported here
            status = fail_set_up(channel, node, error)
        else:
            status = live_as_worker(channel, number, place, spec, settings)
    finally:
        leave(status)

