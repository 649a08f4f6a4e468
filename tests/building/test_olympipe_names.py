"""A program for olympipe 2.2 goes on working, and is told what to write now."""

from __future__ import annotations

import importlib
import warnings

import pytest

import olympipe_ng
from olympipe_ng import GraphError, Pipeline

numbers = Pipeline([1, 2, 3])


class Model:
    def __init__(self, factor=1):
        self.factor = factor

    def run(self, x):
        return x * self.factor

    def close(self): ...


def fail(item, error):
    return None


OLD_KEYWORDS = {
    "datas": lambda: Pipeline(datas=[1]),
    "task": lambda: numbers.task(task=abs),
    "task of cached_task": lambda: numbers.cached_task(task=abs, cache_dir="cache"),
    "packet_limit": lambda: numbers.limit(packet_limit=1),
    "keep_if_true": lambda: numbers.filter(keep_if_true=bool),
    "explode_function": lambda: numbers.explode(explode_function=list),
    "split_function": lambda: numbers.split(split_function=lambda x: (x, x), n=2),
    "class_constructor": lambda: numbers.class_task(class_constructor=Model, method=Model.run),
    "class_method": lambda: numbers.class_task(Model, class_method=Model.run),
    "timeout": lambda: numbers.timeout(timeout=1.0),
}


@pytest.mark.parametrize("name", OLD_KEYWORDS)
def test_an_old_keyword_works_with_a_deprecation_warning_on_the_users_line(name):
    """The old names of parameters are understood, and the warning tells the new one."""
    with pytest.warns(DeprecationWarning, match=f"{name.split()[0]}= is olympipe's name") as caught:
        OLD_KEYWORDS[name]()
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, OLD_KEYWORDS[name].__code__.co_firstlineno)]


def test_a_parameter_by_both_names_is_a_mistake():
    """The old and the new name together cannot both be meant."""
    with pytest.raises(GraphError, match="n is given twice"):
        numbers.limit(n=1, packet_limit=2)


def test_the_old_name_of_the_servers_routes_is_understood():
    """``Pipeline.server(route_handlers=...)`` is refused for what is missing, not for its keyword."""
    with pytest.warns(DeprecationWarning, match="route_handlers="), pytest.raises(GraphError, match="not available yet"):
        Pipeline.server(route_handlers=[])


POSITIONAL = {
    "task": lambda: numbers.task(abs, 2, fail),
    "cached_task": lambda: numbers.cached_task(abs, "cache", 2),
    "class_task": lambda: numbers.class_task(Model, Model.run, [2], Model.close, {}, 2),
    "batch": lambda: numbers.batch(2, False),
    "temporal_batch": lambda: numbers.temporal_batch(1.0),
    "filter": lambda: numbers.filter(bool),
    "explode": lambda: numbers.explode(list),
    "split": lambda: numbers.split(lambda x: (x, x), 2),
    "limit": lambda: numbers.limit(2),
    "timeout": lambda: numbers.timeout(2.0),
    "reduce": lambda: numbers.reduce(0, max),
    "checkpoint": lambda: numbers.checkpoint(0, max, list),
    "gather": lambda: numbers.gather(numbers.task(abs)),
    "uncache": lambda: numbers.uncache(),
    "debug": lambda: numbers.debug(),
}


@pytest.mark.parametrize("name", POSITIONAL)
def test_positional_arguments_are_those_of_olympipe(name):
    """Every method of olympipe takes its arguments in the same places, without a word of warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        POSITIONAL[name]()


def test_the_third_argument_of_task_is_on_error():
    """``task(f, 2, handler)`` meant ``on_error=handler``, and means it."""
    assert numbers.task(abs, 2, fail).outlet.node.stage.config.on_error is fail


GONE = ["queues", "peek_at", "peek_all", "create_pipe", "get_new_queue", "print_graph", "are_pipelines_running"]


@pytest.mark.parametrize("name", GONE)
def test_what_is_gone_says_what_to_use_instead(name):
    """An attribute of olympipe's pipelines that is no more raises with its replacement in the text."""
    with pytest.raises(GraphError, match=f"'{name}' of olympipe is gone: .*(use|bounded)"):
        getattr(numbers, name)
    assert not hasattr(numbers, name)


def test_other_unknown_attributes_are_plain_attribute_errors():
    """A typo is Python's own error, with its proposal."""
    with pytest.raises(AttributeError, match="'Pipeline' object has no attribute 'tsk'") as caught:
        numbers.tsk  # noqa: B018
    assert not isinstance(caught.value, GraphError)


@pytest.mark.parametrize("option", ["monitoring", "inspect_messages"])
def test_options_that_are_gone_say_what_to_use_instead(option):
    """The monitoring switches raise with their replacement in the text."""
    with pytest.raises(GraphError, match=rf"{option}= of olympipe is gone: .*statistics\(\).*tap"):
        Pipeline([1], **{option: True})


@pytest.mark.parametrize(
    ("variable", "replacement"),
    [
        ("OLYMPIPE_FORCE_FORK", "OLYMPIPE_NG_START_METHOD=fork"),
        ("OLYMPIPE_FORCE_SPAWN", "OLYMPIPE_NG_START_METHOD=spawn"),
        ("OLYMPIPE_DISABLE_SHM", "OLYMPIPE_NG_"),
        ("OLYMPIPE_MONITORING", "statistics"),
    ],
)
def test_environment_variables_that_are_gone_say_what_to_set_instead(monkeypatch, variable, replacement):
    """A variable that would be ignored is an error where a pipeline is built."""
    monkeypatch.setenv(variable, "1")
    with pytest.raises(GraphError, match=f"{variable} of olympipe is gone: .*{replacement}"):
        Pipeline([1])


@pytest.mark.parametrize("name", ["enable_monitoring", "get_mp_context", "registry"])
def test_names_of_the_module_that_are_gone_say_what_to_use_instead(name):
    """``from olympipe import enable_monitoring`` fails with the replacement, not with "cannot import name"."""
    with pytest.raises(GraphError, match=f"'{name}' of olympipe is gone"):
        exec(f"from olympipe_ng import {name}", {})


@pytest.mark.parametrize("name", ["parallel", "reductions", "sequence", "globalize", "timed", "tracing"])
def test_what_is_still_to_come_says_so(name):
    """A later issue's name is refused, not unknown, unless it has come by now."""
    if name in olympipe_ng.__all__ or importlib.util.find_spec(f"olympipe_ng.{name}"):
        pytest.skip("it is there")
    with pytest.raises(GraphError, match=f"olympipe_ng.{name}: not available yet"):
        exec(f"from olympipe_ng import {name}", {})


def test_an_unknown_name_of_the_module_is_an_import_error():
    """A typo in an import is Python's own error."""
    with pytest.raises(ImportError, match="cannot import name 'Pipelin'"):
        exec("from olympipe_ng import Pipelin", {})


@pytest.mark.parametrize("name", ["task", "filter", "source", "source_from", "splitter", "class_task"])
def test_the_decorators_of_the_old_module_are_found_with_a_deprecation_warning(name):
    """``from olympipe import task`` works, and names ``olympipe_ng.decorators``."""
    with pytest.warns(DeprecationWarning, match="olympipe_ng.decorators") as caught:
        exec(f"from olympipe_ng import {name}", {})
    assert caught[0].filename == "<string>"


def test_cleanup_has_nothing_to_do():
    """``cleanup()`` is there for programs that call it, before or after a run."""
    assert numbers.cleanup() is None
