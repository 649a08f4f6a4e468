"""What a worker's heap keeps: pages for the next item, and nothing when there is none."""

from __future__ import annotations

import os
import resource
import sys
import time

import psutil
import pytest

from olympipe_ng import Pipeline
from olympipe_ng.engines.process import heap, worker
from olympipe_ng.options import RunConfig
from olympipe_ng.plan import make_plan
from tests.engines.kinds import in_processes

pytestmark = pytest.mark.skipif(sys.platform != "linux" or heap.find_malloc() is None, reason="only glibc's heap is told what to keep")

BLOCK = 24 << 20
PAGES = BLOCK // resource.getpagesize()


def use_memory(_: int) -> int:
    """Fill a block and free it; return the pages that had to be fetched for it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(b"x") * BLOCK
    del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1])


@in_processes
def test_memory_that_an_item_freed_is_there_for_the_next(where):
    """Fetching and zeroing a page costs thirty times what copying it does."""
    first, *others = Pipeline(range(6), **where).task(use_memory).wait_for_result()
    assert first > PAGES // 2 > 10 * sum(others)


def test_workers_together_keep_a_part_of_the_memory_that_there_is(monkeypatch):
    """Of the machine's, or of what a control group allows; each at most 512 MiB, at least what it would keep anyway."""
    plan, _ = make_plan([Pipeline(range(1)).task(abs, 6).task(abs, 2).batch(2).outlet], RunConfig())
    monkeypatch.setattr(heap, "memory_limit", lambda: 1 << 30)
    assert heap.kept_by_each(plan) == (1 << 30) // 8 // 8
    monkeypatch.setattr(heap, "memory_limit", lambda: 1 << 20)
    assert heap.kept_by_each(plan) == 128 << 10
    monkeypatch.setattr(heap, "memory_limit", lambda: None)
    assert heap.kept_by_each(plan) == min(1 << 29, psutil.virtual_memory().total // 64)


@pytest.mark.parametrize("idle", [True, False])
def test_what_is_kept_is_given_back(monkeypatch, idle):
    """With nothing to do at once, and while there is something to do now and then."""
    monkeypatch.setattr(worker, "IDLE" if idle else "SELDOM", 0.01)

    def work(number: int) -> tuple[int, int]:
        if number == 0:
            use_memory(number)
        return os.getpid(), resident(os.getpid())

    def source():
        yield 0
        until = time.monotonic() + 30
        while not grown or (idle and resident(grown[0]) > before + PAGES // 2 and time.monotonic() < until):
            time.sleep(0.01)
        yield from range(1, 200)

    grown: list[int] = []
    before = 0
    with Pipeline(source, start_method="fork", queue_size=1).task(work).start() as run:
        results = iter(run)
        pid, kept = next(results)
        before = kept - PAGES
        grown.append(pid)
        assert min(pages for _, pages in results) < before + PAGES // 2
