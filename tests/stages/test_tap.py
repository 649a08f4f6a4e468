from __future__ import annotations

import asyncio

from olympipe_ng.drop import DROP
from olympipe_ng.stages import Tap
from olympipe_ng.stages.contract import Arity
from tests.stages.driving import applied, refused


def test_tap_sees_each_item_and_keeps_it() -> None:
    """What the function returns is thrown away, be it false or ``DROP``."""
    seen: list[int] = []

    def look(item: int) -> object:
        seen.append(item)
        return DROP

    assert applied(Tap(look), [1, 0], Arity.KEEP) == [True, True]
    assert seen == [1, 0]


def test_tap_may_be_async() -> None:
    """An ``async def`` is awaited, and the item kept."""
    seen: list[int] = []

    async def look(item: int) -> None:
        seen.append(item)

    stage = Tap(look)
    assert stage.is_async
    assert asyncio.run(applied(stage, [4], Arity.KEEP)[0]) is True
    assert seen == [4]


def test_what_cannot_be_called_is_refused() -> None:
    """A mistake in the graph shows on the user's line."""
    with refused("tap needs a callable, got None"):
        Tap(None)  # type: ignore[arg-type]
