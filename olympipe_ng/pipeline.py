"""``Pipeline``: what users hold. It describes; a terminal runs it.

    Pipeline(paths).task(load, count=2).batch(32)      describes: nothing is started, opened or read
                   .wait_for_result()                  runs

A pipeline is an outlet of an immutable graph and the options it will be run with. Its methods stand where they belong: those that build in
``building/``, those that run in ``terminals.py``; here is what makes one, and what shows it.

Considered and refused: starting stages as they are added (olympipe's: a chain at module level was a fork bomb under ``spawn``).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from .building.base import T_co, building
from .building.branching import Branchings
from .building.flow import Flows
from .building.grouping import Groupings
from .building.mapping import Mappings
from .building.objects import Objects
from .building.source import make_source
from .errors import GraphError
from .graph import Node, Outlet
from .lazy import lazy
from .options import run_config
from .terminals import Terminals

if TYPE_CHECKING:
    from typing import Concatenate, Protocol, TypeAlias

    from typing_extensions import ParamSpec, Unpack

    from . import deprecated, drawing
    from .options import RunOptions

    P = ParamSpec("P")

    class Indexable(Protocol[T_co]):
        """What can be asked for its length and for the item at an index: a ``torch`` data set, for example."""

        def __len__(self) -> int: ...
        def __getitem__(self, index: int, /) -> T_co: ...

    Readable: TypeAlias = Iterable[T_co] | AsyncIterable[T_co] | Indexable[T_co]


else:
    deprecated, drawing = lazy("olympipe_ng.deprecated"), lazy("olympipe_ng.drawing")

__all__ = ["Pipeline"]

R = TypeVar("R")


class Pipeline(Mappings[T_co], Objects[T_co], Groupings[T_co], Flows[T_co], Branchings[T_co], Terminals[T_co]):
    """Stream the items of a source through stages that run in parallel, in order and with nothing lost.

    ``source`` is any iterable, an iterator, an async iterable, an object with ``__len__`` and ``__getitem__``, or a function that returns
    one of those and is called once per run. A pipeline is immutable and lazy: each method returns a new one, and nothing runs before a
    terminal such as ``wait_for_result()`` or a ``for`` loop. Two stages built on the same pipeline are two branches that each see every
    item.

    >>> numbers = Pipeline(range(10), engine="inline")
    >>> numbers.filter(lambda x: x % 2).task(lambda x: x * x).batch(3).wait_for_result()
    [[1, 9, 25], [49, 81]]

    ``engine`` is ``"process"`` (the default), ``"thread"`` or ``"inline"`` (all in the calling thread: for the debugger and for tests);
    ``RunOptions`` tells the others. Each has an environment variable ``OLYMPIPE_NG_<OPTION>``, which an argument beats. Raises
    ``GraphError`` for what is no source and for wrong options. The chain of stages is olympipe's.
    """

    __slots__ = ()

    @overload
    def __init__(self, source: Iterable[T_co], **options: Unpack[RunOptions]) -> None: ...
    @overload
    def __init__(self, source: AsyncIterable[T_co], **options: Unpack[RunOptions]) -> None: ...
    @overload
    def __init__(self, source: Callable[[], Readable[T_co]], **options: Unpack[RunOptions]) -> None: ...
    @overload
    def __init__(self, source: Indexable[T_co], **options: Unpack[RunOptions]) -> None: ...
    @building(datas="source")
    def __init__(self, source: Any = ..., **options: Any) -> None:
        deprecated.refuse_variables()
        deprecated.refuse_options(options)
        if source is ...:
            raise GraphError("Pipeline needs a source: something to iterate, or a function that returns it")
        described = make_source(source)
        self._config = run_config(options)
        self._outlet = Outlet(Node(described, (), described.declared_at))

    @building()
    def options(self, **changes: Unpack[RunOptions]) -> Pipeline[T_co]:
        """Return the same graph with other run options; those that are not named stay as they are.

        >>> tuned = Pipeline(range(3), seed=1).options(engine="inline", seed=2)
        >>> tuned.wait_for_result()
        [0, 1, 2]

        Raises ``GraphError`` for unknown options and wrong values.
        """
        return type(self)._of(self._outlet, self._config.changed(changes))

    def pipe(self, fn: Callable[Concatenate[Pipeline[T_co], P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return ``fn(pipeline, *args, **kwargs)``: reusable pieces of chain, in the order in which they are read (as in pandas).

        >>> def in_pairs(pipeline, how_many):
        ...     return pipeline.batch(2).limit(how_many)
        >>> Pipeline(range(9), engine="inline").pipe(in_pairs, 2).wait_for_result()
        [[0, 1], [2, 3]]
        """
        return fn(self, *args, **kwargs)

    @staticmethod
    @building(route_handlers="routes")
    def server(
        routes: Sequence[Any], port: int = 8000, host: str = "localhost", debug: bool = False, inactivity_timeout: float | None = None
    ) -> Pipeline[Any]:
        """Serve HTTP requests as a source: not available yet."""
        raise GraphError("Pipeline.server: not available yet")

    def explain(self) -> str:
        """Return the graph as text: each stage with its number, what it reads, and the line that declared it.

        >>> print(Pipeline(range(3)).task(abs, count=2).explain())  # doctest: +ELLIPSIS
        0  source    range(0, 3)         ...
        1  task      abs         count=2 ...
        """
        return drawing.explain([self._outlet])

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flow chart, which GitHub, GitLab and many editors draw.

        >>> print(Pipeline(range(9)).batch(2).to_mermaid())
        flowchart LR
            s0["source range(0, 9)"]
            s1["batch"]
            s0 --> s1
        """
        return drawing.to_mermaid([self._outlet])

    def to_dot(self) -> str:
        """Return the graph in the DOT language of Graphviz.

        >>> print(Pipeline(range(9)).batch(2).to_dot())
        digraph pipeline {
            rankdir=LR
            node [shape=box]
            s0 [label="source range(0, 9)"]
            s1 [label="batch"]
            s0 -> s1
        }
        """
        return drawing.to_dot([self._outlet])

    def cleanup(self) -> None:
        """Do nothing: a run cleans up after itself. Kept for olympipe's users.

        >>> Pipeline([1]).cleanup()
        """

    def _repr_html_(self) -> str:
        return drawing.to_svg([self._outlet])

    def __repr__(self) -> str:
        return f"<Pipeline {drawing.in_one_line(self._outlet)}>"

    if not TYPE_CHECKING:  # else a type checker would take any attribute for granted

        def __getattr__(self, name: str) -> NoReturn:
            deprecated.refuse_attribute(self, name)
