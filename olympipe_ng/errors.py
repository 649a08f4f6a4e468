"""Every error a user of olympipe_ng can meet, named by whose fault it is.

    PipelineError (RuntimeError)        all of ours; PipelineExecutionError is the same class
    +- GraphError (ValueError)          your graph: raised on your line, at build time
    +- ItemError                        one item failed
    |  +- StageError                    your function raised; ``__cause__`` is your exception
    |  +- StageTimeout (TimeoutError)   your function took longer than ``timeout=``
    |  +- WorkerDied                    a worker was killed or crashed
    |  +- SerializationError            an item cannot cross a process border
    +- SourceError                      your source raised; ``__cause__`` is its exception
    +- SourceConsumed                   a one-shot source was run twice
    +- StreamTimeout                    ``.timeout(error=True)``
    +- TooManyFailures                  ``max_failures=`` was exceeded
    +- InternalError                    a bug of ours: please report

Errors are plain: the texts are made where the facts are known (``failures``), the classes only hold them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import lazy

if TYPE_CHECKING:
    from .transport import exceptions
else:
    exceptions = lazy("olympipe_ng.transport.exceptions")

__all__ = [
    "GraphError",
    "InternalError",
    "ItemError",
    "PipelineError",
    "PipelineExecutionError",
    "SerializationError",
    "SourceConsumed",
    "SourceError",
    "StageError",
    "StageTimeout",
    "StreamTimeout",
    "TooManyFailures",
    "WorkerDied",
]


class PipelineError(RuntimeError):
    """Catch everything that olympipe_ng raises by itself.

    ``stage`` is the stage's number and name (``"2 'resize'"``), ``declared_at`` the ``file:line`` that built it, ``index`` the item's
    place in its source, ``item_repr`` its shortened ``repr``, ``worker_pid`` the process it failed in, ``traceback_text`` that
    process's traceback, ``errors`` the texts of all recorded failures. What is unknown is ``None``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        stage: str | None = None,
        index: int | None = None,
        item_repr: str | None = None,
        declared_at: str | None = None,
        worker_pid: int | None = None,
        traceback_text: str | None = None,
        errors: list[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.index = index
        self.item_repr = item_repr
        self.declared_at = declared_at
        self.worker_pid = worker_pid
        self.traceback_text = traceback_text
        self.errors: list[str] = [message] if errors is None else errors

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), str(self), self.__dict__, _Cause(self.__cause__)))


class _Cause:
    """The cause of an error that is copied: the user's exception, which pickle's own way may not rebuild."""

    def __init__(self, exception: BaseException | None) -> None:
        self.exception = exception

    def __reduce__(self) -> tuple[object, ...]:
        return (_load_cause, (None if self.exception is None else exceptions.dump_exception(self.exception),))


def _load_cause(data: bytes | None) -> _Cause:
    return _Cause(None if data is None else exceptions.load_exception(data))


def _rebuild(kind: type[PipelineError], message: str, state: dict[str, object], cause: _Cause) -> PipelineError:
    error = kind(message)
    error.__dict__.update(state)
    error.__cause__ = cause.exception
    return error


PipelineExecutionError = PipelineError


class GraphError(PipelineError, ValueError):
    """Your graph is wrong: raised at build time, on your line."""


class ItemError(PipelineError):
    """One item failed; the subclasses say how."""


class StageError(ItemError):
    """Your function raised; ``__cause__`` is your exception, with the worker's traceback."""


class StageTimeout(ItemError, TimeoutError):
    """Your function took longer than ``timeout=`` seconds for one item."""


class WorkerDied(ItemError):
    """A worker was killed or crashed while it held this item."""


class SerializationError(ItemError):
    """An item or a result cannot cross a process border; ``__cause__`` is what pickling raised."""


class SourceError(PipelineError):
    """Your source raised; ``__cause__`` is its exception."""


class SourceConsumed(PipelineError):
    """A one-shot iterator that was already consumed was run again."""


class StreamTimeout(PipelineError):
    """No item came for the seconds given to ``.timeout(seconds, error=True)``."""


class TooManyFailures(PipelineError):
    """More items failed than ``max_failures=`` allows."""


class InternalError(PipelineError):
    """A bug of olympipe_ng itself: please report it with this text."""
