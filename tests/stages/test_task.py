from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any

import pytest

from olympipe_ng.options import StageConfig
from olympipe_ng.stages import Task
from olympipe_ng.stages.contract import Arity
from tests.fakes import FakeContext
from tests.stages.driving import applied, refused


def double(item: int) -> int:
    return 2 * item


async def double_later(item: int, times: int = 2) -> int:
    return times * item


class Doubler:
    def __call__(self, item: int) -> int:
        return 2 * item

    async def later(self, item: int) -> int:
        return 2 * item


class LaterDoubler:
    async def __call__(self, item: int) -> int:
        return 2 * item


@pytest.mark.parametrize("fn", [double, lambda item: 2 * item, functools.partial(int.__mul__, 2), Doubler(), (2).__mul__])
def test_any_callable_is_a_task(fn: Any) -> None:
    """A task calls whatever can be called with an item."""
    assert applied(Task(fn), [1, 2], Arity.ONE) == [2, 4]
    assert not Task(fn).is_async


def test_the_users_function_is_called_without_a_wrapper() -> None:
    """Nothing stands between the worker and the user's function."""
    assert Task(double).make(FakeContext()).apply is double  # type: ignore[union-attr]


@pytest.mark.parametrize("fn", [double_later, functools.partial(double_later, times=2), Doubler().later, LaterDoubler()])
def test_async_is_found_through_partials_methods_and_objects(fn: Any) -> None:
    """An async function is known as one however it is wrapped."""
    stage = Task(fn)
    assert stage.is_async
    awaitable = applied(stage, [3], Arity.ONE)[0]
    assert inspect.isawaitable(awaitable)
    assert asyncio.run(awaitable) == 6  # type: ignore[arg-type]


def test_a_partial_of_an_async_method_is_async() -> None:
    """Partials and methods may be nested in any order."""
    assert Task(functools.partial(Doubler().later)).is_async
    assert Task(functools.partial(functools.partial(LaterDoubler()))).is_async


def test_a_class_with_an_async_call_is_itself_not_async() -> None:
    """Calling a class makes an instance, at once."""
    assert not Task(LaterDoubler).is_async


def test_what_cannot_be_called_is_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("^task needs a callable, got 3$"):
        Task(3)  # type: ignore[arg-type]


def test_an_async_generator_is_refused() -> None:
    """What gives many results is an explode."""

    async def many(item: int) -> Any:
        yield item

    with refused("task needs one result per item, 'many' is an async generator: use explode"):
        Task(many)


@pytest.mark.parametrize(
    ("fn", "label"),
    [
        (double, "double"),
        (functools.partial(double_later, times=3), "double_later"),
        (Doubler(), "Doubler"),
        (Doubler().later, "later"),
        (lambda item: item, "task"),
        (len, "len"),
    ],
)
def test_a_task_is_called_as_its_function(fn: Any, label: str) -> None:
    """Errors and logs name the function, and the kind where it has no name."""
    assert Task(fn).label == label


def test_a_given_name_beats_the_functions() -> None:
    """``name=`` is what the user calls the stage."""
    assert Task(double, config=StageConfig(name="resize")).label == "resize"
