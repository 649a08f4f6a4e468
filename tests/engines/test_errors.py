"""What a task raises is its item's failure, of whatever type, and arrives with all that is known of it."""

from __future__ import annotations

import asyncio
import io
import os
import queue
import threading
import time
from dataclasses import dataclass

import psutil
import pytest
from PIL import Image

from olympipe_ng import ItemError, Pipeline, SerializationError, StageError, StageTimeout, WorkerDied
from tests.engines.kinds import EVERYWHERE, PROCESSES, each_engine, everywhere, in_processes, in_threads

RAISED = [OSError, FileNotFoundError, TimeoutError, queue.Empty, StopIteration, SystemExit, GeneratorExit, EOFError, KeyError, MemoryError]
SHORT = pytest.mark.parametrize("where", [EVERYWHERE["inline"], EVERYWHERE["thread"], PROCESSES["fork"], PROCESSES["forkserver"]])


class TwoWords(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.second = second


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Worded(Exception):
    def __init__(self, what):
        super().__init__(f"there is no {what}")


class Locked(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


class UnreadableText(Exception):
    def __str__(self):
        raise RuntimeError("not even its text")


class NeitherTrueNorFalse(Exception):
    def __bool__(self):
        raise RuntimeError("nobody knows")


class Response(TwoWords):
    """Cannot be rebuilt by its own ``__init__``, and is larger than what a message holds."""

    def __init__(self, word, size):
        super().__init__(word, "too much")
        self.body = bytearray(size)


def respond(item):
    if item in (1, 2):
        raise Response("word", 65 << 20 if item == 1 else 1 << 20)
    return item


@each_engine
def test_a_huge_exception_arrives_in_words(where):
    """It costs its item only, and is told by its type, text and traceback, raised, collected or handed out by a branch."""
    responding = Pipeline(range(4), **where).task(respond)
    with pytest.raises(StageError, match=r"item 1 1: .*Response: word") as caught:
        responding.wait_for_result()
    assert "in respond" in caught.value.traceback_text
    results = responding.options(on_error="collect").wait_for_result()
    assert results == [0, 3]
    assert len(results.errors) == 2
    good, bad = Pipeline(range(4), **where).task(respond, on_error="branch")
    good, failures = Pipeline.wait_for_all_results([good, bad])
    assert good == [0, 3]
    assert [(failure.item, type(failure.exception)) for failure in failures] == [(1, StageError), (2, StageError)]


class Neither:
    def __bool__(self):
        raise ValueError("ambiguous")


def neither(item):
    return Neither() if item in (0, 700) else True


async def neither_later(item):
    return neither(item)


@pytest.mark.parametrize("frame_pickling", ["item", "list"])
@pytest.mark.parametrize("function", [neither, neither_later])
@each_engine
def test_a_filters_result_without_a_truth_is_the_functions_failure(where, function, frame_pickling):
    """What ``bool`` of a filter's result raises is a ``StageError`` of the item, the first of many or one among cheap ones."""
    for items in (range(1), range(1, 1000)):
        with pytest.raises(StageError, match="ValueError: ambiguous"):
            Pipeline(items, frame_pickling=frame_pickling, **where).filter(function).wait_for_result()


class NotLoadable:
    """Pickles, and cannot be loaded again."""

    def __reduce__(self):
        return _refuse, ()


def _refuse():
    raise ValueError("cannot be loaded")


def failing_at(three, make):
    def work(x):
        if x == three:
            raise make()
        return x

    return work


def outcome(pipeline):
    """Iterate to the error; return what came before it, and the error."""
    came = []
    with pytest.raises(ItemError) as caught:
        came.extend(pipeline)
    return came, caught.value


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError])
@each_engine
def test_what_ends_an_event_loop_is_the_failure_of_its_item_under_a_timeout_too(where, kind):
    """An ``async def`` with ``timeout=`` that calls ``sys.exit()``: its item fails, the others go on."""

    async def work(x):
        await asyncio.sleep(0)
        if x == 3:
            raise kind("the reason")
        return x

    results = Pipeline(range(6), **where).task(work, timeout=60, on_error="collect").wait_for_result()
    assert results == [0, 1, 2, 4, 5]
    assert [text for text in results.errors if f"{kind.__name__}: the reason" in text] == results.errors != []


@pytest.mark.parametrize("kind", RAISED)
@pytest.mark.parametrize("method", ["task", "filter", "explode"])
@in_threads
def test_whatever_a_function_raises_is_the_failure_of_its_item(where, method, kind):
    """The items before it come out, then a ``StageError`` whose cause is the exception itself; the items behind are not lost silently."""
    def work(x):
        if x == 3:
            raise kind("the reason")
        return [x] if method == "explode" else x + 1

    came, error = outcome(getattr(Pipeline(range(10), **where), method)(work))
    assert len(came) == 3
    assert type(error) is StageError
    assert (error.index, error.item_repr, error.stage) == (3, "3", "1 'work'")
    if not (method == "explode" and kind is StopIteration):
        assert type(error.__cause__) is kind
    assert "the reason" in str(error)


@in_threads
def test_a_keyboard_interrupt_that_a_function_raises_is_its_items_failure(where):
    """Only the caller's own Ctrl-C is an interrupt."""
    came, error = outcome(Pipeline(range(5), **where).task(failing_at(2, KeyboardInterrupt)))
    assert came == [0, 1]
    assert isinstance(error.__cause__, KeyboardInterrupt)


@everywhere
def test_an_error_says_all_that_is_known(where):
    """Stage, line, index, repr, the exception and the worker's traceback: in the text and as attributes."""
    pipeline = Pipeline([10, 20, 30], **where).task(abs).task(failing_at(30, lambda: OSError("image file is truncated")), name="resize")
    _, error = outcome(pipeline)
    assert "stage 2 'resize'" in str(error)
    assert "item 2 30: OSError: image file is truncated" in str(error)
    assert error.declared_at.startswith(__file__)
    assert error.declared_at in str(error)
    assert "raise make()" in error.traceback_text
    assert isinstance(error.__cause__, OSError)
    assert (error.worker_pid == os.getpid()) is (where["engine"] != "process")
    assert error.errors == [str(error)]


@SHORT
def test_of_two_errors_the_one_earlier_in_order_is_raised(where):
    """A later item that fails sooner does not win, in the same stage or in an earlier one."""
    def slow(x):
        if x == 2:
            time.sleep(0.05)
            raise ValueError("the second item")
        if x == 4:
            raise KeyError("the fourth item")
        return x

    came, error = outcome(Pipeline(range(9), **where).task(slow, count=2).task(failing_at(3, OSError)))
    assert came == [0, 1]
    assert isinstance(error.__cause__, ValueError)


@SHORT
def test_a_limit_that_is_satisfied_before_an_error_wins_over_it(where):
    """``limit(3)`` never hears of the failure of item 3."""
    assert Pipeline(range(9), **where).task(failing_at(3, OSError), count=2).limit(3).wait_for_result() == [0, 1, 2]


@in_threads
def test_without_order_an_error_is_raised_at_once(where):
    """``ordered=False`` does not wait for the elder items."""
    let_go = threading.Event() if where["engine"] == "thread" else None

    def work(x):
        if x == 1:
            raise ValueError("at once")
        if let_go is not None:
            let_go.wait(1)
        else:
            time.sleep(0.3)
        return x

    with pytest.raises(StageError, match="at once"):
        list(Pipeline(range(9), **where).task(work, count=2, ordered=False))


@everywhere
def test_an_exception_whose_init_takes_two_arguments_arrives_whole(where):
    """Its type, text and attributes are the caller's."""
    _, error = outcome(Pipeline([1], **where).task(failing_at(1, lambda: TwoWords("this", "that"))))
    assert type(error.__cause__) is TwoWords
    assert (str(error.__cause__), error.__cause__.second) == ("this and that", "that")
    _, error = outcome(Pipeline([1], **where).task(failing_at(1, lambda: Worded("bread"))))
    assert str(error.__cause__) == "there is no bread"
    _, error = outcome(Pipeline([1], **where).task(failing_at(1, lambda: Frozen(3))))
    assert error.__cause__ == Frozen(3)


@everywhere
def test_an_exception_that_cannot_be_pickled_arrives_as_its_name_and_text(where):
    """The text and the type's name always arrive."""
    _, error = outcome(Pipeline([1], **where).task(failing_at(1, lambda: Locked("the lock is in it"))))
    assert "Locked: the lock is in it" in str(error)
    assert "Locked: the lock is in it" in error.traceback_text
    assert error.__cause__ is not None
    _, error = outcome(Pipeline([1], **where).task(failing_at(1, UnreadableText)))
    assert "UnreadableText" in str(error)


@everywhere
def test_an_exception_of_which_python_can_make_no_traceback_is_its_items_failure(where):
    """``traceback`` asks an exception whether it is true, and for more: where it was raised is known all the same."""
    _, error = outcome(Pipeline([1], **where).task(failing_at(1, lambda: NeitherTrueNorFalse("the reason"))))
    assert type(error) is StageError
    assert "NeitherTrueNorFalse: the reason" in str(error)
    assert "in work" in error.traceback_text


@in_threads
def test_a_long_text_arrives_with_its_head_and_its_tail(where):
    """The cause at the end of a text of a hundred thousand characters is not cut off."""
    _, error = outcome(Pipeline([1], **where).task(failing_at(1, lambda: ValueError("E" * 100_000 + "CAUSE"))))
    assert "CAUSE" in str(error)


@everywhere
def test_an_input_that_cannot_be_pickled_is_named_with_what_is_in_it(where):
    """The source is blamed: its item, and where in it."""
    came, error = outcome(Pipeline([1, {"key": threading.Lock()}, 3], **where).task(lambda x: x))
    assert came == [1]
    assert type(error) is SerializationError
    assert error.index == 1
    assert "lock" in str(error)
    assert error.stage.startswith("0 ")


@everywhere
def test_a_result_that_cannot_be_pickled_is_its_stages_failure(where):
    """The stage that returned it is blamed, with the item it was given."""
    came, error = outcome(Pipeline([1, 2, 3], **where).task(lambda x: (y for y in "ab") if x == 2 else x, name="maker").task(lambda x: x))
    assert came == [1]
    assert type(error) is SerializationError
    assert (error.index, error.item_repr, error.stage) == (1, "2", "1 'maker'")
    assert "generator" in str(error)


@everywhere
def test_a_result_that_cannot_be_pickled_is_so_among_many_that_can(where):
    """Cheap items are run many at a time; what is wrong with one is told as ever."""
    items = [{"number": k} for k in range(400)]
    came, error = outcome(Pipeline(items, **where).task(lambda x: (y for y in "ab") if x["number"] == 300 else x))
    assert came == items[:300]
    assert (type(error), error.index) == (SerializationError, 300)


@everywhere
def test_a_result_that_cannot_be_loaded_is_the_producing_stages_failure(where):
    """Whoever reads it first (a stage, or the caller): the stage that made it is named."""
    for reader in (lambda made: made, lambda made: made.task(lambda x: x)):
        came, error = outcome(reader(Pipeline([1, 2, 3], **where).task(lambda x: NotLoadable() if x == 2 else x, name="maker")))
        assert came == [1]
        assert type(error) is SerializationError
        assert error.stage == "1 'maker'"
        assert "cannot be loaded" in str(error)
        assert error.index == 1


@everywhere
def test_a_result_that_cannot_be_loaded_is_skipped_or_collected_alike_wherever_it_is_read(where):
    """The others come out, and the failure is counted; it is recorded with ``on_error="collect"`` only."""
    made = Pipeline([1, 2, 3], **where).task(lambda x: NotLoadable() if x == 2 else x, name="maker")
    for policy, recorded in (("collect", 1), ("skip", 0)):
        for pipeline in (made, made.task(lambda x: x)):
            results = pipeline.options(on_error=policy).wait_for_result()
            assert results == [1, 3]
            assert results.report.failed == 1
            assert len(results.errors) == recorded
            assert all("maker" in error for error in results.errors)


@in_processes
def test_items_that_a_source_cannot_send_are_counted_beside_those_that_fail(where):
    """All that failed is in the report's number; under ``on_error="skip"`` no text is kept of any."""
    mixed = Pipeline([threading.Lock(), 0, 1, threading.Lock(), 2], **where).task(lambda x: 2 // x)
    for policy, recorded in (("collect", 3), ("skip", 0)):
        results = mixed.options(on_error=policy).wait_for_result()
        assert results == [2, 1]
        assert results.report.failed == 3
        assert len(results.errors) == recorded


def truncated_photograph():
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(file, "PNG")
    return file.getvalue()[:-200]


@everywhere
def test_a_lazily_loaded_truncated_image_is_the_failure_of_the_stage_that_opened_it(where):
    """``Image.open`` reads nothing; pickling the image does, and fails for the stage that returned it."""
    data = truncated_photograph()
    came, error = outcome(Pipeline([data], **where).task(lambda x: Image.open(io.BytesIO(x)), name="opener").task(lambda x: x.size))
    assert came == []
    assert error.stage == "1 'opener'"
    assert "truncated" in str(error)


@in_processes
def test_a_dead_worker_is_an_error_in_under_a_second(where):
    """An item that kills its worker is told as ``WorkerDied``, with how it ended."""
    def die(x):
        if x == 2:
            os._exit(7)
        return x

    came = []
    with Pipeline(range(4), **where).task(die, redeliver=False).start() as run, pytest.raises(WorkerDied) as caught:
        for item in run:
            came.append(item)
            began = time.monotonic()
    assert time.monotonic() - began < (1 if where["start_method"] == "fork" else 5)
    assert came == [0, 1]
    assert "exited with code 7" in str(caught.value)
    assert caught.value.index == 2


@in_threads
def test_what_another_items_timeout_ended_in_the_middle_is_a_death_where_nothing_is_run_again(where):
    """``redeliver=False``: the late item took too long; the one in the other thread did not, and must not be told to have."""
    rested = threading.Event()

    def work(x):
        if x != 1:
            rested.wait(20)
        return x

    numbers = Pipeline(range(3), **where).task(work, threads=2, timeout=1, redeliver=False, on_error="branch")
    good, bad = Pipeline.wait_for_all_results(numbers)
    rested.set()
    assert good == [1]
    assert [(failure.item, type(failure.exception)) for failure in bad] == [(0, StageTimeout), (2, WorkerDied)]
    assert str(bad[1].exception).endswith("its worker was ended for another item, which took longer than timeout=1 s")


@in_processes
def test_workers_are_named_after_their_stage(where):
    """``top`` shows the stage's name, 15 letters of it."""
    name = Pipeline([0], **where).task(lambda x: psutil.Process().name(), name="resize_photographs").wait_for_result()
    assert name[0][:15] == "resize_photogra"
