"""Stages that take one item at a time: the methods that most pipelines are made of.

In the signatures ``T_co`` is what the pipeline gives now and ``R`` what it will give. An ``async def`` counts by what it returns when
awaited; a ``DROP`` among the possible results is not an item, so it does not show in the type.
"""

# mypy: disable-error-code="overload-overlap"
# The overloads for on_error="branch" come first, on purpose: the later ones take any StageOptions, so that these can be passed on.
from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .. import stages
from ..drop import Drop
from ..options import stage_config
from .base import Building, T_co, building

R = TypeVar("R")

if TYPE_CHECKING:
    from collections.abc import AsyncIterable
    from typing import Literal, TypeAlias, TypeGuard

    from typing_extensions import TypeIs, TypeVarTuple, Unpack

    from ..failures import Failure
    from ..options import CommonOptions, Count, OnError, RunOnError, StageOptions
    from ..pipeline import Pipeline

    Ts = TypeVarTuple("Ts")
    Branch: TypeAlias = Literal["branch"]
    Many: TypeAlias = Iterable[R | Drop] | AsyncIterable[R | Drop] | Drop

__all__ = ["Mappings"]


class Mappings(Building[T_co]):
    """The part of ``Pipeline`` that treats each item by itself."""

    __slots__ = ()

    @overload
    def task(
        self, fn: Callable[[T_co], Awaitable[R | Drop]], count: Count = 1, *, on_error: Branch, **options: Unpack[CommonOptions]
    ) -> tuple[Pipeline[R], Pipeline[Failure[T_co]]]: ...
    @overload
    def task(
        self, fn: Callable[[T_co], R | Drop], count: Count = 1, *, on_error: Branch, **options: Unpack[CommonOptions]
    ) -> tuple[Pipeline[R], Pipeline[Failure[T_co]]]: ...
    @overload
    def task(
        self,
        fn: Callable[[T_co], Awaitable[R | Drop]],
        count: Count = 1,
        on_error: OnError | None = None,
        **options: Unpack[CommonOptions],
    ) -> Pipeline[R]: ...
    @overload
    def task(
        self,
        fn: Callable[[T_co], R | Drop],
        count: Count = 1,
        on_error: OnError | None = None,
        **options: Unpack[CommonOptions],
    ) -> Pipeline[R]: ...
    @building(task="fn")
    def task(self, fn: Any, count: Count = 1, on_error: OnError | None = None, **options: Any) -> Any:
        """Call ``fn(item)`` for each item and pass on what it returns.

        The stage to do work in: ``count`` processes share it, and the results keep the order of the items. ``threads=`` is for functions
        that wait (files, network), an ``async def`` runs up to ``concurrency`` items at once in each process; ``StageOptions`` tells the
        other keywords. A function that returns ``DROP`` gives nothing for that item.

        >>> Pipeline([1, 2, 3], engine="inline").task(lambda x: x * 10).wait_for_result()
        [10, 20, 30]

        With ``on_error="branch"`` the items that failed are a pipeline of their own:

        >>> good, bad = Pipeline(["7", "x"], engine="inline").task(int, on_error="branch")
        >>> numbers, failures = Pipeline.wait_for_all_results([good, bad])
        >>> numbers, failures[0].item, type(failures[0].exception)
        ([7], 'x', <class 'ValueError'>)

        Raises ``GraphError`` for what is not callable, ``count`` below 1 and wrong options; when run, ``StageError`` from what ``fn``
        raised.
        """
        return self._then(stages.Task(fn, config=stage_config(count, on_error=on_error, **options)))

    @overload
    def starmap(
        self: Mappings[tuple[Unpack[Ts]]],
        fn: Callable[[Unpack[Ts]], Awaitable[R | Drop]],
        count: Count = 1,
        *,
        on_error: Branch,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[R], Pipeline[Failure[tuple[Unpack[Ts]]]]]: ...
    @overload
    def starmap(
        self: Mappings[tuple[Unpack[Ts]]],
        fn: Callable[[Unpack[Ts]], R | Drop],
        count: Count = 1,
        *,
        on_error: Branch,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[R], Pipeline[Failure[tuple[Unpack[Ts]]]]]: ...
    @overload
    def starmap(
        self: Mappings[tuple[Unpack[Ts]]],
        fn: Callable[[Unpack[Ts]], Awaitable[R | Drop]],
        count: Count = 1,
        **options: Unpack[StageOptions],
    ) -> Pipeline[R]: ...
    @overload
    def starmap(
        self: Mappings[tuple[Unpack[Ts]]], fn: Callable[[Unpack[Ts]], R | Drop], count: Count = 1, **options: Unpack[StageOptions]
    ) -> Pipeline[R]: ...
    @building()
    def starmap(self, fn: Any, count: Count = 1, **options: Any) -> Any:
        """Call ``fn(*item)`` for each item: for items that are tuples of arguments (as ``itertools.starmap``).

        >>> Pipeline([(2, 5), (3, 2)], engine="inline").starmap(pow).wait_for_result()
        [32, 9]

        Raises what ``task`` raises.
        """
        return self._then(stages.Starmap(fn, config=stage_config(count, **options)))

    @overload
    def filter(
        self: Mappings[R | None], fn: None = None, count: Count = 1, *, on_error: RunOnError | None = None, **options: Unpack[CommonOptions]
    ) -> Pipeline[R]: ...
    @overload
    def filter(
        self, fn: Callable[[T_co], TypeGuard[R]], count: Count = 1, *, on_error: Branch, **options: Unpack[CommonOptions]
    ) -> tuple[Pipeline[R], Pipeline[Failure[T_co]]]: ...
    @overload
    def filter(
        self, fn: Callable[[T_co], TypeIs[R]], count: Count = 1, *, on_error: Branch, **options: Unpack[CommonOptions]
    ) -> tuple[Pipeline[R], Pipeline[Failure[T_co]]]: ...
    @overload
    def filter(
        self, fn: Callable[[T_co], object], count: Count = 1, *, on_error: Branch, **options: Unpack[CommonOptions]
    ) -> tuple[Pipeline[T_co], Pipeline[Failure[T_co]]]: ...
    @overload
    def filter(self, fn: Callable[[T_co], TypeGuard[R]], count: Count = 1, **options: Unpack[StageOptions]) -> Pipeline[R]: ...
    @overload
    def filter(self, fn: Callable[[T_co], TypeIs[R]], count: Count = 1, **options: Unpack[StageOptions]) -> Pipeline[R]: ...
    @overload
    def filter(self, fn: Callable[[T_co], object], count: Count = 1, **options: Unpack[StageOptions]) -> Pipeline[T_co]: ...
    @building(keep_if_true="fn")
    def filter(self, fn: Any = None, count: Count = 1, **options: Any) -> Any:
        """Keep the items for which ``fn(item)`` is true; without ``fn``, those that are not ``None``.

        Two filters on one pipeline are two branches, and each sees every item.

        >>> numbers = Pipeline(range(6), engine="inline")
        >>> numbers.filter(lambda x: x % 2 == 0).wait_for_result()
        [0, 2, 4]

        Raises what ``task`` raises.
        """
        return self._then(stages.Filter(fn, config=stage_config(count, **options)))

    @overload
    def explode(
        self: Mappings[Iterable[R]], fn: None = None, count: Count = 1, *, on_error: Branch, **options: Unpack[CommonOptions]
    ) -> tuple[Pipeline[R], Pipeline[Failure[Iterable[R]]]]: ...
    @overload
    def explode(
        self,
        fn: Callable[[T_co], Many[R] | Awaitable[Iterable[R | Drop] | Drop]],
        count: Count = 1,
        *,
        on_error: Branch,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[R], Pipeline[Failure[T_co]]]: ...
    @overload
    def explode(self: Mappings[Iterable[R]], fn: None = None, count: Count = 1, **options: Unpack[StageOptions]) -> Pipeline[R]: ...
    @overload
    def explode(
        self,
        fn: Callable[[T_co], Many[R] | Awaitable[Iterable[R | Drop] | Drop]],
        count: Count = 1,
        **options: Unpack[StageOptions],
    ) -> Pipeline[R]: ...
    @building(explode_function="fn")
    def explode(self, fn: Any = None, count: Count = 1, **options: Any) -> Any:
        """Make many items of one: each element of ``fn(item)``, or of the item itself.

        A huge or endless iterable streams, it is never collected: a generator function is the best ``fn``.

        >>> Pipeline(["to be", "or not"], engine="inline").explode(str.split).wait_for_result()
        ['to', 'be', 'or', 'not']

        Raises what ``task`` raises; a failure half-way is the item's failure, ``Failure.emitted`` says what came before.
        """
        return self._then(stages.Explode(fn, config=stage_config(count, **options)))

    @overload
    def tap(
        self, fn: Callable[[T_co], object], count: Count = 1, *, on_error: Branch, **options: Unpack[CommonOptions]
    ) -> tuple[Pipeline[T_co], Pipeline[Failure[T_co]]]: ...
    @overload
    def tap(self, fn: Callable[[T_co], object], count: Count = 1, **options: Unpack[StageOptions]) -> Pipeline[T_co]: ...
    @building()
    def tap(self, fn: Any, count: Count = 1, **options: Any) -> Any:
        """Look at the items as they pass: ``fn(item)`` is called, what it returns is thrown away.

        For logging, counting and asserting. ``fn`` runs in a worker: a list of the caller's to which it appends stays empty (except under
        ``engine="inline"`` and ``"thread"``).

        >>> Pipeline(["a", "b"], engine="inline").tap(print).wait_for_result()
        a
        b
        ['a', 'b']

        Raises what ``task`` raises.
        """
        return self._then(stages.Tap(fn, config=stage_config(count, **options)))
