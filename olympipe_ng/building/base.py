"""What every method that builds stands on: a pipeline is an outlet of a graph, and the options it will be run with.

    pipeline.task(f) ──► stages.Task(f) checks itself ──► Node(stage, reads this outlet, the user's line) ──► a new pipeline on it

Nothing here changes a pipeline that exists.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..errors import GraphError
from ..graph import Node, Outlet, declared_here
from ..lazy import lazy
from ..options import RunConfig
from ..stages.contract import Stage

if TYPE_CHECKING:
    from typing_extensions import Self

    from .. import deprecated
else:
    deprecated = lazy("olympipe_ng.deprecated")

__all__ = ["Building", "T_co", "building"]

T_co = TypeVar("T_co", covariant=True)
Method = TypeVar("Method", bound=Callable[..., Any])


class Building(Generic[T_co]):
    """The base of ``Pipeline``: see the head of this module."""

    __slots__ = ("__weakref__", "_config", "_outlet")

    _outlet: Outlet
    _config: RunConfig

    @property
    def outlet(self) -> Outlet:
        """Return where this pipeline stands in its graph: for tools that look at graphs."""
        return self._outlet

    @classmethod
    def _of(cls, outlet: Outlet, config: RunConfig) -> Self:
        made = object.__new__(cls)
        made._outlet = outlet
        made._config = config
        return made

    def _then(self, stage: Stage, *others: Building[Any]) -> Any:
        """Add a stage that reads this pipeline and ``others``: a pipeline, or a tuple of them if more than one stream leaves it."""
        node = Node(stage, (self._outlet, *(other._outlet for other in others)), declared_here())
        streams = tuple(type(self)._of(Outlet(node, number), self._config) for number in range(node.outlets))
        return streams if len(streams) > 1 else streams[0]


def building(**old_names: str) -> Callable[[Method], Method]:
    """Mark a method as one that builds: olympipe's keywords are understood, and mistakes are raised on the user's line."""

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def build(*args: Any, **options: Any) -> Any:
            try:
                if not options.keys().isdisjoint(old_names):
                    deprecated.rename(old_names, options)
                return method(*args, **options)
            except GraphError as error:
                error.declared_at = error.declared_at or declared_here()
                raise error.with_traceback(None)  # noqa: B904 - the same error, without our own lines between the user's and its text

        return cast(Method, build)

    return decorate
