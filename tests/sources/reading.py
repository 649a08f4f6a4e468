"""Two sources of three numbers, and two ways to read a source."""

from __future__ import annotations

import asyncio

from olympipe_ng.graph import Source
from olympipe_ng.sources import open_source


def numbers():
    yield from (1, 2, 3)


async def async_numbers():
    for number in (1, 2, 3):
        await asyncio.sleep(0)
        yield number


def read(source: Source) -> list:
    reader = open_source(source)
    try:
        return list(reader)
    finally:
        reader.close()


def take_all(source: Source, n: int = 2) -> list:
    reader = open_source(source)
    taken = []
    while items := reader.take(n):
        assert len(items) <= n
        taken += items
    reader.close()
    return taken
