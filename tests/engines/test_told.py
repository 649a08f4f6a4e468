"""When a worker tells of what it has finished: by a clock that only the user's function moves."""

from __future__ import annotations

import contextvars
import time

import pytest

from olympipe_ng import Pipeline
from olympipe_ng.engines.codecs import ObjectCodec
from olympipe_ng.options import RunConfig
from olympipe_ng.origins import Origins
from olympipe_ng.plan import make_plan
from olympipe_ng.scheduler.messages import Dispatch, Frame, Parcel, Verb
from olympipe_ng.worker import StageWorker
from olympipe_ng.worker.spec import make_specs


@pytest.mark.parametrize(("hurry", "told"), [(True, [2, 4, 6, 8]), (False, [5, 8])])
def test_a_worker_tells_of_each_part_soon_only_where_somebody_has_nothing_to_do(hurry, told, monkeypatch):
    """Items of 4 ms: after more than 5 ms in a hurry, after nearly 20 without."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def work(x):
        now[0] += 0.004
        return x

    plan, nodes = make_plan([Pipeline(range(8)).task(work).outlet], RunConfig())
    worker = StageWorker(make_specs(plan, nodes, RunConfig())[1], 0, ObjectCodec(), warn=pytest.fail)
    frame = Frame(1, Parcel(8, 8, Origins.range(0, 0, 8), list(range(8))))
    order = Dispatch(1, 1, Verb.ITEMS, 0, frame, 0, 8, frame.origins, hurry=hurry)
    context = contextvars.copy_context()  # this thread is no worker, before and after
    context.run(worker.setup)
    dones = context.run(lambda: list(worker.run(order)))
    assert [done.upto for done in dones] == told
    assert [done.finished for done in dones] == [False] * (len(told) - 1) + [True]
