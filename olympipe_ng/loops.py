"""Running coroutines to their end from plain code, also where an event loop is running already (a notebook's).

Considered and refused: nesting loops (asyncio forbids it, and what patches asyncio for it patches it for everybody).
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

from .lazy import lazy

asyncio = lazy("asyncio")
timers = lazy("olympipe_ng.timers")
futures = lazy("concurrent.futures")

__all__ = ["complete", "new_loop", "run"]


def new_loop() -> Any:
    """Make an event loop to run what the user gave."""
    return timers.exact_loop()


def complete(loop: Any, awaitable: Awaitable[Any]) -> Any:
    """Run ``loop`` until ``awaitable`` is done; return its result."""
    return _here_or_beside(loop.run_until_complete, awaitable)


def run(awaitable: Awaitable[Any]) -> Any:
    """Run ``awaitable`` on a loop of its own; return its result."""
    return _here_or_beside(asyncio.run, _awaited(awaitable))


def _here_or_beside(function: Callable[[Any], Any], awaitable: Any) -> Any:
    """Call in this thread, or beside it where another loop runs in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function(awaitable)
    with futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, function, awaitable).result()


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
