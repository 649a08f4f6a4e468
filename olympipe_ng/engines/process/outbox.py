"""What the supervisor says to the caller: at once, or, to one who wants all results and nothing in between, results in groups.

    deliver ──────────► queue ──► take_due ──► flush
    any other message ────┘                  with it the results go that wait before it

A group saves both sides a waking for each of its frames, which for items of some milliseconds was a tenth of all that a run costs.
"""

from __future__ import annotations

import time
from typing import Any

from ...transport.wire import Channel

__all__ = ["Outbox"]

HOLD = 0.05  # seconds that a result waits for company; more saves wakings, less spreads the work of decoding better
GROUP = 65_536  # bytes that wait together


class Outbox:
    """The queue to the caller; ``groups``: it has said that it wants everything."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._since: float | None = None  # results wait since then,
        self._waiting = 0  # so many bytes of them; more in the queue is something else, which does not wait
        self.groups = False

    def deliver(self, header: tuple[Any, ...], segments: Any, *, soon: bool) -> None:
        """Send a result, with the next ones if that is what the caller wants; ``soon``: it is to be taken at once."""
        before = self._channel.pending
        self._channel.queue(header, segments)
        if soon or not self.groups:
            return  # so it is not among those that wait, and they go with it
        if not before:
            self._since, self._waiting = time.monotonic(), self._channel.pending
        elif self._since is not None:
            self._waiting += self._channel.pending - before

    def wait(self) -> float | None:
        """Return the seconds until what waits is due; ``None``: nothing waits for that."""
        if self._since is None:
            return None
        pending = self._channel.pending
        return 0.0 if pending >= GROUP or pending != self._waiting else max(0.0, self._since + HOLD - time.monotonic())

    def take_due(self) -> list[Channel]:
        """Return the channel if it is to be flushed now; nothing waits then."""
        if self.wait():
            return []
        self._since = None
        return [self._channel]
