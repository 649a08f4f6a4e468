from __future__ import annotations

import asyncio

from olympipe_ng.stages import Filter
from olympipe_ng.stages.contract import Arity
from tests.stages.driving import applied, refused


def test_the_functions_answer_says_what_is_kept() -> None:
    """A filter answers, it does not touch the item."""
    assert applied(Filter(lambda item: item % 2), [1, 2, 3], Arity.KEEP) == [1, 0, 1]


def test_without_a_function_all_but_none_is_kept() -> None:
    """False items are ordinary items."""
    assert applied(Filter(), [0, "", None, (), False], Arity.KEEP) == [True, True, False, True, True]
    assert Filter().label == "filter"


def test_a_filter_may_be_async() -> None:
    """An ``async def`` decides as well."""

    async def positive(item: int) -> bool:
        return item > 0

    stage = Filter(positive)
    assert stage.is_async
    assert asyncio.run(applied(stage, [1], Arity.KEEP)[0]) is True


def test_a_filter_says_that_it_drops() -> None:
    """Zip warns of arms that may have lost items."""
    assert Filter().drops_silently
    assert Filter().keeps_origin


def test_what_cannot_be_called_is_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("filter needs a callable, got 0"):
        Filter(0)  # type: ignore[arg-type]
