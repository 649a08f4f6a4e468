"""What a careful engineer writes by hand: a chain of processes over bounded ``multiprocessing.Queue``. ``chunk=512`` items in a message.

    feeder thread ──► Queue ──► step 1 ──► Queue ──► step 2 ──► ... ──► Queue ──► consumer: sorts by number, counts

Messages carry a number, so that order is restored at the end. The feeder tells the consumer how many there are; so no end mark has to
travel down the chain, where it could overtake what another worker of the same step still has in its sending thread.
"""

from __future__ import annotations

import multiprocessing
import threading
import traceback
from collections.abc import Iterable, Iterator
from itertools import count, islice
from queue import Empty
from typing import Any

from ..contract import Job, Stage

MODULES = ()
LARGE = 4 << 20  # bytes: of larger items only two wait in each queue, else the chain holds gigabytes
PATIENCE = 1.0  # seconds between looks at whether the workers live
ALL, ERROR = -1, -2  # in place of a number


def run(job: Job, source: Iterable[Any]) -> Iterator[Any]:
    context = multiprocessing.get_context(next((name for name in ("forkserver", "spawn") if name in job.options), "fork"))
    chunk = int(job.options.get("chunk", 1))
    room = 2 if job.workload.item_bytes > LARGE else 8 if chunk > 1 else 32
    queues = [context.Queue(room) for _ in range(len(job.stages) + 1)]
    workers = []
    for number, stage in enumerate(job.stages):
        for _ in range(stage.workers):
            arguments = (stage, queues[number], queues[number + 1], queues[-1])
            workers.append(context.Process(target=_work, args=arguments, daemon=True))  # type: ignore[attr-defined]
            workers[-1].start()
    threading.Thread(target=_feed, args=(source, chunk, queues[0], queues[-1]), daemon=True).start()
    try:
        yield from _collect(queues[-1], workers)
        for number, stage in enumerate(job.stages):
            for _ in range(stage.workers):
                queues[number].put(None)
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.terminate()


def _work(stage: Stage, inbox: Any, outbox: Any, end: Any) -> None:
    try:
        while (message := inbox.get()) is not None:
            number, items = message
            outbox.put((number, [stage.function(item) for item in items]))
    except BaseException:
        end.put((ERROR, traceback.format_exc()))


def _feed(source: Iterable[Any], chunk: int, first: Any, last: Any) -> None:
    items = iter(source)
    for number in count():
        block = list(islice(items, chunk))
        if not block:
            last.put((ALL, number))
            return
        first.put((number, block))


def _collect(queue: Any, workers: list[Any]) -> Iterator[Any]:
    early: dict[int, list[Any]] = {}
    total, wanted = None, 0
    while total is None or wanted < total:
        number, items = _next(queue, workers)
        if number == ERROR:
            raise RuntimeError(items)
        if number == ALL:
            total = items
            continue
        early[number] = items
        while wanted in early:
            yield from early.pop(wanted)
            wanted += 1


def _next(queue: Any, workers: list[Any]) -> tuple[int, Any]:
    while True:
        try:
            number, items = queue.get(timeout=PATIENCE)
        except Empty:
            if any(worker.exitcode for worker in workers):
                raise RuntimeError("a worker died") from None
        else:
            return number, items
