"""Whose turn it is: an engine without threads is carried on by those who wait for something of its run, by one of them at a time.

    thread A   until(condition) ── nobody is at it ──► step ──► step ──► condition
    thread B   until(condition) ── it is A's turn ──► sleeps until its condition is so (A's step has seen to that), or nobody is at it
    thread C   once(look) ── goes before A's next step

A step may last: the user's function runs in it. So nobody waits for a turn whose wish was fulfilled meanwhile, and what is called in a
step, as a task or a signal handler, cannot wait for another one.

Considered and refused: a lock (its owner takes it again before anybody who waits is awake, and a wish that was fulfilled waits for it too).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .errors import PipelineError

__all__ = ["Turns"]

T = TypeVar("T")
LOOK_SECONDS = 1.0  # for a step to end; in the middle of a longer one it is the user's function that takes its time, and nothing changes


class Turns:
    """The turns of one run; ``changed`` is told whenever a wish may be fulfilled."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._holder: int | None = None  # the thread whose turn it is
        self._guests = 0  # who want one turn, and go first

    @property
    def mine(self) -> bool:
        """Whether this is called in the middle of a step."""
        return self._holder == threading.get_ident()

    def check(self) -> None:
        """Refuse to wait in the middle of a step."""
        if self.mine:
            raise PipelineError("a function of an inline run cannot wait for that run, which goes on only when the function returns")

    def until(self, condition: Callable[[], bool], step: Callable[[], object], deadline: float | None = None) -> None:
        """Go step by step until something is so; where others are at it, at most until ``deadline``."""
        self.check()
        while not condition():
            if self._have(step, lambda: not self._guests and not condition()):  # which the step before may have fulfilled
                continue
            with self._changed:
                left = None if deadline is None else deadline - time.monotonic()
                if not self._changed.wait_for(lambda: condition() or self._free, left):
                    return

    def once(self, act: Callable[[], object], seconds: float) -> bool:
        """Act between two steps; ``False`` if the one that somebody is at takes longer."""
        if self.mine:
            act()
            return True
        with self._changed:
            self._guests += 1
        try:
            return self._have(act, lambda: self._changed.wait_for(lambda: self._holder is None, seconds))
        finally:
            with self._changed:
                self._guests -= 1
                self._changed.notify_all()

    def look(self, at: Callable[[], T]) -> T:
        """Look at something between two steps."""
        seen: list[T] = []
        return seen[0] if self.once(lambda: seen.append(at()), LOOK_SECONDS) else at()

    @property
    def _free(self) -> bool:
        return self._holder is None and not self._guests

    def _have(self, act: Callable[[], object], may: Callable[[], bool]) -> bool:
        try:
            with self._changed:
                if not may() or self._holder is not None:
                    return False
                self._holder = threading.get_ident()
            act()
            return True
        finally:
            if self.mine:
                self._holder = None
                with self._changed:
                    self._changed.notify_all()
