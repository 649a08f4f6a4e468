"""How many runs a process is in: a run may begin in a worker of another, but not without end.

    the program: 0 ──run──► its workers: 1 ──run──► theirs: 2 ... ──► ``DEEPEST``: no further

A task that runs the pipeline which it belongs to, or imports a module that does when it is imported, would fill the machine with processes
else. The idea of a limit is loky's.
"""

from __future__ import annotations

from .errors import PipelineError

__all__ = ["DEEPEST", "enter", "next_depth"]

DEEPEST = 10  # runs within runs; more ends what has no end later, less forbids what somebody may want

TOO_DEEP = (
    f"this would be a run in a worker of a run, and so on, more than {DEEPEST} deep: does a task run the pipeline that it belongs to, or "
    'import a module that runs one when it is imported? There, begin it under `if __name__ == "__main__":`'
)

_depth = 0


def next_depth() -> int:
    """Return what the workers of a run that begins here are to ``enter``; raises ``PipelineError`` where that is too deep."""
    if _depth >= DEEPEST:
        raise PipelineError(TOO_DEEP)
    return _depth + 1


def enter(depth: int) -> None:
    """Be a process of a run that is so deep."""
    global _depth
    _depth = depth
