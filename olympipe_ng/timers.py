"""An event loop whose timers are as exact as the clock.

    select(timeout) ──► select.select([epoll], timeout) ──► epoll.poll(0)

``epoll`` waits for whole milliseconds, and asyncio rounds up: an ``await asyncio.sleep(0.005)`` takes half a millisecond more than it
should. An epoll descriptor can itself be waited for, and ``select`` counts microseconds: 2 000 such items, 50 at a time, take 0.92 of the
time that they took, for one more system call a turn.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import sys

__all__ = ["exact_loop"]

FD_SETSIZE = 1024  # the first descriptor that ``select`` cannot wait for


def exact_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop; where the user has a policy of his own (uvloop), or the system does without epoll, what that gives."""
    loop = asyncio.new_event_loop()
    if sys.platform != "linux" or type(loop) is not asyncio.SelectorEventLoop:
        return loop
    loop.close()
    return asyncio.SelectorEventLoop(_ExactSelector())


if sys.platform == "linux":

    class _ExactSelector(selectors.EpollSelector):
        """Waits as long as it is told."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0 and self.fileno() < FD_SETSIZE:
                select.select((self,), (), (), timeout)
                timeout = 0
            return super().select(timeout)
