"""What is allowed but probably not meant is a warning on the user's line, when the pipeline is built."""

from __future__ import annotations

import os
import warnings

import pytest

import olympipe_ng
from olympipe_ng import Pipeline

numbers = Pipeline(range(6))
doubled = numbers.task(lambda x: 2 * x)
good, bad = numbers.task(abs, on_error="branch")
left, right = numbers.split(lambda x: (x, None), 2)

UNEVEN = {
    "a filter in one arm": (lambda: doubled.zip(numbers.filter(bool)), "filter"),
    "a filter in the first arm": (lambda: numbers.filter(bool).zip(doubled), "filter"),
    "the source itself as the other arm": (lambda: numbers.zip(numbers.unique()), "unique"),
    "filters in both arms": (lambda: numbers.filter(abs).zip(numbers.filter(bool)), "filter"),
    "arms of a split": (lambda: left.zip(right), "split"),
    "results and failures": (lambda: good.zip(bad), "task 'abs'"),
    "failures skipped in one arm": (lambda: doubled.zip(numbers.task(abs, on_error="skip")), "task 'abs'"),
    "the third arm": (lambda: numbers.zip(doubled, numbers.latest()), "latest"),
    "a filter before a repeat": (lambda: numbers.repeat(2).zip(numbers.filter(bool).repeat(2)), "filter"),
    "failures skipped everywhere": (
        lambda: numbers.options(on_error="skip").task(abs).zip(numbers.options(on_error="skip").task(str)),
        "task",
    ),
}


@pytest.mark.parametrize("name", UNEVEN)
def test_zipping_uneven_arms_of_one_source_warns_and_names_rejoin(name):
    """Items that belong together would be torn apart: the warning names the stage, its line, and ``rejoin``."""
    make, stage = UNEVEN[name]
    with pytest.warns(UserWarning, match="Use rejoin") as caught:
        make()
    [warning] = caught
    assert stage in str(warning.message)
    assert __file__ in str(warning.message)
    assert warning.filename == __file__
    assert warning.lineno == make.__code__.co_firstlineno or name == "failures skipped everywhere"


base = numbers.filter(bool)
EVEN = {
    "arms that keep every item": lambda: doubled.zip(numbers.task(str)),
    "a filter before the fork": lambda: base.task(abs).zip(base.task(str)),
    "arms of two sources": lambda: numbers.filter(bool).zip(Pipeline(["a"])),
    "the same limit": lambda: numbers.limit(2).zip(doubled.limit(2)),
    "batches of one source": lambda: numbers.batch(2).zip(doubled.batch(2)),
    "rejoined arms": lambda: numbers.rejoin(numbers.filter(bool)),
    "gathered arms": lambda: numbers.gather(numbers.filter(bool)),
}


@pytest.mark.parametrize("name", EVEN)
def test_zipping_even_arms_does_not_warn(name):
    """No warning without a reason: arms that keep every item, a filter before the fork, other sources."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EVEN[name]()


def test_a_module_whose_path_begins_like_ours_is_the_users():
    """A user's ``olympipe_ng_app`` beside the package is user code: its line is the one that is named."""
    path = f"{os.path.dirname(olympipe_ng.__file__)}_app/chain.py"
    names = {"numbers": numbers}
    exec(compile("\nbuilt = numbers.batch(2)", path, "exec"), names)
    assert names["built"].outlet.node.declared_at == f"{path}:2"


def test_a_table_as_a_source_warns_that_its_items_are_columns():
    """On the user's line, with what gives rows, which then come as they are; a Series and a list of columns are given item by item."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": [3, 4]})
    with pytest.warns(UserWarning, match=r"columns .*not its rows: .* returns frame.itertuples\(index=False\)") as caught:
        columns = Pipeline(frame, engine="inline")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = Pipeline(lambda: frame.itertuples(index=False), start_method="fork").task(tuple)
        assert Pipeline(frame["a"], engine="inline").wait_for_result() == [1, 2]
        assert Pipeline(list(frame), engine="inline").wait_for_result() == columns.wait_for_result() == ["a", "b"]
    assert rows.wait_for_result() == [(1, 3), (2, 4)]
