"""F11 to F21: errors and odd objects."""

from __future__ import annotations

import gc
import math
import queue
import threading

import numpy as np
import pytest

from olympipe_ng import Pipeline, SerializationError, StageError
from tests.faults import menu

METHODS = ["fork", "forkserver"]
ENGINES = [{"start_method": "fork"}, {"engine": "thread"}, {"engine": "inline"}]


def numbers(upto=9, **options):
    return Pipeline(range(upto), **{"start_method": "fork", **options})


def raising(error, at=5):
    def stage(x):
        if x == at:
            raise error
        return x

    return stage


@pytest.mark.parametrize("kind", [OSError, TimeoutError, queue.Empty, EOFError, FileNotFoundError, BrokenPipeError, ConnectionResetError])
def test_f11_errors_that_queues_use_are_errors_of_the_item(kind):
    """User code runs in a try of its own: whatever it raises is that item's failure, nothing is dropped silently."""
    with pytest.raises(StageError, match=r"stage 1 .*item 5 5: ") as caught:
        numbers().task(raising(kind("mine"))).wait_for_result()
    assert type(caught.value.__cause__) is kind
    results = numbers().task(raising(kind("mine")), count=2, on_error="collect").wait_for_result()
    assert results == [0, 1, 2, 3, 4, 6, 7, 8]
    assert len(results.errors) == 1


def test_f12_an_unpicklable_input_is_named_with_its_index_and_what_is_in_it():
    """The item's index, and the path to what cannot be pickled."""
    with pytest.raises(SerializationError, match=r"item 1 .*\nitem\['a'\] is a _thread.lock"):
        Pipeline([1, {"a": threading.Lock()}, 3], start_method="fork").task(str).wait_for_result()
    results = Pipeline([1, threading.Lock(), 3], start_method="fork", on_error="collect").task(str).wait_for_result()
    assert results == ["1", "3"]
    assert len(results.errors) == 1


@pytest.mark.parametrize("method", METHODS)
def test_f13_an_unpicklable_result_is_an_error_of_its_item(method):
    """As for inputs; the others are there."""
    source = Pipeline(range(9), start_method=method)
    results = source.task(lambda x: menu.unpicklable_result(x) if x == 5 else x, on_error="collect").wait_for_result()
    assert results == [0, 1, 2, 3, 4, 6, 7, 8]
    assert "generator" in results.errors[0]


def locked(x, *state):
    return {"lock": threading.Lock()} if x == 5 else x


async def locked_later(x):
    return locked(x)


MAKERS = {
    "task": (lambda p: p.task(locked), "result['lock']"),
    "async": (lambda p: p.task(locked_later), "result['lock']"),
    "threads": (lambda p: p.task(locked, threads=2), "result['lock']"),
    "explode": (lambda p: p.explode(lambda x: [x, locked(x)]), "result['lock']"),
    "split": (lambda p: p.split(lambda x: (x, locked(x)), n=2)[1], "result[1]['lock']"),
    "scan": (lambda p: p.scan(0, locked), "result['lock']"),
    "reduce": (lambda p: p.limit(6).reduce(0, locked), "result['lock']"),
    "checkpoint": (lambda p: p.checkpoint(0, max, lambda upto: [upto, locked(5)]), "result['lock']"),
}
"""Who makes what cannot be pickled, and where that lies in it."""


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("options", ENGINES)
def test_f13_the_message_says_what_in_a_result_cannot_be_pickled_and_what_to_do(maker, options):
    """Whatever kind of stage has made it: a SerializationError with the path to the culprit and a way out."""
    make, path = MAKERS[maker]
    with pytest.raises(SerializationError, match=r"^stage [12] .*: TypeError: cannot pickle") as caught:
        make(Pipeline(range(9), **options)).wait_for_result()
    assert f"\n{path} is a _thread.lock: cannot pickle '_thread.lock' object. Hand on what" in str(caught.value)


class LockedWhenLoaded:
    """Can be pickled once."""

    def __setstate__(self, state):
        self.lock = threading.Lock()

    def __getstate__(self):
        return self.__dict__ or {"new": True}


@pytest.mark.parametrize("options", ENGINES)
def test_f13_what_leaves_together_with_a_result_that_cannot_be_pickled_leaves_before_it(options):
    """The left-over batches of a bucket: those in front come out, then comes the error."""
    odd, came = Pipeline(range(6), **options).task(lambda x: LockedWhenLoaded() if x == 3 else x), []
    with pytest.raises(SerializationError, match=r"result\[0\].lock is a _thread.lock"):
        came.extend(odd.bucket(lambda x: x if isinstance(x, int) else -1, 5))
    assert came == [[0], [1], [2]]


def hidden(function):
    return lambda x: function(x)


@pytest.mark.filterwarnings("ignore:coroutine 'locked_later' was never awaited")
@pytest.mark.parametrize(
    ("function", "advice"),
    [(hidden(locked_later), "make the stage's function ``async def``"), (lambda x: (y for y in [x]), "One item to many is ``explode``")],
)
@pytest.mark.parametrize("options", ENGINES)
def test_f13_a_generator_or_coroutine_as_a_result_is_explained(function, advice, options):
    """The commonest of results that are no results: the message names the stage's own way to have them."""
    with pytest.raises(SerializationError, match=advice):
        Pipeline(range(9), **options).task(function).wait_for_result()
    gc.collect()  # the coroutine warns here, where that is expected


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", ["exception_that_cannot_be_pickled", "exception_that_cannot_be_rebuilt"])
def test_f14_f15_an_exception_that_cannot_cross_arrives_with_type_and_text(method, fault):
    """Unpicklable, or with an __init__ of its own: type and text always arrive."""
    expected = menu.MENU[fault]
    with pytest.raises(StageError, match=expected.says) as caught:
        Pipeline(range(9), start_method=method).task(lambda x: expected.act(x) if x == 5 else x).wait_for_result()
    assert caught.value.index == 5
    assert fault in caught.value.traceback_text


@pytest.mark.parametrize("stages", ["last", "before another"])
def test_f16_a_result_that_fails_to_load_is_the_producers_error(stages):
    """The producing stage is named, whether the next stage or the caller is to load it."""
    pipeline = numbers().task(lambda x: menu.CannotBeLoaded() if x == 5 else x)
    if stages != "last":
        pipeline = pipeline.task(str)
    with pytest.raises(SerializationError, match=r"stage 1 .*will not be loaded"):
        pipeline.wait_for_result()


TAKERS = {
    "nobody": lambda p: p,
    "task": lambda p: p.task(str),
    "explode": lambda p: p.explode(lambda x: [x]),
    "reduce": lambda p: p.reduce(0, lambda x, total: total + 1),
    "scan": lambda p: p.scan(0, lambda x, total: total + 1),
    "checkpoint": lambda p: p.checkpoint(0, lambda x, total: total + 1, lambda total: [total]),
    "bucket": lambda p: p.bucket(type, 9),
    "unique": lambda p: p.unique(repr),
}
"""Who is to load what the stage before has made."""


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("options", ENGINES)
def test_f16_an_item_that_fails_to_load_is_its_producers_whoever_takes_it(taker, options):
    """It is a SerializationError of the stage that made it, under that stage's on_error, and the taker's function has no part in it."""
    take, make = TAKERS[taker], lambda x: menu.CannotBeLoaded() if x == 5 else x
    with pytest.raises(SerializationError, match=r"stage 1 .*item 5.*will not be loaded"):
        take(Pipeline(range(9), **options).task(make)).wait_for_result()
    results = take(Pipeline(range(9), **options).task(make, on_error="collect")).wait_for_result()
    assert results == take(Pipeline([0, 1, 2, 3, 4, 6, 7, 8], **options)).wait_for_result()
    [text] = results.errors
    assert "stage 1" in text


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("options", ENGINES)
def test_f16_an_item_of_the_source_that_fails_to_load_falls_under_the_policy_of_the_pipeline(taker, options):
    """As one does that cannot be pickled."""
    take, items = TAKERS[taker], [0, 1, menu.CannotBeLoaded(), 3]
    with pytest.raises(SerializationError, match=r"stage 0 .*item 2.*will not be loaded"):
        take(Pipeline(items, **options)).wait_for_result()
    results = take(Pipeline(items, **options, on_error="collect")).wait_for_result()
    assert results == take(Pipeline([0, 1, 3], **options)).wait_for_result()
    [text] = results.errors
    assert "stage 0" in text
    assert take(Pipeline(items, **options, on_error="skip")).wait_for_result() == results


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, GeneratorExit])
def test_f17_stop_iteration_in_a_task_is_an_error_that_says_so(kind):
    """It does not end the stream."""
    with pytest.raises(StageError, match=rf"item 5 5: {kind.__name__}"):
        numbers().task(raising(kind())).wait_for_result()


@pytest.mark.parametrize("engine", ["process", "thread"])
def test_f18_keyboard_interrupt_raised_in_a_task_is_an_item_error(engine):
    """Only the caller's own SIGINT is an interrupt."""
    with pytest.raises(StageError, match="item 5 5: KeyboardInterrupt"):
        numbers(engine=engine).task(raising(KeyboardInterrupt())).wait_for_result()


@pytest.mark.parametrize("engine", ["process", "thread", "inline"])
def test_f19_exceptions_are_ordinary_items(engine):
    """As inputs, results, classes and instances."""
    items = [1, ValueError("x"), StopIteration(3), KeyboardInterrupt, 2]
    results = Pipeline(items, engine=engine, start_method="fork").task(lambda x: x).batch(2).explode().wait_for_result()
    assert [repr(item) for item in results] == [repr(item) for item in items]


@pytest.mark.parametrize("engine", ["process", "thread", "inline"])
def test_f20_none_and_other_odd_values_are_ordinary_items(engine):
    """Skipping is absence: None, Ellipsis, empty things, NaN and arrays pass every stage."""
    items = [1, None, ..., (), [], "", 0, False, math.nan, np.arange(3), NotImplemented]
    pipeline = Pipeline(items, engine=engine, start_method="fork").task(lambda x: x).filter(lambda x: True).batch(4).explode()
    assert [repr(item) for item in pipeline.window(1).task(lambda one: one[0]).wait_for_result()] == [repr(item) for item in items]


def test_f21_a_long_message_is_kept_whole_and_printed_nowhere(capfd):
    """Head and tail of an error are there, it is raised once and chained, nothing is printed."""

    def stage(x):
        raise ValueError("E" * 50_000 + "CAUSE")

    with pytest.raises(StageError, match="CAUSE") as caught:
        numbers().task(stage).wait_for_result()
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value.__cause__) == "E" * 50_000 + "CAUSE"
    assert capfd.readouterr() == ("", "")


class Text(str):
    """Of a class of its own, as one of NumPy's, or of a template engine's."""


class Unspeakable(Exception):
    def __str__(self):
        raise SystemExit(0)


class Panic(BaseException):
    """As of a library made in Rust: no ``Exception``."""


class Panicking(Exception):
    def __str__(self):
        raise Panic


class Strange(Exception):
    @property
    def exceptions(self):
        raise ValueError("there are none")


class Spoken(Exception):
    def __str__(self):
        return Text("said")


def raise_unspeakable():
    raise Unspeakable


class UnspeakableItem:
    def __reduce__(self):
        return raise_unspeakable, ()


@pytest.mark.parametrize("options", ENGINES, ids=str)
@pytest.mark.parametrize("readers", [0, 1])
def test_f16_an_exception_without_words_of_an_item_that_fails_to_load_is_told(options, readers):
    """What its ``__str__`` raises is not what the user gets, and the policy holds."""
    made = numbers(**options).task(lambda x: UnspeakableItem() if x == 1 else x)
    results = [made, made.task(lambda x: x)][readers].options(on_error="collect").wait_for_result()
    assert results == [x for x in numbers().wait_for_result() if x != 1]
    assert [text.endswith("Unspeakable: <str() of it raised SystemExit>") for text in results.errors] == [True]


@pytest.mark.parametrize("options", ENGINES, ids=str)
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Unspeakable, "Unspeakable: <str() of it raised SystemExit>"),
        (Panicking, "Panicking: <str() of it raised Panic>"),
        (Strange, "Strange"),
        (Spoken, "Spoken: said"),
    ],
    ids=["str exits", "str panics", "a property raises", "a text of its own"],
)
def test_f14_whatever_describing_an_exception_does_it_is_its_items_failure(options, kind, text):
    """The worker goes on, and so does the run."""
    results = numbers(**options).task(raising(kind()), on_error="collect").wait_for_result()
    assert results == [0, 1, 2, 3, 4, 6, 7, 8]
    assert text in results.errors[0]


class Named:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        if isinstance(self.name, BaseException):
            raise self.name
        return self.name


NAMES = [
    (np.str_("gear"), "item 0 gear: "),
    (SystemExit(0), "item 0 <Named whose repr raised SystemExit>: "),
    (Panic(), "item 0 <Named whose repr raised Panic>: "),
]


@pytest.mark.parametrize("options", ENGINES, ids=str)
@pytest.mark.parametrize(("name", "text"), NAMES, ids=["a text of its own", "exits", "panics"])
def test_f14_whatever_an_items_repr_gives_its_failure_is_told(options, name, text):
    """A text of NumPy's is a text; a ``repr`` may not even end the process, nor what is bare, as a panic in a library made in Rust."""
    results = Pipeline(lambda: [Named(name)], **options).task(lambda x: 1 // 0, on_error="collect").wait_for_result()
    assert results == []
    assert text in results.errors[0]


class Exits:
    def __reduce__(self):
        raise SystemExit(3)


class OddNotes(Exception):
    def __init__(self):
        self.__notes__ = "none"


class Annotated:
    def __reduce__(self):
        raise OddNotes


@pytest.mark.parametrize("options", ENGINES, ids=str)
@pytest.mark.parametrize(("kind", "text"), [(Exits, "SystemExit: 3"), (Annotated, "OddNotes")])
def test_f13_whatever_pickling_a_result_raises_it_is_its_items_failure(options, kind, text):
    """Also when it is asked once more, for the part that is to blame."""
    results = numbers(**options).task(lambda x: [kind()] if x == 5 else x, on_error="collect").task(abs).wait_for_result()
    assert results == [0, 1, 2, 3, 4, 6, 7, 8]
    assert "item 5 5: " in results.errors[0]
    assert text in results.errors[0]
