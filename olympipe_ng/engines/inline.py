"""Everything in the calling thread, in order: for ``pdb``, coverage and doctests; and the oracle that other engines are compared with.

    wait ── an event? handle it ── a command? carry it out ── a source wants to be drawn? draw once ── a timer? sleep until it

One item a frame; a source is drawn only when there is nothing else to do, so items pass through the whole graph one after the other.
The calling thread may be one of several that take from the run: then each has its turns (``turns``), and who sleeps in one is woken by
what another says. Nobody could end what it is busy with: limits of time are none, but that of a coroutine, which its own loop ends.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Sequence

from ..errors import InternalError, PipelineError
from ..failures import in_caller
from ..plan import NodePlan, Plan
from ..scheduler import messages as m
from ..scheduler.statistics import NodeStatistics
from .contract import Job
from .driver import LocalDriver

__all__ = ["InlineEngine"]


class InlineEngine(LocalDriver):
    """Carries out a run step by step."""

    threaded = False

    def __init__(self, job: Job) -> None:
        super().__init__(job._replace(plan=_without_limits(job.plan)), in_caller)
        self._context = contextvars.copy_context()
        self._finished = False
        self._sleeps = False
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()  # may be rung in a signal handler, too

    def runs_at_once(self, node: NodePlan) -> bool:
        return True

    def start(self) -> None:
        self._context.run(self.begin)

    def send(self, event: m.Event) -> None:
        self.events.append(event)
        if self._sleeps:
            self._bell.put(None)

    def wait(self) -> None:
        """Go one step: what has happened, else draw, else wait for the time."""
        if self.events:
            self._context.run(self._step)
        elif not self.host.draw():
            self._sleep()

    def _step(self) -> None:
        self._carry_out(self.scheduler.handle(self.events.popleft(), time.monotonic()))

    def _sleep(self) -> None:
        """Wait for the time, or for what another thread says."""
        seconds = self.remaining()
        self._sleeps = True
        try:
            if not self.events:
                if seconds is None:
                    self._check_hope()
                self._bell.get(timeout=seconds)
        except queue.Empty:
            self.events.append(self.due())
        finally:
            self._sleeps = False

    def _check_hope(self) -> None:
        """Say what is wrong where waiting would never end: no other thread may take what was delivered."""
        if self.scheduler.paused:
            raise PipelineError("this run is paused, and inline nobody but its consumer can resume it: call run.resume() first")
        if not self.scheduler.awaits_its_consumer:
            raise InternalError("nothing is left to do, and the run has not ended")
        if threading.active_count() == 1:
            raise PipelineError("this run waits for room in a sink that is being iterated: take its items, or let go of the iterator")

    def waits_for(self, thread: threading.Thread) -> bool:
        return False

    def statistics(self) -> Sequence[NodeStatistics]:
        return self.scheduler.statistics()

    def close(self, seconds: float) -> list[str]:
        while not self._finished and not self.scheduler.finished and (self.events or self.remaining() is not None):
            self.wait()
        self.hub.close()
        self.spool.close()
        return []

    def finish(self, command: m.Finish) -> None:
        self._finished = True
        self.host.finish_run(command.note, command.complaint, self.statistics())


def _without_limits(plan: Plan) -> Plan:
    """Have nothing called late: one worker waits while another works or is set up, and all have done so by the time that it is noticed."""
    return plan._replace(nodes=tuple(node._replace(timeout=None, setup_timeout=None) for node in plan.nodes))
