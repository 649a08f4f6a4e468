"""What was looked at of a source is given to the next run first."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng import SourceConsumed
from olympipe_ng.building.source import make_source
from olympipe_ng.sources import open_source, peeked
from tests.sources.reading import async_numbers, read, take_all
from tests.strategies import lists_of

TIMEOUT = 10


@given(data=lists_of(st.integers()), looks=lists_of(st.integers(0, 5), 4, 2), sliced=st.booleans())
def test_what_was_looked_at_is_given_to_the_next_run_first(data, looks, sliced):
    """However often a one-shot is previewed, the next run gives every item once and in order."""
    source = make_source(iter(data))
    for n in looks:
        reader = open_source(peeked(source))
        assert list(itertools.islice(reader, n)) == data[:n]
        reader.close()
    assert (take_all(source) if sliced else read(source)) == data
    with pytest.raises(SourceConsumed):
        open_source(source)


def test_what_was_looked_at_of_an_async_source_is_given_to_the_next_run_first():
    """An async generator stays on its loop between preview and run, though another thread runs it."""
    source = make_source(async_numbers())
    reader = open_source(peeked(source))
    assert next(reader) == 1
    reader.close()
    items = []
    thread = threading.Thread(target=lambda: items.extend(read(source)))
    thread.start()
    thread.join(TIMEOUT)
    assert items == [1, 2, 3]


def test_an_error_met_while_looking_is_met_again_in_the_run():
    """A source that raises in a preview does not end quietly in the run that follows."""

    def broken():
        yield 1
        raise OSError("disk")

    source = make_source(broken())
    reader = open_source(peeked(source))
    assert next(reader) == 1
    with pytest.raises(OSError, match="disk"):
        next(reader)
    reader.close()
    reader = open_source(source)
    assert next(reader) == 1
    with pytest.raises(OSError, match="disk"):
        next(reader)


def test_an_iterable_that_can_be_iterated_again_is_looked_at_as_it_is():
    """Only a one-shot needs a stand-in for a preview."""
    source = make_source([1])
    assert peeked(source) is source
