"""What a fresh interpreter of ours runs: ``python -c "... boot.supervisor(fd)"``. Nothing of the user's ``__main__`` is run again."""

from __future__ import annotations

import os
from typing import Any, cast

from ...plan import EdgePlan, NodePlan, Plan, Role
from ...transport.by_value import loads_graph
from .children import be_subreaper, die_with_parent, enter_child, flush_streams, name_process
from .starting import Settings, SpawnStarter, TemplateStarter, _adopt, fail_set_up, live_as_worker, prepare
from .supervisor import supervise

__all__ = ["pack_plan", "supervisor", "worker"]


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
    be_subreaper()
    name_process("olympipe_ng")
    caller = _adopt(fd)
    message = caller.receive()
    if message is None:
        os._exit(1)
    (_, plain, settings, sizes), payload = message
    graph, opaque = bytes(payload[: sizes[0]]), bytes(payload[sizes[0] :])
    settings = Settings(*settings)
    plan = unpack_plan(plain)
    if settings.method == "forkserver":
        starter: Any = TemplateStarter(graph, settings)
    else:
        starter = SpawnStarter(graph, settings)
    status = supervise(caller, plan, loads_graph(opaque), starter, settings.caller)
    flush_streams()
    os._exit(status)


def worker(fd: int) -> None:
    """Be one worker of a run that spawns."""
    enter_child()
    channel = _adopt(fd)
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
            status = live_as_worker(channel, number, place, spec, settings, shared=False)
    finally:
        flush_streams()
        os._exit(status)

