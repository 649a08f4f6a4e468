"""What a function finds where it runs: its worker, its item, its seed, an instance of its own; and coroutines and threads in a worker."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import threading
import time

import numpy as np
import pytest

from olympipe_ng import Pipeline, StageError, current_item, current_worker
from tests.engines.kinds import PROCESSES, each_engine, everywhere, in_processes, in_threads

# ------------------------------------------------------------------------------------------------------------ class_task


class Model:
    """Writes down what becomes of each instance."""

    def __init__(self, diary, factor=1):
        self.diary, self.factor = diary, factor
        self.lock = threading.Lock()  # never pickled
        self.write("made")

    def write(self, word):
        with self.diary.open("a") as file:
            file.write(f"{word} {current_worker().stage} {current_worker().number} {current_worker().pid}\n")

    def predict(self, x):
        with self.lock:
            return x * self.factor

    def refuse(self, x):
        raise ValueError(x)

    def close(self):
        self.write("closed")

    async def predict_later(self, x):
        await asyncio.sleep(0)
        return x * self.factor

    async def close_later(self):
        await asyncio.sleep(0)
        self.write("closed")


def diary_of(path):
    return [line.split() for line in path.read_text().splitlines()]


@everywhere
def test_there_is_one_instance_per_worker_and_it_is_closed(where, tmp_path):
    """Made in the worker, never pickled, closed at the end, once each; keyword and positional arguments reach the constructor."""
    diary = tmp_path / "diary"
    pipeline = Pipeline(range(20), **where).class_task(
        Model, Model.predict, [diary], Model.close, class_kwargs={"factor": 3}, count=2, name="model"
    )
    assert pipeline.wait_for_result() == [3 * x for x in range(20)]
    lines = diary_of(diary)
    made, closed = ([line[1:] for line in lines if line[0] == word] for word in ("made", "closed"))
    assert sorted(made) == sorted(closed)
    assert [line[:2] for line in sorted(made)] == [["model", "0"], ["model", "1"]]


@pytest.mark.parametrize("end", ["fails", "stopped", "limited"])
@each_engine
def test_an_instance_is_closed_however_the_run_ends(where, end, tmp_path):
    """``close_method`` is called when the stream fails, is stopped, or is no longer wanted."""
    diary = tmp_path / "diary"
    numbers = Pipeline(range(1000), **where)
    if end == "fails":
        with pytest.raises(StageError):
            numbers.class_task(Model, Model.refuse, [diary], Model.close).wait_for_result()
    elif end == "limited":
        assert numbers.class_task(Model, Model.predict, [diary], Model.close).limit(2).wait_for_result() == [0, 1]
    else:
        with numbers.class_task(Model, Model.predict, [diary], Model.close).start() as run:
            next(iter(run))
    assert [line[0] for line in diary_of(diary)] == ["made", "closed"]


@everywhere
def test_methods_and_close_may_be_asynchronous(where, tmp_path):
    """An ``async def`` method runs on the worker's loop, and ``close_method`` may be one too."""
    diary = tmp_path / "diary"
    pipeline = Pipeline(range(20), **where).class_task(Model, Model.predict_later, [diary, 2], Model.close_later)
    assert pipeline.wait_for_result() == [2 * x for x in range(20)]
    assert [line[0] for line in diary_of(diary)] == ["made", "closed"]


class Unlucky:
    def __init__(self):
        raise RuntimeError("no model file")

    def work(self, x):
        return x


@everywhere
def test_a_constructor_that_fails_fails_the_run_once(where):
    """Its own traceback, and its stage, are in the error."""
    with pytest.raises(StageError, match="no model file") as caught:
        Pipeline([1], **where).class_task(Unlucky, Unlucky.work, count=2).wait_for_result()
    assert "set-up failed" in str(caught.value)
    assert "no model file" in caught.value.traceback_text
    assert caught.value.index is None


class Tally:
    def __init__(self):
        self.seen = 0

    def count(self, x):
        self.seen += 1
        return self.seen


@everywhere
def test_an_instance_keeps_its_state_from_item_to_item_and_not_from_run_to_run(where):
    """Every run begins with new instances."""
    tally = Pipeline(["abc"] * 3, **where).class_task(Tally, Tally.count)
    assert [tally.wait_for_result(), tally.wait_for_result()] == [[1, 2, 3]] * 2


# ------------------------------------------------------------------------------------------ initializer and current_worker


@everywhere
def test_an_initializer_is_called_once_in_each_worker_before_its_first_item(where, tmp_path):
    """The pipeline's first, then the stage's; both know their worker."""
    diary = tmp_path / "diary"

    def note(word):
        with diary.open("a") as file:
            file.write(f"{word} {current_worker().stage} {current_worker().number}\n")

    pipeline = Pipeline(range(9), initializer=lambda: note("run"), **where).task(abs, count=2, name="a", initializer=lambda: note("stage"))
    assert pipeline.batch(2).explode(name="b").wait_for_result() == list(range(9))
    lines = diary_of(diary)
    assert sorted(lines) == [["run", "a", "0"], ["run", "a", "1"], ["run", "b", "0"], ["stage", "a", "0"], ["stage", "a", "1"]]
    for number in "01":
        assert [line[0] for line in lines if line[1:] == ["a", number]] == ["run", "stage"]


@everywhere
def test_current_worker_tells_stage_number_and_process(where):
    """The caller is no worker; inside, name, number and pid are the worker's."""
    came = Pipeline([1], **where).task(lambda x: (current_worker().stage, current_worker().number, current_worker().pid), name="gpu")
    ((stage, number, pid),) = came.wait_for_result()
    assert (stage, number) == ("gpu", 0)
    assert (pid == os.getpid()) is (where["engine"] != "process")
    with pytest.raises(LookupError, match="current_worker"):
        current_worker()


# ----------------------------------------------------------------------------------------------------- origins and seeds


@everywhere
def test_current_item_knows_where_an_item_comes_from(where):
    """The index survives filters and explodes; a batch has the indices of all its items, a zip those of both arms."""
    numbers = Pipeline(range(10, 20), **where).filter(lambda x: x % 2)
    assert numbers.task(lambda x: current_item().index).wait_for_result() == [1, 3, 5, 7, 9]
    assert numbers.explode(lambda x: "ab").task(lambda x: current_item().index).wait_for_result() == [1, 1, 3, 3, 5, 5, 7, 7, 9, 9]
    assert numbers.batch(2).task(lambda x: current_item().indices).wait_for_result() == [(1, 3), (5, 7), (9,)]
    other = Pipeline(["xyz"] * 3, **where)
    assert numbers.skip(2).zip(other).task(lambda x: current_item().indices).wait_for_result() == [(5, 0), (7, 1), (9, 2)]
    assert other.gather(numbers).task(lambda x: current_item().source).reduce(0, lambda x, n: n + x).wait_for_result() in ([5], [3])


@each_engine
def test_current_item_works_in_every_function_of_a_stage(where):
    """Filters, splits, keys, reducers, threads, coroutines and ``on_error`` functions."""
    def at(*item):
        return current_item().index

    async def later(item):
        await asyncio.sleep(0)
        return current_item().index

    def fail(x):
        raise ValueError

    numbers = Pipeline(list("abcd"), **where)
    assert numbers.filter(lambda x: at() % 2).wait_for_result() == ["b", "d"]
    assert numbers.task(at, threads=3).wait_for_result() == [0, 1, 2, 3]
    assert numbers.task(later).wait_for_result() == [0, 1, 2, 3]
    assert numbers.scan(0, at).wait_for_result() == [0, 1, 2, 3]
    assert numbers.unique(lambda x: at() // 2).wait_for_result() == ["a", "c"]
    assert numbers.task(fail, on_error=at).wait_for_result() == [0, 1, 2, 3]
    with pytest.raises(LookupError, match="current_item"):
        current_item()


def draw(x):
    return random.random(), float(np.random.rand())


def draw_own(x):
    return current_item().rng.random()


@in_processes
def test_with_a_seed_global_generators_give_the_same_for_any_count(where):
    """``random`` and NumPy are seeded for each item from seed, stage and origin."""
    one, many = (Pipeline(range(30), seed=7, **where).task(draw, count=count).wait_for_result() for count in (1, 3))
    assert one == many
    assert len(set(one)) == 30
    assert one != Pipeline(range(30), seed=8, **where).task(draw).wait_for_result()


async def draw_later(x):
    return draw(x)


SEEDED = {
    "filter": lambda p: p.filter(lambda x: random.random() < 0.5),
    "split": lambda p: p.split(lambda x: (draw(x), None), n=2)[0],
    "explode": lambda p: p.explode(lambda x: [draw(x), draw(x)], count=2),
    "async": lambda p: p.task(draw_later, concurrency=1),
    "async explode": lambda p: p.explode(draw_later, concurrency=1),
    "scan": lambda p: p.scan((), lambda x, drawn: draw(x)),
    "reduce": lambda p: p.reduce((), lambda x, drawn: (*drawn, *draw(x))),
    "unique": lambda p: p.unique(lambda x: int(draw(x)[0] * 20)),
    "bucket": lambda p: p.bucket(lambda x: draw(x)[0] < 0.5, 3),
}


@pytest.mark.parametrize("kind", SEEDED)
def test_with_a_seed_every_function_of_a_stage_draws_the_same_again(kind):
    """The global generators are seeded for each item in process stages of one thread, whatever their shape."""
    drawing = SEEDED[kind](Pipeline(range(30), seed=7, start_method="fork"))
    drawn = drawing.wait_for_result()
    assert drawn
    assert drawn == drawing.wait_for_result()
    assert drawn != drawing.options(seed=8).wait_for_result()


@everywhere
def test_with_a_seed_the_items_own_generator_gives_the_same_everywhere(where):
    """``current_item().rng`` depends on seed, stage and origin only."""
    came = Pipeline(range(20), seed=7, **where).task(draw_own, count=2, threads=2).wait_for_result()
    assert came == Pipeline(range(20), seed=7, engine="inline").task(draw_own).wait_for_result()
    assert len(set(came)) == 20


@in_processes
def test_without_a_seed_workers_draw_numbers_of_their_own(where):
    """Forked workers do not all draw the caller's next number."""
    first, second = Pipeline([1], **where).task(draw).wait_for_result() + Pipeline([1], **where).task(draw).wait_for_result()
    assert first != second


@everywhere
def test_a_shuffle_takes_its_order_from_the_seed(where):
    """The same seed, the same order; another seed, another."""
    shuffled = Pipeline(range(50), seed=1, **where).shuffle()
    assert shuffled.wait_for_result() == Pipeline(range(50), seed=1, engine="inline").shuffle().wait_for_result()
    assert shuffled.options(seed=2).wait_for_result() != shuffled.wait_for_result()


# -------------------------------------------------------------------------------------------------- threads and coroutines


@in_threads
def test_threads_of_a_worker_run_at_once_and_keep_the_order(where):
    """Four threads meet at a barrier, which one alone could not pass."""
    def meet(x, barrier=[]):  # noqa: B006 - one barrier per worker is what is wanted
        with LOCK:
            if not barrier:
                barrier.append(threading.Barrier(4, timeout=20))
        barrier[0].wait()
        return x

    assert Pipeline(range(4), **where).task(meet, threads=4).wait_for_result() == [0, 1, 2, 3]


LOCK = threading.Lock()


@pytest.mark.parametrize("where", [{"engine": "thread"}, PROCESSES["fork"], PROCESSES["spawn"]])
def test_coroutines_of_a_worker_are_in_flight_at_once_and_keep_the_order(where):
    """Eight coroutines wait for each other, in one worker."""
    async def meet(x, waiting=[]):  # noqa: B006
        done = asyncio.get_running_loop().create_future()
        waiting.append(done)
        if len(waiting) == 8:
            for future in waiting:
                future.set_result(None)
        await asyncio.wait_for(done, 20)
        return x, os.getpid()

    came = Pipeline(range(8), **where).task(meet, concurrency=8).wait_for_result()
    assert [x for x, _ in came] == list(range(8))
    assert len({pid for _, pid in came}) == 1


@in_threads
def test_no_more_coroutines_than_concurrency_are_in_flight(where):
    """``concurrency=3`` is a bound."""
    async def count(x, state={"now": 0, "most": 0}):  # noqa: B006
        state["now"] += 1
        state["most"] = max(state["most"], state["now"])
        await asyncio.sleep(0.001)
        state["now"] -= 1
        return state["most"]

    assert 1 < max(Pipeline(range(60), **where).task(count, concurrency=3).wait_for_result()) <= 3


@everywhere
def test_every_kind_of_stage_takes_coroutines(where):
    """``async def`` in task, starmap, filter, explode (also as an async generator), tap and split."""
    async def double(x):
        await asyncio.sleep(0)
        return x * 2

    async def odd(x):
        return x % 2

    async def twice(x):
        yield x
        yield x

    async def both(x):
        return [x, -x]

    async def route(x):
        return (x, None) if x % 2 else (None, x)

    async def add(a, b):
        return a + b

    numbers = Pipeline(range(4), **where)
    left, right = numbers.split(route, n=2)
    came = Pipeline.wait_for_all_results(
        [numbers.task(double), numbers.filter(odd), numbers.explode(twice), numbers.explode(both), numbers.tap(double), left, right]
    )
    assert came == [[0, 2, 4, 6], [1, 3], [0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 1, -1, 2, -2, 3, -3], [0, 1, 2, 3], [1, 3], [0, 2]]
    assert numbers.zip(numbers.task(abs)).starmap(add).wait_for_result() == [0, 2, 4, 6]


@each_engine
def test_an_element_of_an_asynchronous_explode_that_cannot_be_pickled_fails_its_item(where):
    """It is that item's ``SerializationError``, and takes its other elements with it."""
    async def locks(x):
        return [x, threading.Lock()] if x == 1 else [x]

    results = Pipeline([0, 1, 2], **where).explode(locks, on_error="collect").wait_for_result()
    assert results == [0, 2]
    assert "lock" in results.errors[0]


@each_engine
def test_what_an_asynchronous_explode_returns_streams(where):
    """It may be endless: what an ``async def`` returns is iterated as it is wanted, not collected."""
    async def count(x):
        return itertools.count(x)

    assert Pipeline([5], **where).explode(count).limit(3).wait_for_result() == [5, 6, 7]


@in_threads
def test_an_asynchronous_explode_ends_when_nobody_wants_the_rest(where):
    """Also those of its coroutines that were about to begin at that moment."""
    async def forever(x):
        return itertools.repeat(x)

    endless = Pipeline(range(6), **where).explode(forever).limit(4)
    assert [endless.wait_for_result() for _ in range(20)] == [[0, 0, 0, 0]] * 20


@each_engine
def test_an_asynchronous_explode_that_fails_half_way_fails_its_item(where):
    """Where what it returned raises, nothing of the item comes out, and the others do."""
    async def halves(x):
        return (1 // (2 - x) for _ in range(2)) if x else [7]

    results = Pipeline([0, 1, 2, 0], **where).explode(halves, on_error="collect").wait_for_result()
    assert results == [7, 1, 1, 7]
    assert "ZeroDivisionError" in results.errors[0]


@in_threads
def test_what_a_tap_or_a_task_does_to_the_callers_objects_stays_in_the_worker_of_a_process(where):
    """In a process a list of the caller's stays empty; threads share it."""
    seen = []
    Pipeline([1, 2], **where).tap(seen.append).wait_for_completion()
    assert seen == ([1, 2] if where["engine"] == "thread" else [])


@in_threads
def test_a_slow_explode_streams(where):
    """What an item yields now and then comes out at once, not when the item is through."""
    let_go = threading.Event()

    def slowly(x):
        yield "first"
        time.sleep(0.1)
        yield "second"
        time.sleep(3 if where["engine"] == "process" else 0)
        let_go.wait(20 if where["engine"] == "thread" else 0)
        yield "third"

    with Pipeline([0], **where).explode(slowly).start() as run:
        results = iter(run)
        began = time.monotonic()
        assert [next(results), next(results)] == ["first", "second"]
        assert time.monotonic() - began < 2.5
        let_go.set()


@in_threads
def test_a_slow_emitter_streams_and_ends_with_its_run(where):
    """What a checkpoint's emitter yields now and then comes out at once; one that never ends does not hold up who has had enough."""
    def slowly(state):
        for number in itertools.count():
            yield number
            time.sleep(0.1)

    began = time.monotonic()
    assert Pipeline([0], **where).checkpoint(0, max, slowly).task(abs).limit(3).wait_for_result() == [0, 1, 2]
    assert time.monotonic() - began < 2.5
