"""Errors that a program sends on or copies: what a run in a pool's process raises, what a queue of failures holds."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest

from olympipe_ng import Pipeline, StageError


class TwoWords(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.second = second


def fail(x):
    raise TwoWords(x, "that")


def run(x):
    Pipeline([x], engine="inline").task(fail).wait_for_result()


def run_with_a_class_of_its_own(x):
    class Local(Exception):
        pass

    def fail_in_its_own_way(x):
        raise Local(x)

    Pipeline([x], engine="inline").task(fail_in_its_own_way).wait_for_result()


def error_of(function):
    with pytest.raises(StageError) as raised:
        function("this")
    return raised.value


def pickled(error):
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_of_an_error_is_whole_whatever_its_causes_init_takes(copied):
    """Type, text, what it tells, notes, and the cause: pickle's own way calls the user's ``__init__`` with one argument."""
    error = error_of(run)
    error.notes = ["told before"]
    same = copied(error)
    assert (type(same), same.args, vars(same)) == (StageError, error.args, vars(error))
    assert (type(same.__cause__), str(same.__cause__), same.__cause__.second) == (TwoWords, "this and that", "that")


def test_an_error_without_a_cause_is_copied_without():
    """Nothing stands for what there is not."""
    assert pickled(StageError("text")).__cause__ is None


@pytest.mark.parametrize("function", [run, run_with_a_class_of_its_own])
def test_the_error_of_a_run_in_a_pools_process_arrives_and_breaks_no_pool(function):
    """What the pool cannot load would end it, and all that it has to do."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        for word in ("this", "more"):
            with pytest.raises(StageError, match=word):
                pool.submit(function, word).result()
