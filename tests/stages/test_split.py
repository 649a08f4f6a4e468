from __future__ import annotations

import asyncio
import functools
import typing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from olympipe_ng.drop import DROP
from olympipe_ng.stages import Split
from olympipe_ng.stages.contract import Arity
from tests.stages.driving import applied, refused

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]


class Pair(NamedTuple):
    left: int
    right: int


def written(item: int) -> tuple[int | None, Unknown]:
    return item, item


def in_full(item: int) -> typing.Tuple[int, int, int]:  # noqa: UP006
    return item, item, item


def by_name(item: int) -> Pair:
    return Pair(item, item)


def any_length(item: int) -> tuple[int, ...]:
    return (item,)


def without(item: int):  # type: ignore[no-untyped-def]
    return item, item


class Splitter:
    def __call__(self, item: int) -> tuple[int, int]:
        return item, item


def evaluated(item: int) -> Any:
    return item, item


evaluated.__annotations__["return"] = tuple[int, int]


@pytest.mark.parametrize(
    ("fn", "n"),
    [(written, 2), (in_full, 3), (by_name, 2), (Splitter(), 2), (functools.partial(written), 2), (evaluated, 2)],
)
def test_the_return_annotation_says_how_many_outlets(fn: Any, n: int) -> None:
    """The annotation counts, though its names may not exist at run time."""
    assert Split(fn).outlets == n


@pytest.mark.parametrize("fn", [any_length, without, lambda item: (item, item), divmod])
def test_without_a_number_it_is_refused(fn: Any) -> None:
    """Nothing is guessed."""
    with refused("split needs n="):
        Split(fn)


def test_the_given_number_counts() -> None:
    """``n`` beats the annotation."""
    assert Split(without, 2).outlets == 2
    assert Split(any_length, n=1).outlets == 1
    with refused("n must be >= 1, got 0"):
        Split(without, 0)


def test_each_outlet_gets_its_value() -> None:
    """The result has one value per outlet, ``None`` and ``DROP`` among them."""
    results = applied(Split(lambda item: [item, None, DROP], 3), [1, 2], Arity.ROUTED)
    assert results == [(1, None, DROP), (2, None, DROP)]


def test_drop_as_a_whole_is_nothing_for_all() -> None:
    """Returning ``DROP`` drops the item."""
    assert applied(Split(lambda item: DROP, 2), [1], Arity.ROUTED) == [(DROP, DROP)]


@pytest.mark.parametrize(("result", "error"), [((1,), ValueError), ((1, 2, 3), ValueError), (None, TypeError), ("ab", TypeError)])
def test_a_result_of_the_wrong_shape_is_an_error(result: Any, error: type[Exception]) -> None:
    """No value vanishes because there is no outlet for it."""
    with pytest.raises(error):
        applied(Split(lambda item: result, 2), [1], Arity.ROUTED)


def test_split_may_be_async() -> None:
    """An ``async def`` is checked when it is awaited."""

    async def both(item: int) -> tuple[int, int]:
        return item, -item

    stage = Split(both)
    assert stage.is_async
    assert asyncio.run(applied(stage, [1], Arity.ROUTED)[0]) == (1, -1)
