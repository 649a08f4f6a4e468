"""What runs next: a pure state machine, events in, commands out."""

from .scheduler import Scheduler

__all__ = ["Scheduler"]
