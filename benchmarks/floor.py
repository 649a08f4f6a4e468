"""What any star of processes costs here, however little it does: ``python -m benchmarks.floor``.

    caller ──► hub ──► worker ──► hub ──► worker ──► hub ──► worker ──► hub ──► caller        eight wakings for three stages

Bare sockets and bare forks: 16 bytes are handed on, nothing is scheduled, encoded, counted or watched. So the figures are a floor for the
delay of a slow stream and for the start and end of a run, against a chain of ``multiprocessing.Queue`` and against forks that end at once,
all in one run and in turns. No engine takes part: what one takes beyond this is its own.
"""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import os
import select
import socket
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

__all__ = ["main"]

ROUNDS, ITEMS, STAGES = 5, 100, 3
PERIOD = 0.010  # seconds between items
ITEM = struct.Struct("qd")
IMPORTED = ("olympipe_ng", "cloudpickle")  # as in the process of whoever begins a run


def ticks(items: int) -> Iterator[bytes]:
    """Give a number and the time, each 10 ms."""
    began = time.perf_counter()
    for number in range(items):
        time.sleep(max(0.0, began + number * PERIOD - time.perf_counter()))
        yield ITEM.pack(number, time.perf_counter())


def age(item: bytes) -> float:
    return time.perf_counter() - float(ITEM.unpack(item)[1])


# --------------------------------------------------------------------------------------------------------------- the star


def star(items: int) -> list[float]:
    """Hand items through a star; return how long each was under way."""
    mine, theirs = socket.socketpair()
    hub = os.fork()
    if hub == 0:
        _live(partial(_be_hub, mine, theirs))
    theirs.close()
    ages = []
    for item in ticks(items):
        mine.send(item)
        ages.append(age(mine.recv(ITEM.size)))
    mine.close()
    os.waitpid(hub, 0)
    return ages


def _be_hub(mine: socket.socket, caller: socket.socket) -> None:
    mine.close()
    spokes: list[socket.socket] = []
    pids = []
    for _ in range(STAGES):
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            _live(partial(_be_worker, [caller, ours, *spokes], theirs))
        theirs.close()
        spokes.append(ours)
        pids.append(pid)
    _relay(caller, spokes)
    for spoke in spokes:
        spoke.close()
    for pid in pids:
        os.waitpid(pid, 0)


def _relay(caller: socket.socket, spokes: list[socket.socket]) -> None:
    """Hand on what comes, to the next one in the circle, until the caller is gone."""
    circle = [caller, *spokes]
    behind = {each.fileno(): circle[(place + 1) % len(circle)] for place, each in enumerate(circle)}
    readers = {each.fileno(): each for each in circle}
    poll = select.poll()
    for fd in readers:
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            item = readers[fd].recv(ITEM.size)
            if not item:
                return
            behind[fd].send(item)


def _be_worker(others: list[socket.socket], channel: socket.socket) -> None:
    for other in others:
        other.close()
    while item := channel.recv(ITEM.size):
        channel.send(item)


def _live(body: Callable[[], None]) -> NoReturn:
    try:
        body()
    finally:
        os._exit(0)


# ------------------------------------------------------------------------------------------------------ what it is held against


def chain(items: int) -> list[float]:
    """Do the same with a chain of queues."""
    fork = multiprocessing.get_context("fork")
    queues = [fork.Queue() for _ in range(STAGES + 1)]
    workers = [fork.Process(target=_pass_on, args=pair) for pair in itertools.pairwise(queues)]
    for worker in workers:
        worker.start()
    ages = []
    for item in ticks(items):
        queues[0].put(item)
        ages.append(age(queues[-1].get()))
    queues[0].put(None)
    for worker in workers:
        worker.join()
    return ages


def _pass_on(before: Any, behind: Any) -> None:
    while (item := before.get()) is not None:
        behind.put(item)
    behind.put(None)


def forks(items: int) -> None:
    """Fork as often as a star does, for nothing."""
    for pid in [os.fork() or os._exit(0) for _ in range(STAGES + 1)]:
        os.waitpid(pid, 0)


# ------------------------------------------------------------------------------------------------------------------ measuring


def seconds(body: Callable[[int], object]) -> float:
    """Time the start and end of one item's run."""
    began = time.perf_counter()
    body(1)
    return time.perf_counter() - began


def main() -> None:
    """Print both floors, as medians, and their ratios."""
    for module in IMPORTED:
        importlib.import_module(module)
    delays: dict[str, list[float]] = {"star": [], "chain": []}
    starts: dict[str, list[float]] = {"star": [], "forks": []}
    for _ in range(ROUNDS):
        for kind in (star, chain):
            delays[kind.__name__].append(statistics.median(kind(ITEMS)))
        for body in (star, forks):
            starts[body.__name__].append(seconds(body))
    for what, found, unit in (("delay of a slow stream", delays, 1e6), ("start and end", starts, 1e3)):
        (ours, theirs), names = (statistics.median(each) for each in found.values()), list(found)
        scale = "us" if unit == 1e6 else "ms"
        print(f"{what}: bare {names[0]} {ours * unit:.1f} {scale}, {names[1]} {theirs * unit:.1f} {scale}: {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
