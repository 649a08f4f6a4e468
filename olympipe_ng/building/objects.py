"""Stages of one item at a time that hold something: an instance in each worker, or a cache on disk."""

# mypy: disable-error-code="overload-overlap"
# The overloads for on_error="branch" come first, on purpose: the later ones take any StageOptions, so that these can be passed on.
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .. import stages
from ..drop import Drop
from ..options import stage_config
from .base import Building, T_co, building

if TYPE_CHECKING:
    from os import PathLike
    from typing import Literal, TypeAlias

    from typing_extensions import Unpack

    from ..failures import Failure
    from ..options import CommonOptions, Count, StageOptions
    from ..pipeline import Pipeline

    Branch: TypeAlias = Literal["branch"]
    Folder: TypeAlias = str | PathLike[str]

__all__ = ["Objects"]

R = TypeVar("R")
C = TypeVar("C")


class Objects(Building[T_co]):
    """The part of ``Pipeline`` whose stages hold an instance or a cache."""

    __slots__ = ()

    @overload
    def class_task(
        self,
        cls: Callable[..., C],
        method: Callable[[C, T_co], Awaitable[R | Drop]],
        class_args: Sequence[Any] | None = None,
        close_method: Callable[[C], object] | None = None,
        class_kwargs: Mapping[str, Any] | None = None,
        count: Count = 1,
        *,
        on_error: Branch,
        stateful: bool = False,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[R], Pipeline[Failure[T_co]]]: ...
    @overload
    def class_task(
        self,
        cls: Callable[..., C],
        method: Callable[[C, T_co], R | Drop],
        class_args: Sequence[Any] | None = None,
        close_method: Callable[[C], object] | None = None,
        class_kwargs: Mapping[str, Any] | None = None,
        count: Count = 1,
        *,
        on_error: Branch,
        stateful: bool = False,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[R], Pipeline[Failure[T_co]]]: ...
    @overload
    def class_task(
        self,
        cls: Callable[..., C],
        method: Callable[[C, T_co], Awaitable[R | Drop]],
        class_args: Sequence[Any] | None = None,
        close_method: Callable[[C], object] | None = None,
        class_kwargs: Mapping[str, Any] | None = None,
        count: Count = 1,
        *,
        stateful: bool = False,
        **options: Unpack[StageOptions],
    ) -> Pipeline[R]: ...
    @overload
    def class_task(
        self,
        cls: Callable[..., C],
        method: Callable[[C, T_co], R | Drop],
        class_args: Sequence[Any] | None = None,
        close_method: Callable[[C], object] | None = None,
        class_kwargs: Mapping[str, Any] | None = None,
        count: Count = 1,
        *,
        stateful: bool = False,
        **options: Unpack[StageOptions],
    ) -> Pipeline[R]: ...
    @building(class_constructor="cls", class_method="method")
    def class_task(
        self,
        cls: Any,
        method: Any,
        class_args: Any = None,
        close_method: Any = None,
        class_kwargs: Any = None,
        count: Count = 1,
        *,
        stateful: bool = False,
        **options: Any,
    ) -> Any:
        """Call ``instance.method(item)`` on one instance per worker: a model, a connection, whatever is dear to make.

        The instance is constructed in its worker, never pickled, and closed with ``close_method`` when the stream ends, fails or is
        stopped; all three may be async. An item that a stop finds in hand has a second to end (a coroutine is cancelled after half of it,
        and may clean up); beyond it the worker is killed, without ``close_method`` (a thread is left behind, and closes when it can).

        A worker that dies is replaced with a fresh instance and a warning: with ``stateful=True`` (the instance accumulates) its death
        fails the run instead.

        >>> class Scale:
        ...     def __init__(self, factor):
        ...         self.factor = factor
        ...     def apply(self, x):
        ...         return self.factor * x
        >>> Pipeline([1, 2], engine="inline").class_task(Scale, Scale.apply, [10]).wait_for_result()
        [10, 20]

        Raises what ``task`` raises; a constructor that fails, fails the run once, with its traceback.
        """
        stage = stages.ClassTask(cls, method, class_args, close_method, class_kwargs, stateful, config=stage_config(count, **options))
        return self._then(stage)

    @overload
    def cached_task(
        self,
        fn: Callable[[T_co], Awaitable[R | Drop]],
        cache_dir: Folder,
        count: Count = 1,
        *,
        on_error: Branch,
        key: Callable[[T_co], object] | None = None,
        version: object = None,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[R], Pipeline[Failure[T_co]]]: ...
    @overload
    def cached_task(
        self,
        fn: Callable[[T_co], R | Drop],
        cache_dir: Folder,
        count: Count = 1,
        *,
        on_error: Branch,
        key: Callable[[T_co], object] | None = None,
        version: object = None,
        **options: Unpack[CommonOptions],
    ) -> tuple[Pipeline[R], Pipeline[Failure[T_co]]]: ...
    @overload
    def cached_task(
        self,
        fn: Callable[[T_co], Awaitable[R | Drop]],
        cache_dir: Folder,
        count: Count = 1,
        *,
        key: Callable[[T_co], object] | None = None,
        version: object = None,
        **options: Unpack[StageOptions],
    ) -> Pipeline[R]: ...
    @overload
    def cached_task(
        self,
        fn: Callable[[T_co], R | Drop],
        cache_dir: Folder,
        count: Count = 1,
        *,
        key: Callable[[T_co], object] | None = None,
        version: object = None,
        **options: Unpack[StageOptions],
    ) -> Pipeline[R]: ...
    @building(task="fn")
    def cached_task(self, fn: Any, cache_dir: Any, count: Count = 1, *, key: Any = None, version: Any = None, **options: Any) -> Any:
        """Call ``fn(item)`` as ``task`` does, and keep the results on disk: what was computed once is read the next time.

        The cache is keyed by the item (or ``key(item)``) and by the function: its code, constants, defaults, closure and the local
        functions it uses; ``version`` stands for what else it depends on. Workers and runs may share the folder, and a crash at any byte
        leaves it usable.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Pipeline([4, 9], engine="inline").cached_task(lambda x: x**0.5, folder).wait_for_result()
        [2.0, 3.0]

        Raises what ``task`` raises.
        """
        return self._then(stages.CachedTask(fn, cache_dir, key, version, config=stage_config(count, **options)))

    @building()
    def uncache(self) -> Pipeline[T_co]:
        """Change nothing: in olympipe this took ``cached_task``'s results out of their envelopes, here they are plain values already.

        >>> Pipeline([1], engine="inline").uncache().wait_for_result()
        [1]
        """
        pipeline: Pipeline[T_co] = self._then(stages.Uncache())
        return pipeline
