from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

import olympipe_ng.stages.explode as module
from olympipe_ng.stages import Explode
from olympipe_ng.stages.contract import Arity
from tests.stages.driving import applied, refused


def test_without_a_function_the_item_itself_is_iterated() -> None:
    """Lists of items become items."""
    assert applied(Explode(), [[1, 2], "ab"], Arity.MANY) == [[1, 2], "ab"]
    assert Explode().label == "explode"


def test_an_endless_iterable_is_handed_on_unread() -> None:
    """The worker draws from it; nothing is collected here."""
    (endless,) = applied(Explode(itertools.count), [5], Arity.MANY)
    assert list(itertools.islice(endless, 3)) == [5, 6, 7]


def test_an_async_function_gives_an_awaitable_of_an_iterable() -> None:
    """``async def`` may return many."""

    async def pages(item: int) -> list[int]:
        return [item, item]

    stage = Explode(pages)
    assert stage.is_async
    assert asyncio.run(applied(stage, [1], Arity.MANY)[0]) == [1, 1]


def test_an_async_generator_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """An async generator gives what it yields, and an endless one ends in an error rather than in the memory."""

    async def count_to(item: int) -> Any:
        for number in itertools.count() if item < 0 else range(item):
            yield number

    monkeypatch.setattr(module, "COLLECTED", 10)
    stage = Explode(count_to)
    assert stage.is_async
    few, endless = applied(stage, [3, -1], Arity.MANY)
    assert asyncio.run(few) == [0, 1, 2]
    with pytest.raises(OverflowError, match="more than 10 elements"):
        asyncio.run(endless)


def test_it_is_not_one_to_one() -> None:
    """Indexing and ``rejoin`` are not possible behind it."""
    assert not Explode().one_to_one
    assert not Explode().keeps_origin


def test_what_cannot_be_called_is_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused(r"explode needs a callable, got \[1\]"):
        Explode([1])  # type: ignore[arg-type]
