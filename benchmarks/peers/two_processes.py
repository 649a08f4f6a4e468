"""Two plain processes that share the work by halves and never speak before the end: what two cores allow."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from typing import Any

from ..contract import Job

MODULES = ()


def run(job: Job, source: Iterable[Any]) -> Iterable[Any]:
    context = multiprocessing.get_context("fork")
    items = list(source)
    halves = []
    for half in (items[::2], items[1::2]):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(job, half, sender))
        process.start()
        sender.close()
        halves.append((process, receiver))
    results: list[Any] = [None] * len(items)
    for first, (process, receiver) in enumerate(halves):
        results[first::2] = receiver.recv()
        process.join()
    return results


def _work(job: Job, items: list[Any], sender: Any) -> None:
    sender.send([job.through(item) for item in items])
