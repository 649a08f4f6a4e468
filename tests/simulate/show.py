"""What stands where, as text: for the dump of a hang and the head of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from olympipe_ng.plan import EdgePlan, Role

from .spec import Scenario

if TYPE_CHECKING:
    from .world import World

__all__ = ["show_scenario", "show_state"]

DEFAULTS = {"workers": 1, "lanes": 1, "ordered": True, "retries": 0, "redeliver": True, "stateful": False, "timeout": None}
DEFAULTS |= {"cancels": False, "max_items": None, "max_failures": None}


def show_scenario(scenario: Scenario) -> str:
    """Return the graph, a line for each node."""
    lines = []
    for node in scenario.plan.nodes:
        options = [f"{name}={getattr(node, name)}" for name, default in DEFAULTS.items() if getattr(node, name) != default]
        spec = scenario.specs.get(node.number)
        if spec is not None:
            options += [f"{name}={getattr(spec, name)}" for name in ("size", "fails", "kills", "hangs", "on_error", "pace")]
            options += [name for name in ("hub",) if getattr(node, name)]
        if node.role is Role.SOURCE:
            options.append(repr(scenario.sources[node.number]))
        if node.role is Role.SINK:
            options += [repr(scenario.sinks[node.number]), *(["discard"] if node.discard else [])]
        reads = ", ".join(_show_edge(scenario.plan.edges[number]) for number in node.inputs)
        lines.append(f"  {node.number} {node.label} <- {reads or '-'}  {' '.join(options)}")
    return "\n".join([*lines, f"  {scenario.habits}"])


def _show_edge(edge: EdgePlan) -> str:
    return f"{edge.producer}.{edge.outlet} (edge {edge.number}, at most {edge.queue_size}, {edge.queue_bytes} bytes)"


def show_state(world: World) -> str:
    """Return the scheduler's state, and what the model world knows beside it."""
    state: Any = world.scheduler.state
    lines = [f"at {world.now:.4f}, step {world.steps}; stopping {state.stopping}, paused {state.paused}, waiting sinks {state.waiting}"]
    for edge in state.edges:
        lines.append(
            f"  edge {edge.number}: queue {edge.queued} held {edge.held} promised {edge.promised} unstarted {edge.unstarted}"
            f" of {edge.capacity}+{edge.growth} items, {edge.used_bytes():.0f} bytes of {edge.plan.queue_bytes}"
            f" closed {edge.closed} ended {edge.ended} note {edge.note}; really {world.watch.live[edge.number]}"
        )
    for node in state.nodes:
        state_of = f"{node.status.value} ready {node.ready} size {node.size} deadline {node.deadline}"
        lines.append(f"  node {node.number} {node.plan.label}: {state_of}")
        for ticket in node.window:
            lines.append(
                f"    ticket {ticket.number} {ticket.verb.name} [{ticket.upto}, {ticket.hi}) {ticket.state.value} due {ticket.due:.4f}"
                f" reserved {ticket.reserved} alone {ticket.alone} worker {ticket.worker and ticket.worker.number}"
            )
        for worker in node.workers.values():
            lines.append(f"    worker {worker.number} {worker.status.value} retiring {worker.retiring} tickets {sorted(worker.tickets)}")
    for number, source in state.sources.items():
        lines.append(f"  source {number}: asked {source.asked} drawn {source.drawn} closed {source.closed} ended {source.ended}")
    return "\n".join(lines)
