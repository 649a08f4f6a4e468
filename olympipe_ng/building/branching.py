"""Stages with more than one stream behind them, or before them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .. import stages
from ..drop import DROP, Drop
from ..lazy import lazy
from ..options import stage_config
from .base import Building, T_co, building

R = TypeVar("R")

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from typing_extensions import Unpack

    from ..options import CommonOptions, Count, RunOnError, StageOptions
    from ..pipeline import Pipeline
    from . import joining

    Maybe: TypeAlias = R | Drop | None
    Soon: TypeAlias = R | Awaitable[R]
    Pair: TypeAlias = tuple[Pipeline[Any], Pipeline[Any]]
    Three: TypeAlias = tuple[Pipeline[Any], Pipeline[Any], Pipeline[Any]]
else:
    joining = lazy("olympipe_ng.building.joining")

__all__ = ["Branchings"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
M = TypeVar("M")


class Branchings(Building[T_co]):
    """The part of ``Pipeline`` that parts streams and joins them."""

    __slots__ = ()

    @overload
    def split(
        self,
        fn: Callable[[T_co], Soon[tuple[Maybe[A], Maybe[B]]]],
        n: Literal[2, None] = None,
        *,
        count: Count = 1,
        on_error: RunOnError | None = None,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[A], Pipeline[B]]: ...
    @overload
    def split(
        self,
        fn: Callable[[T_co], Soon[tuple[Maybe[A], Maybe[B], Maybe[C]]]],
        n: Literal[3, None] = None,
        *,
        count: Count = 1,
        on_error: RunOnError | None = None,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[A], Pipeline[B], Pipeline[C]]: ...
    @overload
    def split(
        self,
        fn: Callable[[T_co], Soon[tuple[Maybe[A], Maybe[B], Maybe[C], Maybe[D]]]],
        n: Literal[4, None] = None,
        *,
        count: Count = 1,
        on_error: RunOnError | None = None,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[A], Pipeline[B], Pipeline[C], Pipeline[D]]: ...
    @overload
    def split(
        self,
        fn: Callable[[T_co], Any],
        n: Literal[2],
        *,
        count: Count = 1,
        on_error: RunOnError | None = None,
        **options: Unpack[CommonOptions],
    ) -> Pair: ...
    @overload
    def split(
        self,
        fn: Callable[[T_co], Any],
        n: Literal[3],
        *,
        count: Count = 1,
        on_error: RunOnError | None = None,
        **options: Unpack[CommonOptions],
    ) -> Three: ...
    @overload
    def split(
        self, fn: Callable[[T_co], Any], n: int | None = None, *, count: Count = 1, **options: Unpack[StageOptions]
    ) -> tuple[Pipeline[Any], ...]: ...
    @building(split_function="fn")
    def split(self, fn: Any, n: int | None = None, *, count: Count = 1, **options: Any) -> Any:
        """Part the stream in ``n``: ``fn(item)`` returns a tuple with a value for each branch, ``None`` or ``DROP`` for nothing there.

        ``n`` may be left to the function's return annotation. A branch that nobody reads is allowed: its items count as ``unread``. With
        ``on_error="branch"`` the failures are one pipeline more, the last.

        >>> def route(x: int) -> tuple[int | None, str | None]:
        ...     return (x, None) if x < 2 else (None, str(x))
        >>> small, large = Pipeline(range(4), engine="inline").split(route)
        >>> Pipeline.wait_for_all_results([small, large])
        [[0, 1], ['2', '3']]

        Raises ``GraphError`` if ``n`` is neither given nor annotated; when run, ``StageError`` for a tuple of another length.
        """
        streams = self._then(stages.Split(fn, n, config=stage_config(count, **options)))
        return streams if isinstance(streams, tuple) else (streams,)

    @overload
    def gather(self, other: Building[A], /) -> Pipeline[T_co | A]: ...
    @overload
    def gather(self, other: Building[A], third: Building[B], /) -> Pipeline[T_co | A | B]: ...
    @overload
    def gather(self, *others: Building[A]) -> Pipeline[T_co | A]: ...
    @building()
    def gather(self, *others: Any) -> Any:
        """Merge with other pipelines: items as they come, those of each pipeline in their own order.

        >>> odd, even = Pipeline([1, 3], engine="inline"), Pipeline([2, 4], engine="inline")
        >>> sorted(odd.gather(even).wait_for_result())
        [1, 2, 3, 4]

        Raises ``GraphError`` for a pipeline given twice and for pipelines whose run options differ.
        """
        pipelines = (self, *others)
        joining.check_joined("gather", pipelines)
        return self._then(stages.Gather(len(pipelines)), *others)

    merge = gather

    @overload
    def zip(self, second: Building[A], /) -> Pipeline[tuple[T_co, A]]: ...
    @overload
    def zip(self, second: Building[A], third: Building[B], /) -> Pipeline[tuple[T_co, A, B]]: ...
    @overload
    def zip(self, second: Building[A], third: Building[B], fourth: Building[C], /) -> Pipeline[tuple[T_co, A, B, C]]: ...
    @overload
    def zip(
        self, second: Building[A], third: Building[B], fourth: Building[C], fifth: Building[D], /
    ) -> Pipeline[tuple[T_co, A, B, C, D]]: ...
    @overload
    def zip(self, *others: Building[Any]) -> Pipeline[tuple[Any, ...]]: ...
    @building()
    def zip(self, *others: Any) -> Any:
        """Pair with other pipelines by position, in tuples; it ends with the shortest, as ``zip`` does.

        For streams that have equally many items. Branches of one source, of which one drops items, want ``rejoin``: for those this
        warns. An item that fails in one branch is not missed if another branch of the source has ended before its row.

        >>> Pipeline(["ada", "alan"], engine="inline").zip(Pipeline([1815, 1912], engine="inline")).wait_for_result()
        [('ada', 1815), ('alan', 1912)]

        Raises ``GraphError`` for a pipeline given twice and for pipelines whose run options differ.
        """
        pipelines = (self, *others)
        joining.check_joined("zip", pipelines)
        joining.warn_if_uneven(pipelines)
        return self._then(stages.Zip(len(pipelines)), *others)

    @overload
    def rejoin(self, second: Building[A], /) -> Pipeline[tuple[T_co, A]]: ...
    @overload
    def rejoin(self, second: Building[A], /, *, missing: M) -> Pipeline[tuple[T_co | M, A | M]]: ...
    @overload
    def rejoin(self, second: Building[A], third: Building[B], /) -> Pipeline[tuple[T_co, A, B]]: ...
    @overload
    def rejoin(
        self, second: Building[A], third: Building[B], /, *, missing: M
    ) -> Pipeline[tuple[T_co | M, A | M, B | M]]: ...
    @overload
    def rejoin(self, *others: Building[Any], missing: object = DROP) -> Pipeline[tuple[Any, ...]]: ...
    @building()
    def rejoin(self, *others: Any, missing: Any = DROP) -> Any:
        """Rejoin branches of one source item by item: tuples of what became of each source item, in the source's order.

        An item that one branch filtered out or failed is dropped, or filled with ``missing``. Between fork and here stand only stages that
        keep one origin per item; before the fork, ``batch``, ``window``, ``zip`` and ``repeat`` may stand too. An item that fails in one
        branch ends the run behind the same row everywhere; if it fails in two, either error may be the one that is raised.

        >>> numbers = Pipeline(range(4), engine="inline")
        >>> even, squares = numbers.filter(lambda x: x % 2 == 0), numbers.task(lambda x: x * x)
        >>> even.rejoin(squares).wait_for_result()
        [(0, 0), (2, 4)]
        >>> even.rejoin(squares, missing=None).wait_for_result()
        [(0, 0), (None, 1), (2, 4), (None, 9)]

        Raises ``GraphError`` for branches of different sources, with ``batch``, ``window``, ``repeat`` or ``zip`` in a branch, and after
        ``explode``, ``bucket``, ``shuffle``, ``reduce`` or ``gather``.
        """
        pipelines = (self, *others)
        joining.check_joined("rejoin", pipelines)
        joining.check_arms(pipelines)
        return self._then(stages.Rejoin(len(pipelines), missing), *others)
