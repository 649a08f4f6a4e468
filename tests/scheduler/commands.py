"""What the scheduler says, as tests look at it."""

from __future__ import annotations

__all__ = ["only"]


def only(kind, commands):
    """Return the commands of one kind."""
    return [command for command in commands if isinstance(command, kind)]
