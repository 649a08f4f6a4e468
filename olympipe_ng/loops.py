"""Running coroutines to their end from plain code, also where an event loop is running already (a notebook's); and waiting beside a loop.

Considered and refused: nesting loops (asyncio forbids it, and what patches asyncio for it patches it for everybody); executors (the
interpreter joins their threads before it stops the run that they wait for, and begins none when its main thread has ended).
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from .lazy import lazy

asyncio = lazy("asyncio")
timers = lazy("olympipe_ng.timers")
futures = lazy("concurrent.futures")

__all__ = ["beside", "complete", "new_loop", "run"]


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
    future = beside(contextvars.copy_context().run, function, awaitable)
    try:
        return future.result()
    finally:
        futures.wait([future])


def beside(call: Callable[..., Any], *args: Any) -> Any:
    """Call on a thread of this call's own, for which nobody waits; return the (concurrent) future of what it gives."""
    future = futures.Future()
    threading.Thread(target=_fulfil, args=(future, call, args), name="olympipe_ng await", daemon=True).start()
    return future


def _fulfil(future: Any, call: Callable[..., Any], args: Any) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(call(*args))
        except BaseException as error:  # whoever waits for the future has it
            future.set_exception(error)
            del future  # which the error's traceback would hold


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
