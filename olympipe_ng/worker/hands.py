"""What the lanes of a worker are at, each in a slot that can be read when the worker cannot be asked any more: it is dead, or it hangs.

    ticket (40 bits) | position of its first item (16) | items (8)              one store of eight bytes: never half written

The slots are a list, or memory that the supervisor reads too (the control page). A slot is written at the begin of a ticket, then for each
of its first items and each that costs more than ``DEAR``, for each slice of cheap ones; so it tells of one item, or of a few of which one
was in hand. It stays written until the lane takes up its next ticket.

Considered and refused: an item's number as two words (a kill between them names an item that nobody had in hand); the time an item began
(a ticket under ``timeout`` has one item, and the scheduler knows when it was dealt).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["DEAR", "UNSEEN", "Hands", "read_hands", "word"]

DEAR = 20e-6  # seconds an item; from here on each is told of: less costs cheap items time, more leaves more of them to be suspected
POSITION, COUNT = 16, 8  # bits; a frame has fewer items (``Plan.frame_items``), a slice too (``items.SLICE``)
TICKETS = (1 << 40) - 1  # later ones count anew: what is read is compared with tickets in hand only


class Hands:
    """The slots of a worker's lanes."""

    __slots__ = ("_free", "slots")

    def __init__(self, slots: Any) -> None:
        self.slots = slots  # a list, or a memoryview of words
        self._free = list(range(len(slots)))

    def take_up(self, ticket: int) -> tuple[int, int]:
        """Give a lane that begins a ticket its slot, and the word to add position and count to."""
        return self._free.pop(), (ticket & TICKETS) << POSITION + COUNT

    def put_down(self, slot: int) -> None:
        """Take the slot back; what stands there stays until it is given to another ticket."""
        self._free.append(slot)


class _Unseen(Hands):
    """For workers that nobody looks at: any number of tickets in one slot."""

    __slots__ = ()

    def take_up(self, ticket: int) -> tuple[int, int]:
        return 0, 0

    def put_down(self, slot: int) -> None:
        """Keep nothing."""


UNSEEN = _Unseen([0])


def word(base: int, at: int, count: int) -> int:
    """Return what to write for ``count`` items from position ``at`` on."""
    return base | at << COUNT | count


def read_hands(slots: Iterable[int]) -> dict[int, range]:
    """Return the items that the lanes were at, by ticket."""
    found = {}
    for each in slots:
        if each:
            at = each >> COUNT & (1 << POSITION) - 1
            found[each >> POSITION + COUNT] = range(at, at + (each & (1 << COUNT) - 1))
    return found
