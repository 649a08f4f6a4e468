"""What a function finds where it runs: its worker, set up before its first item, and an instance of its own."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from olympipe_ng import Pipeline, StageError, current_worker
from tests.engines.kinds import each_engine, everywhere

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
