"""Every example in a docstring of the package runs, and every public method has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import olympipe_ng
from olympipe_ng import Pipeline, Run

SKIPPED = {"__main__"}


def _modules():
    for found in pkgutil.walk_packages(olympipe_ng.__path__, "olympipe_ng."):
        if found.name.rpartition(".")[2] not in SKIPPED:
            yield importlib.import_module(found.name)


def _examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in [olympipe_ng, *_modules()]:
        for test in finder.find(module, extraglobs={"Pipeline": Pipeline}):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("example", list(_examples()))
def test_the_example_in_the_docstring_runs(example):
    """What the documentation shows is what happens."""
    said = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert not said, "".join(said)


PUBLIC = [name for name, _ in inspect.getmembers(Pipeline, inspect.isroutine) if not name.startswith("_")]
INTERNAL = {"sink", "asink"}  # of a run: they take a number, and are for the terminals
OF_RUN = [name for name, _ in inspect.getmembers(Run, inspect.isfunction) if not name.startswith("_") and name not in INTERNAL]
METHODS = [getattr(Pipeline, name) for name in PUBLIC] + [getattr(Run, name) for name in OF_RUN]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__qualname__)
def test_every_public_method_is_documented(method):
    """One sentence, in the imperative and ended; for all but what is not there yet an example."""
    text = inspect.getdoc(method)
    assert text
    first = text.split("\n\n")[0]
    assert first.endswith((".", ":"))
    assert not first.split()[0].endswith("s") or first.split()[0] == "Pass"
    assert ">>>" in text or "not available yet" in text


EXPORTED = [getattr(olympipe_ng, name) for name in olympipe_ng.__all__ if name != "DROP"]
EXEMPT = (BaseException, dict)  # errors are met, not made; keywords are explained where they are taken


@pytest.mark.parametrize("thing", EXPORTED, ids=lambda thing: thing.__name__)
def test_everything_that_is_exported_is_documented(thing):
    """A sentence, ended; for what is used an example."""
    text = inspect.getdoc(thing)
    assert text
    assert text.split("\n\n")[0].endswith((".", ":"))
    assert ">>>" in text or (isinstance(thing, type) and issubclass(thing, EXEMPT))


def test_the_methods_of_the_interface_are_all_there():
    """Every stage and terminal that the interface names is a method."""
    stages = "task starmap filter explode batch temporal_batch window bucket reduce scan checkpoint class_task cached_task uncache limit"
    stages += " skip latest timeout throttle unique shuffle enumerate repeat tap debug split gather merge zip rejoin pipe options server"
    terminals = "wait_for_result wait_for_results wait_for_all_results wait_for_completion wait_and_reduce start preview cleanup"
    assert set(f"{stages} {terminals} explain to_mermaid to_dot".split()) <= set(PUBLIC)
