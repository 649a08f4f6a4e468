"""F40 to F43: many stages, workers and descriptors, a slow stage and a stalled one, large closures."""

from __future__ import annotations

import os
import resource
import time

import numpy as np
import psutil
import pytest

from olympipe_ng import GraphError, Pipeline
from tests.faults.helpers import Script

METHODS = ["fork", "forkserver"]


@pytest.fixture
def few_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_descriptors")
def test_f40_too_few_descriptors_are_told_before_anything_starts():
    """How many are needed, how many there are; nothing is half started."""
    pipeline = Pipeline(range(3), start_method="fork")
    for _ in range(30):
        pipeline = pipeline.task(abs)
    with pytest.raises(GraphError, match=r"30 workers needs \d+ file descriptors, and the limit is 64"):
        pipeline.wait_for_result()
    assert Pipeline(range(3), start_method="fork").task(abs, 2).wait_for_result() == [0, 1, 2]


@pytest.mark.parametrize("method", METHODS)
def test_f40_as_many_descriptors_as_were_asked_for_are_enough(tmp_path, method):
    """Twenty stages of arrays run under the very limit that the error names."""
    code = """
import re, resource, sys
import numpy as np
from olympipe_ng import GraphError, Pipeline
pipeline = Pipeline(range(30), start_method=sys.argv[1], progress=False).task(lambda x: np.full(100_000, x))
for _ in range(19):
    pipeline = pipeline.task(lambda a: a + 1)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (70, hard))
try:
    pipeline.wait_for_result()
except GraphError as error:
    needed = int(re.search(r"needs (\\d+)", str(error)).group(1))
resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
assert [int(a[0]) for a in pipeline.wait_for_result()] == list(range(19, 49))
"""
    with Script(tmp_path, code, method) as script:
        status, _, errors = script.end()
        assert not script.left()
    assert status == 0, errors


@pytest.mark.slow
def test_f41_two_hundred_stages():
    """200 stages of a process each."""
    pipeline = Pipeline(range(20), start_method="fork")
    for _ in range(200):
        pipeline = pipeline.task(lambda x: x + 1)
    assert pipeline.wait_for_result() == list(range(200, 220))


def test_f41_a_thousand_stages_are_refused_clearly():
    """A graph built in a loop by mistake, and more workers than are supported, are a GraphError."""
    pipeline = Pipeline(range(20), start_method="fork")
    for _ in range(1100):
        pipeline = pipeline.task(abs)
    with pytest.raises(GraphError, match="1101 stages"):
        pipeline.wait_for_result()
    with pytest.raises(GraphError, match="workers"):
        Pipeline(range(20)).task(abs, 600).wait_for_result()


@pytest.mark.slow
def test_f41_sixty_four_workers():
    """One stage of 64 processes, in order."""
    results = Pipeline(range(2000), start_method="fork").task(lambda x: (x, os.getpid()), 64).wait_for_result()
    assert [x for x, _ in results] == list(range(2000))


def test_f42_a_slow_stage_leaves_the_others_waiting_not_spinning():
    """Upstream and supervisor use next to no processor time while one stage sleeps; the report names it."""
    with Pipeline(range(8), start_method="fork").task(abs).task(lambda x: time.sleep(0.25) or x, name="slow").start() as run:
        supervisor = psutil.Process(run._core.engine._pid)
        items = iter(run)
        next(items)
        before = supervisor.cpu_times()
        rest = list(items)
        after = supervisor.cpu_times() if supervisor.is_running() and supervisor.status() != "zombie" else before
        report = str(run.report())
    assert rest == list(range(1, 8))
    assert after.user + after.system - before.user - before.system < 0.5
    assert "slow" in report


@pytest.mark.parametrize("method", METHODS)
def test_f43_a_huge_closure_is_carried_once_and_named(method, caplog):
    """Above 10 MB the variable is named with the size (under fork it is not carried at all)."""
    big = np.ones(25_000_000)
    results = Pipeline(range(3), start_method=method).task(lambda x: x + big[x], 2).wait_for_result()
    assert results == [1.0, 2.0, 3.0]
    if method != "fork":
        assert "200 MB" in caplog.text
        assert "'big'" in caplog.text


class Carried:
    """Counts how often it is pickled."""

    pickled = 0

    def __init__(self):
        self.data = list(range(10))
        self.ballast = bytes(12_000_000)

    def __getstate__(self):
        Carried.pickled += 1
        return {"data": self.data, "ballast": self.ballast}


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_f43_a_huge_closure_is_pickled_once(method, monkeypatch):
    """For three workers too."""
    monkeypatch.setattr(Carried, "pickled", 0)
    large = Carried()
    assert Pipeline(range(3), start_method=method).task(lambda x: x + large.data[x], 3).wait_for_result() == [0, 2, 4]
    assert Carried.pickled == 1


@pytest.mark.parametrize("engine", ["process", "thread"])
def test_a_stall_is_told_once_and_the_run_goes_on(engine, caplog):
    """Stage, worker, item in hand and what waits are named."""
    pipeline = Pipeline(range(4), engine=engine, start_method="fork", stall_timeout=0.3)
    results = pipeline.task(lambda x: time.sleep(1.2) or x if x == 2 else x, name="sluggish").wait_for_result()
    assert results == [0, 1, 2, 3]
    (text,) = [record.getMessage() for record in caplog.records if "nothing has moved" in record.getMessage()]
    assert "stage 1 'sluggish'" in text
    assert "item 2" in text
    assert "wait before it" in text


@pytest.mark.parametrize("engine", ["process", "thread"])
def test_a_consumers_pause_is_no_stall(engine, caplog):
    """Nobody is told of a consumer that takes its time."""
    with Pipeline(range(500), engine=engine, start_method="fork", stall_timeout=0.1, queue_size=2).task(abs).start() as run:
        items = iter(run)
        next(items)
        time.sleep(0.5)
        assert len(list(items)) == 499
    assert "nothing has moved" not in caplog.text
