"""Fetch 10 000 URLs with `async def`, many at a time, again where the server failed at first; answers come in the order of the URLs.

    python examples/http_fetch.py [NUMBER_OF_URLS]

    URLs ─► fetch: one worker, 64 requests in flight, up to 4 attempts each ─► measurements, in order

The server is started by the example, in a process of its own. It answers one address in twenty with "503 Service Unavailable" the first
time it is asked. A waiting retry holds up nobody: the other requests go on.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from aiohttp import web

from olympipe_ng import Pipeline

IN_FLIGHT = 64  # more hides more of the network's delay, and loads the server more
FAILS_EVERY = 20
RETRY_ON = (aiohttp.ClientError, asyncio.TimeoutError)


class Fetcher:
    """One per worker: requests share its session, and so its open connections."""

    def __init__(self) -> None:
        self.session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str) -> dict[str, Any]:
        if self.session is None:  # a session belongs to the event loop it was made on, which is this one
            self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        async with self.session.get(url) as answer:
            answer.raise_for_status()
            measurement: dict[str, Any] = await answer.json()
        return measurement

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()


def fetch_all(urls: list[str]) -> list[dict[str, Any]]:
    return (
        Pipeline(urls, name="http")
        .class_task(Fetcher, Fetcher.fetch, close_method=Fetcher.close, concurrency=IN_FLIGHT, retries=3, backoff=0.05, retry_on=RETRY_ON)
        .wait_for_result()
    )


# The server: a process of its own, as a server is.


def measurement(number: int) -> dict[str, int]:
    return {"station": number, "celsius": number * number % 41 - 10}


def fails_at_first(number: int) -> bool:
    return number % FAILS_EVERY == FAILS_EVERY - 1


async def serve() -> None:
    """Answer until standard input ends; the first line printed is the port."""
    asked: Counter[int] = Counter()

    async def answer(request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        asked[number] += 1
        if fails_at_first(number) and asked[number] == 1:
            raise web.HTTPServiceUnavailable
        return web.json_response(measurement(number))

    async def count(request: web.Request) -> web.Response:
        return web.json_response(sum(asked.values()))

    app = web.Application()
    app.add_routes([web.get("/stations/{number}", answer), web.get("/count", count)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


@contextmanager
def local_server() -> Iterator[str]:
    """Give the address of a server that runs as long as the `with` block."""
    command = [sys.executable, __file__, "--serve"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # it imports what this process can
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()  # tells it to end


def main(number: int = 10_000) -> tuple[list[dict[str, Any]], int]:
    """Return the answers and how many requests the server got for them."""
    with local_server() as address:
        started = time.perf_counter()
        answers = fetch_all([f"{address}/stations/{station}" for station in range(number)])
        seconds = time.perf_counter() - started
        with urllib.request.urlopen(f"{address}/count") as answer:
            requests = int(answer.read())
    print(f"{len(answers)} answers in {seconds:.1f} s ({len(answers) / seconds:.0f}/s), {requests - number} of them at the second attempt")
    print(f"warmest: {max(answers, key=lambda answer: answer['celsius'])}")
    return answers, requests


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(serve())
    else:
        main(*map(int, sys.argv[1:]))
