"""Large arrays that an opaque stage holds (for a batch, for another arm) are those that were made, however often memory is used anew."""

from __future__ import annotations

import contextvars
import gc
import weakref

import numpy as np
import pytest

from olympipe_ng import Pipeline
from olympipe_ng.engines.bench import Bench
from olympipe_ng.engines.codecs import HubCodec
from olympipe_ng.options import RunConfig
from olympipe_ng.origins import Origins
from olympipe_ng.plan import make_plan
from olympipe_ng.scheduler.messages import Dispatch, Frame, Parcel, StartWorker, Verb
from olympipe_ng.worker import make_specs

ITEMS, FLOATS = 48, 250_000  # a megabyte each: they travel in shared memory


def make(number):
    return np.full(FLOATS, number, dtype=np.float32)


def ends(array):
    return float(array[0]), float(array[-1])


def all_ends(arrays):
    return [ends(array) for array in arrays]


def is_tenth(array):
    return array[0] % 10 == 0


@pytest.fixture
def arrays():
    return Pipeline(range(ITEMS), engine="process", start_method="fork").task(make)


def test_a_batch_keeps_its_arrays_until_it_is_full(arrays):
    batches = arrays.batch(16).task(all_ends).wait_for_result()
    assert [pair for batch in batches for pair in batch] == [(number, number) for number in range(ITEMS)]


def test_zip_keeps_the_arrays_of_the_faster_arm(arrays):
    pairs = arrays.zip(arrays.task(ends)).starmap(lambda array, told: (ends(array), told)).wait_for_result()
    assert pairs == [((number, number), (number, number)) for number in range(ITEMS)]


def test_rejoin_keeps_arrays_until_the_other_arm_has_spoken(arrays):
    pairs = arrays.rejoin(arrays.filter(is_tenth).task(ends)).starmap(lambda array, told: (ends(array), told)).wait_for_result()
    assert pairs == [((number, number), (number, number)) for number in range(0, ITEMS, 10)]


class Held:
    """An encoded item."""


class HeldCodec(HubCodec):
    def open(self, payload, lo, hi):
        return payload.pop()


@pytest.mark.parametrize("kind", ["batch", "window", "zip", "latest"])
def test_what_a_stage_holds_is_let_go_of_when_it_is_stopped(kind):
    """Not when the garbage collector comes by: a ``limit`` may end a branch long before the run, and its arrays would keep their memory."""
    numbers, config = Pipeline(range(3)), RunConfig()
    holding = numbers.zip(Pipeline(range(3))) if kind == "zip" else getattr(numbers, kind)(9)
    plan, nodes = make_plan([holding.outlet], config)
    place = plan.sinks[0].number - 1
    bench, items = Bench(pytest.fail), [Held() for _ in range(3)]
    context = contextvars.copy_context()  # this thread is no worker, before and after
    held = list(map(weakref.ref, items))
    context.run(bench.start, StartWorker(1, place, 0), make_specs(plan, nodes, config)[place], HeldCodec())
    frame = Frame(1, Parcel(3, 3, Origins.range(0, 0, 3), [items]))
    context.run(bench.dispatch, Dispatch(1, 1, Verb.ITEMS, 0, frame, 0, 3, frame.origins, allowance=9))
    del items
    gc.disable()
    try:
        assert all(each() is not None for each in held)
        context.run(bench.stop, 1)
        assert not any(each() is not None for each in held)
    finally:
        gc.enable()
