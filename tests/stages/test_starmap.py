from __future__ import annotations

import asyncio

import pytest

from olympipe_ng.stages import Starmap
from olympipe_ng.stages.contract import Arity
from tests.stages.driving import applied, refused


def test_starmap_spreads_the_item() -> None:
    """Each item is the arguments of one call."""
    assert applied(Starmap(pow), [(2, 3), [3, 2]], Arity.ONE) == [8, 9]


def test_an_async_function_gives_awaitables() -> None:
    """An ``async def`` is spread into as well."""

    async def add(a: int, b: int) -> int:
        return a + b

    stage = Starmap(add)
    assert stage.is_async
    assert asyncio.run(applied(stage, [(1, 2)], Arity.ONE)[0]) == 3


def test_an_item_of_the_wrong_length_is_the_functions_error() -> None:
    """What cannot be called with the item raises as Python does."""
    with pytest.raises(TypeError):
        applied(Starmap(lambda a, b: a), [(1,)], Arity.ONE)


def test_what_cannot_be_called_is_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("starmap needs a callable, got 'no'"):
        Starmap("no")  # type: ignore[arg-type]
