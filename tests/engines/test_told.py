"""What a worker tells of a ticket, and when: by a clock that only the user's function moves."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
import time

import pytest

from olympipe_ng import Pipeline
from olympipe_ng.engines.codecs import EncodedCodec
from olympipe_ng.options import RunConfig
from olympipe_ng.origins import Origins
from olympipe_ng.plan import make_plan
from olympipe_ng.scheduler.messages import Dispatch, Frame, Parcel, Verb
from olympipe_ng.transport.encoding import Encoder
from olympipe_ng.worker import StageWorker, drive
from olympipe_ng.worker.coroutines import run_async
from olympipe_ng.worker.spec import make_specs


@pytest.fixture
def four_milliseconds(monkeypatch):
    """A function that takes so long, by a clock that it turns."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def work(x):
        now[0] += 0.004
        return x

    return work


@pytest.mark.parametrize(("hurry", "told"), [(True, [2, 4, 6, 8]), (False, [5, 8])])
def test_a_worker_tells_of_each_part_soon_only_where_somebody_has_nothing_to_do(hurry, told, four_milliseconds):
    """After more than 5 ms in a hurry, after nearly 20 without."""
    dones = answers(four_milliseconds, 8, RunConfig(), hurry=hurry)
    assert [done.upto for done in dones] == told
    assert [round(done.slowest, 6) for done in dones] == [0.004] * len(told)
    assert [done.finished for done in dones] == [False] * (len(told) - 1) + [True]


@pytest.mark.parametrize(("patience", "told"), [(0.010, 4), (0.0, 8)])
def test_a_worker_gives_back_the_rest_of_a_ticket_for_which_others_have_waited_long_enough(patience, told, four_milliseconds):
    """Told of two by two: what is told after 10 ms is the last. Where nobody could take the rest it keeps that."""
    last = answers(four_milliseconds, 8, RunConfig(), hurry=True, patience=patience)[-1]
    assert (last.upto, last.finished) == (told, True)


@pytest.mark.parametrize("together", [False, True])
def test_plain_numbers_that_turn_dear_are_told_of_soon(together, monkeypatch):
    """Cheap ones are timed 32 at a time: of the first that cost a second each no more are kept back."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def work(x):
        now[0] += 1.0 if x >= 900 else 1e-7
        return x

    config = RunConfig(frame_pickling="list" if together else "item")
    told = [done.upto for done in answers(work, 2000, config, hurry=True) if done.upto >= 900]
    assert told[0] <= 933
    assert told == sorted(told)
    assert max(after - before for before, after in itertools.pairwise(told)) == 1


def test_time_in_which_an_emitter_waits_for_room_is_not_its_own(monkeypatch):
    """Its function takes a second for each item, and the consumer five for what it is given at once."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def numbers(state):
        for number in range(4):
            now[0] += 1.0
            yield number

    def room(ticket):
        now[0] += 5.0
        return 1

    worker, order = prepare(Pipeline(range(1)).checkpoint(0, max, numbers), 1, RunConfig())
    dones = []
    context = contextvars.copy_context()  # this thread is no worker, before and after
    context.run(worker.setup)
    context.run(drive, worker.run(order._replace(verb=Verb.FLUSH, hi=0, allowance=1)), dones.append, room)
    assert sum(parcel.count for done in dones for _, parcel in done.outputs) == 4
    assert sum(done.busy for done in dones) == 4.0
    assert sum(done.moving for done in dones) == 0.0


def test_what_an_asynchronous_item_gave_is_not_counted_for_the_next():
    """A large item that fails late has given some outputs; the one behind it none, so it may be tried again."""
    async def numbers(x):
        if x == 1:
            raise ValueError("at once")
        return [*range(5000), threading.Lock()]

    worker, order = prepare(Pipeline(range(2)).explode(numbers, retries=1, on_error="collect"), 2, RunConfig())
    dones = []

    async def room(ticket):
        raise AssertionError("there is room")

    context = contextvars.copy_context()  # this thread is no worker, before and after
    context.run(worker.setup)
    context.run(asyncio.run, run_async(worker, order._replace(allowance=10_000), dones.append, room))
    assert dones[-1].upto == 1
    assert dones[-1].retry.emitted == 0


@pytest.mark.parametrize("kind", ["task", "async task", "explode"])
def test_the_time_of_an_attempt_that_failed_is_the_functions(kind, monkeypatch):
    """Three attempts of a second each are three seconds in the user's function, and none of moving items."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def fail(x):
        now[0] += 1.0
        raise OSError("the reason")

    async def fail_later(x):
        fail(x)

    numbers = Pipeline([7], engine="inline", on_error="skip", retries=2)
    failing = {"task": numbers.task(fail), "async task": numbers.task(fail_later), "explode": numbers.explode(fail)}[kind]
    stage = failing.wait_for_result().report.stages[1]
    assert (stage.failed, stage.retried, stage.busy_seconds, stage.moving_seconds) == (1, 2, 3.0, 0.0)


@pytest.mark.parametrize("queue_size", [None, 1])
def test_the_dearest_item_of_an_explode_cost_all_that_it_took_to_give_its_many(queue_size, monkeypatch):
    """One after the other, told of again and again: the first takes four seconds, the second two."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def spread(count):
        for number in range(count):
            now[0] += 1.0
            yield number

    exploded = Pipeline([4, 2], engine="inline", queue_size=queue_size).explode(spread)
    stage = exploded.task(abs).wait_for_result().report.stages[1]
    assert (stage.busy_seconds, stage.mean_seconds, stage.max_seconds) == (6.0, 3.0, 4.0)


def answers(work, count, config, *, hurry, patience=0.0, interrupted=None):
    """Run one ticket of so many numbers, and return what the worker says."""
    worker, order = prepare(Pipeline(range(count)).task(work), count, config, interrupted)
    context = contextvars.copy_context()  # this thread is no worker, before and after
    context.run(worker.setup)
    return context.run(lambda: list(worker.run(order._replace(hurry=hurry, patience=patience))))


def prepare(pipeline, count, config, interrupted=None):
    """Return the worker of a pipeline's first stage, and one ticket of so many numbers for it."""
    plan, nodes = make_plan([pipeline.outlet], config)
    codec = EncodedCodec(together=config.frame_pickling == "list")
    encoder = codec.encoder()
    encoder.extend(list(range(count)))
    worker = StageWorker(make_specs(plan, nodes, config)[1], 0, interrupted or codec, warn=pytest.fail)
    frame = Frame(1, Parcel(count, count, Origins.range(0, 0, count), encoder.take()))
    return worker, Dispatch(1, 1, Verb.ITEMS, 0, frame, 0, count, frame.origins)


class Late(Exception):
    """What a signal handler of the user's raises, wherever the worker is."""


class Interrupted(Encoder):
    """Adds an item, and is interrupted behind that."""

    def add(self, item):
        super().add(item)
        if item == "3":
            raise Late


class InterruptedCodec(EncodedCodec):
    def encoder(self):
        return Interrupted(self.by_value, None)


def test_an_output_whose_item_failed_all_the_same_is_never_told_of():
    """Else all behind it would count as the results of their neighbours: the worker ends, and its items are dealt again."""
    with pytest.raises(RuntimeError, match="outputs and items do not match"):
        answers(str, 8, RunConfig(on_error="collect"), hurry=True, interrupted=InterruptedCodec())


class Owned(Encoder):
    """Notes in which thread it was made, and in which others it was used."""

    def __init__(self, by_value, strangers):
        super().__init__(by_value)
        self.owner = threading.get_ident()
        self.strangers = strangers

    def add(self, item):
        self.strangers += [] if threading.get_ident() == self.owner else [item]
        super().add(item)


class OwnedCodec(EncodedCodec):
    def __init__(self):
        super().__init__()
        self.strangers = []

    def encoder(self):
        return Owned(self.by_value, self.strangers)


def test_a_lane_encodes_with_nothing_that_another_lane_may_be_using():
    """What has defined which classes to whom is kept by thread: two that define at once would each send half a definition."""
    codec = OwnedCodec()
    worker, order = prepare(Pipeline(range(8)).task(str), 8, RunConfig(), codec)
    context = contextvars.copy_context()  # this thread is no worker, before and after
    context.run(worker.setup)
    lane = threading.Thread(target=contextvars.copy_context().run, args=(list, worker.run(order)))
    lane.start()
    lane.join()
    context.run(list, worker.run(order))
    assert codec.strangers == []
