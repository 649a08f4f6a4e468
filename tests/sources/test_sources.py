"""What may be a source, and how it is read: anew by each run or once, in slices or one by one, and to its end or error."""

from __future__ import annotations

import asyncio
import collections
import functools
import itertools
import sqlite3
import threading

import pytest

from olympipe_ng import GraphError, SourceConsumed
from olympipe_ng.building.source import make_source
from olympipe_ng.readers import IteratorReader, SliceReader
from olympipe_ng.sources import hint, open_source
from tests.sources.reading import async_numbers, numbers, read, take_all

TIMEOUT = 10


class Indexable:
    """As a torch data set: a length and items, no ``__iter__``, and no ``IndexError`` at the end."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        return index * 10


class IterableAndCallable:
    def __iter__(self):
        return iter("iterated")

    def __call__(self):
        return iter("called")


class Countdown:
    """An iterator that is not iterable itself, which Python's ``for`` does not ask for."""

    def __init__(self) -> None:
        self.left = 3

    def __next__(self) -> int:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.left


class MakesCountdowns:
    def __iter__(self):
        return Countdown()


class AsyncNumbers:
    """An async iterable that is no generator, and can be iterated again."""

    def __init__(self, stop: int) -> None:
        self.stop = stop

    async def __aiter__(self):
        for number in range(self.stop):
            await asyncio.sleep(0)
            yield number


class Settings(dict):
    """A dict whose keys are attributes, and which has no other."""

    __getattr__ = dict.__getitem__


class Tag(list):
    """As an element of a parsed page: every attribute asks for a child of that name, and mostly there is none."""

    def __getattr__(self, name):
        return None


READABLE = {
    "list": ([1, 2, 3], [1, 2, 3]),
    "tuple": ((1, 2, 3), [1, 2, 3]),
    "range": (range(3), [0, 1, 2]),
    "empty list": ([], []),
    "set": ({7}, [7]),
    "dict": ({"a": 1}, ["a"]),
    "bytes": (b"ab", [97, 98]),
    "deque": (collections.deque([1, 2]), [1, 2]),
    "indexable": (Indexable(3), [0, 10, 20]),
    "iterable whose iterators have no __iter__": (MakesCountdowns(), [2, 1, 0]),
    "generator function": (numbers, [1, 2, 3]),
    "function of a list": (lambda: [1, 2], [1, 2]),
    "function of an indexable": (lambda: Indexable(2), [0, 10]),
    "both iterable and callable": (IterableAndCallable(), list("iterated")),
    "async generator function": (async_numbers, [1, 2, 3]),
    "async iterable": (AsyncNumbers(3), [0, 1, 2]),
    "class": (lambda: IterableAndCallable(), list("iterated")),
    "dict with attributes": (Settings(a=1), ["a"]),
    "function of a dict with attributes": (lambda: Settings(a=1), ["a"]),
    "any attribute is None": (Tag([1]), [1]),
    "function of what has None for any attribute": (lambda: Tag([1]), [1]),
}


@pytest.mark.parametrize("name", READABLE)
def test_a_source_that_can_be_iterated_again_is_read_anew_in_each_run(name):
    """Lists, indexables, functions and async iterables give all their items, in order, as often as they are run."""
    data, expected = READABLE[name]
    source = make_source(data)
    assert not source.one_shot
    assert [read(source), take_all(source)] == [expected, expected]


ONE_SHOT = {
    "generator": (numbers, [1, 2, 3]),
    "iterator": (lambda: iter([1, 2]), [1, 2]),
    "map": (lambda: map(abs, [-1, -2]), [1, 2]),
    "async generator": (async_numbers, [1, 2, 3]),
    "empty iterator": (lambda: iter(()), []),
}


@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_one_shot_source_says_so_the_second_time(name):
    """An iterator that a run has consumed raises ``SourceConsumed``, and never gives an empty stream."""
    make, expected = ONE_SHOT[name]
    source = make_source(make())
    assert source.one_shot
    assert read(source) == expected
    with pytest.raises(SourceConsumed, match="already consumed by an earlier run") as caught:
        open_source(source)
    assert caught.value.declared_at.rpartition(":")[0] == __file__
    assert "a list, or a function that makes a new iterator" in str(caught.value)


@pytest.mark.parametrize("end", [list, lambda generator: generator.close()])
def test_a_generator_that_was_used_up_elsewhere_is_no_empty_stream(end):
    """A generator that is exhausted or closed before the run raises ``SourceConsumed``."""
    generator = numbers()
    end(generator)
    with pytest.raises(SourceConsumed, match="exhausted or closed"):
        open_source(make_source(generator))


OF_ONE_END = {
    "list": lambda: iter([1, 2]),
    "tuple": lambda: iter((1, 2)),
    "text": lambda: iter("ab"),
    "wide text": lambda: iter("\u20ac\u20ac"),
    "bytes": lambda: iter(b"ab"),
    "map": lambda: map(str, iter([1, 2])),
    "map of a generator": lambda: map(str, numbers()),
    "filter": lambda: filter(None, [1, 2]),
    "zip": lambda: zip(itertools.count(), [1, 2], strict=False),
    "enumerate": lambda: enumerate([1, 2]),
    "map of a filter": lambda: map(str, filter(None, [1, 2])),
}


@pytest.mark.parametrize("name", OF_ONE_END)
def test_an_iterator_that_was_at_its_end_is_no_empty_stream_in_another_pipeline(name):
    """Where its end shows it is told as a generator's is; before that what is left of it may be had, be it nothing."""
    iterator = OF_ONE_END[name]()
    next(iterator)
    assert len(read(make_source(iterator))) == len(list(OF_ONE_END[name]())) - 1
    for again in (iterator, lambda: iterator):
        with pytest.raises(SourceConsumed, match="already exhausted or closed"):
            open_source(make_source(again))


@pytest.mark.parametrize("nothing", ["", (), b"", []])
def test_an_iterator_of_nothing_is_an_empty_stream(nothing):
    """It is the first to be read to its end, also where another iterator is made of it."""
    for make in (iter, enumerate, zip, lambda data: map(str, data), lambda data: filter(None, data)):
        assert read(make_source(make(nothing))) == []
        iterator = make(nothing)
        assert read(make_source(lambda iterator=iterator: iterator)) == []


def test_what_is_left_of_an_iterator_may_be_nothing():
    """The header was taken from it, and there is no line below."""
    lines = iter(["header"])
    next(lines)
    assert read(make_source(lines)) == []


def test_a_function_that_returns_the_same_used_up_generator_is_no_empty_stream():
    """What a source function returns must be fresh in each run."""
    generator = numbers()
    source = make_source(lambda: generator)
    assert read(source) == [1, 2, 3]
    with pytest.raises(SourceConsumed, match="that the source function returned"):
        open_source(source)


def test_a_string_is_no_source_and_the_error_proposes_a_list():
    """``Pipeline("abc")`` would give letters: nobody wants that."""
    with pytest.raises(GraphError, match=r"did you mean \['photo.jpg'\]\?"):
        make_source("photo.jpg")


@pytest.mark.parametrize("data", [3, None, 2.5, object()])
def test_what_cannot_be_iterated_is_refused_when_the_pipeline_is_built(data):
    """A number or ``None`` is a ``GraphError`` that says what a source may be."""
    with pytest.raises(GraphError, match="a source is an iterable, an iterator"):
        make_source(data)


def test_a_coroutine_is_refused_when_the_pipeline_is_built():
    """An ``async def`` without ``yield``, and what it returns, are named as what they are."""

    async def load():
        return [1]

    awaitable = load()
    for data in (load, awaitable, functools.partial(load)):
        with pytest.raises(GraphError, match="async generator"):
            make_source(data)
    awaitable.close()


@pytest.mark.parametrize("returned", [3, None, "text"])
def test_a_function_that_returns_nothing_to_iterate_is_named(returned):
    """What a source function returns is only known when it is called: its own error says what came."""

    def rows():
        return returned

    with pytest.raises(TypeError, match=r"the source function 'rows' must return something to iterate, it returned"):
        open_source(make_source(rows))


def test_nothing_is_called_or_iterated_when_the_pipeline_is_built():
    """A source is touched by a run, not by ``Pipeline(...)``; nor is its text asked for, which may query a database, or not exist."""
    shown = []

    class Untouchable:
        def __iter__(self):
            raise AssertionError("iterated")

        def __call__(self):
            raise AssertionError("called")

        def __repr__(self):
            shown.append(self)
            return "a query"

    make_source(Untouchable())
    make_source([Untouchable(), 10**5000])  # an integer too long to be written
    assert not shown


def test_a_function_gives_the_source_its_name():
    """The name in errors and drawings is the function's, or ``source``."""
    assert [make_source(data).label for data in (numbers, numbers(), [1], lambda: [1])] == ["numbers", "numbers", "source", "source"]


def test_closing_runs_the_finally_of_a_generator():
    """A stopped run ends the user's generator where it stands."""
    closed = []

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    for data in (endless, endless()):
        reader = open_source(make_source(data))
        assert [next(reader), next(reader)] == [0, 1]
        reader.close()
    assert closed == [True, True]


def test_the_users_file_is_not_closed(tmp_path):
    """A file given as source stays the user's; one that a function opened is closed."""
    path = tmp_path / "lines.txt"
    path.write_text("a\nb\n")
    opened = []
    with path.open() as file:
        reader = open_source(make_source(file))
        assert next(reader) == "a\n"
        reader.close()
        assert not file.closed

    def lines():
        opened.append(path.open())
        return opened[-1]

    reader = open_source(make_source(lines))
    assert next(reader) == "a\n"
    reader.close()
    assert opened[0].closed


def test_exact_lists_tuples_and_ranges_are_read_in_slices():
    """The common sources cost a slice per frame, not a call per item."""
    for data in ([1, 2, 3, 4, 5], (1, 2, 3, 4, 5), range(1, 6)):
        reader = open_source(make_source(data))
        assert isinstance(reader, SliceReader)
        assert [list(reader.take(2)) for _ in range(4)] == [[1, 2], [3, 4], [5], []]


AT_HAND = [{1: "a", 2: "b", 3: "c"}, {1, 2, 3}, iter([1, 2, 3]), iter((1, 2, 3)), iter(range(1, 4)), itertools.count(1)]


@pytest.mark.parametrize("data", AT_HAND)
def test_what_never_waits_is_read_in_pieces(data):
    """Built-in containers and their iterators have their items at hand."""
    reader = open_source(make_source(data))
    assert [list(reader.take(2)), list(reader.take(1))] == [[1, 2], [3]]


def test_a_source_that_may_wait_gives_one_item_at_a_time():
    """No item is held back because the next one is late."""
    reader = open_source(make_source(numbers))
    assert [list(reader.take(100)) for _ in range(4)] == [[1], [2], [3], []]


def test_two_runs_at_once_cannot_both_have_a_one_shot():
    """Of many threads that open one iterator, one gets it and the others ``SourceConsumed``."""
    source = make_source(iter(range(10)))
    outcomes = []

    def open_it():
        try:
            outcomes.append(open_source(source))
        except SourceConsumed:
            outcomes.append(None)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert sum(outcome is not None for outcome in outcomes) == 1


def test_a_thread_bound_cursor_gets_a_hint():
    """SQLite's error about threads is followed by what to do: make the cursor inside a function."""
    with sqlite3.connect(":memory:") as connection:
        source = make_source(connection.execute("select 1"))
        caught = []

        def read_elsewhere():
            try:
                read(source)
            except sqlite3.ProgrammingError as error:
                caught.append(error)

        thread = threading.Thread(target=read_elsewhere)
        thread.start()
        thread.join(TIMEOUT)
    connection.close()
    assert "inside a function" in hint(caught[0])
    assert hint(ValueError("thread")) == ""


def test_a_cursor_made_inside_a_function_is_read():
    """What the hint says works: the function is called on the thread that reads."""

    def rows():
        connection = sqlite3.connect(":memory:")
        try:
            yield from connection.execute("select 1 union select 2")
        finally:
            connection.close()

    items = []
    thread = threading.Thread(target=lambda: items.extend(read(make_source(rows))))
    thread.start()
    thread.join(TIMEOUT)
    assert items == [(1,), (2,)]


@pytest.mark.parametrize("error", [StopAsyncIteration("sync"), KeyError("k"), SystemExit(3)], ids=repr)
def test_an_error_of_the_source_passes_with_its_own_type(error):
    """What the user's iterator raises is not caught here, whatever it is."""

    def broken():
        yield 1
        raise error

    reader = open_source(make_source(broken))
    assert isinstance(reader, IteratorReader)
    assert next(reader) == 1
    with pytest.raises(type(error)):
        next(reader)
