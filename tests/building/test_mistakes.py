"""A mistake in the graph is a ``GraphError`` on the user's line, when the pipeline is built, with a text that helps."""

from __future__ import annotations

import traceback

import numpy as np
import pytest

from olympipe_ng import DROP, GraphError, Pipeline, PipelineError

from .lines import deepest

numbers = Pipeline([1, 2, 3])


class Model:
    def run(self, x):
        return x


async def repair(item, error):
    return item


MISTAKES = {
    "a count of 0": (lambda: numbers.task(abs, count=0), "count must be >= 1, got 0"),
    "a positional count of 0": (lambda: numbers.task(abs, 0), "count must be >= 1, got 0"),
    "a fractional count": (lambda: numbers.filter(abs, count=1.5), 'count must be a whole number >= 1 or "auto", got 1.5'),
    "a timeout that is an array": (lambda: numbers.task(abs, timeout=np.array([1.0, 2.0])), "timeout must be a number, got array"),
    "a timeout beyond every clock": (lambda: numbers.task(abs, timeout=10**400), "timeout must be a number, got 1000"),
    "a count that is an array": (lambda: numbers.task(abs, count=np.array([1, 2])), "count must be a whole number"),
    "BLAS threads that are an array": (lambda: numbers.task(abs, blas_threads=np.array([1, 2])), "blas_threads must be a whole number"),
    "an engine that is an array": (lambda: Pipeline([1], engine=np.array(["a", "b"])), "engine must be one of"),
    "zero_copy as a word": (lambda: numbers.task(abs, zero_copy="no"), "zero_copy must be True or False, got 'no'"),
    "a task that is not callable": (lambda: numbers.task(3), "3"),
    "a filter that is not callable": (lambda: numbers.filter("even"), "even"),
    "a reducer that is not callable": (lambda: numbers.reduce(0, 1), "1"),
    "a batch of 0": (lambda: numbers.batch(0), "batch_size must be >= 1, got 0"),
    "a window of 0": (lambda: numbers.window(0), "size must be >= 1, got 0"),
    "a negative limit": (lambda: numbers.limit(-1), "n must be >= 0, got -1"),
    "a negative skip": (lambda: numbers.skip(-1), "n must be >= 0, got -1"),
    "latest of 0": (lambda: numbers.latest(0), "n must be >= 1, got 0"),
    "a timeout of 0": (lambda: numbers.timeout(0), "seconds must be > 0, got 0"),
    "a rate of 0": (lambda: numbers.throttle(0), "per_second must be > 0, got 0"),
    "a negative repetition": (lambda: numbers.repeat(-1), "times must be >= 0, got -1"),
    "a fractional repetition": (lambda: numbers.repeat(1.5), "times must be a whole number >= 0, got 1.5"),
    "a shuffle buffer of 0": (lambda: numbers.shuffle(0), "buffer_size must be >= 1, got 0"),
    "a negative preview": (lambda: numbers.preview(-1), "n must be >= 0, got -1"),
    "a split without a number": (lambda: numbers.split(lambda x: (x, x)), "split needs n="),
    "an instance's method": (lambda: numbers.class_task(Model, Model().run), "not the method of one instance"),
    "a misspelt option": (lambda: numbers.task(abs, retrys=2), "unknown option 'retrys'; did you mean 'retries'?"),
    "a misspelt run option": (lambda: numbers.options(engin="inline"), "unknown option 'engin'; did you mean 'engine'?"),
    "a wrong on_error": (lambda: numbers.task(abs, on_error="ignore"), "on_error must be one of"),
    "on_error='branch' for all": (lambda: Pipeline([1], on_error="branch"), "on_error must be one of"),
    "an async on_error": (lambda: numbers.task(abs, on_error=repair), "on_error needs a plain function, 'repair' is async"),
    "an async on_error for all": (lambda: Pipeline([1], on_error=repair), "on_error needs a plain function, 'repair' is async"),
    "an async retry_on": (lambda: numbers.task(abs, retry_on=repair), "retry_on needs a plain function, 'repair' is async"),
    "an unknown engine": (lambda: Pipeline([1], engine="gpu"), "engine must be one of"),
    "a string as source": (lambda: Pipeline("photos"), "did you mean ['photos']?"),
    "a number as source": (lambda: Pipeline(7), "a source is an iterable"),
    "no source": (lambda: Pipeline(), "Pipeline needs a source"),
    "nothing to run": (lambda: Pipeline.wait_for_all_results([]), "at least one pipeline"),
    "zip with itself": (lambda: numbers.zip(numbers), "zip was given the same pipeline twice"),
    "gather with one twice": (lambda: numbers.gather(evens, evens), "gather was given the same pipeline twice"),
    "rejoin with itself": (lambda: numbers.rejoin(numbers.options()), "rejoin was given the same pipeline twice"),
    "zip with a list": (lambda: numbers.zip([1, 2]), "zip joins pipelines, got [1, 2]"),
    "zip with a list of pipelines": (lambda: numbers.zip([evens]), "give them one by one"),
    "running with a list": (lambda: numbers.wait_for_results([[1]]), "give pipelines to run, got [1] among them"),
    "running with a number": (lambda: numbers.wait_for_completion(5), "give the pipelines to run in a list, got 5"),
    "running a number": (lambda: Pipeline.wait_for_all_results(5), "give the pipelines to run in a list, got 5"),
    "starting with nothing of use": (lambda: numbers.start([evens, None]), "give pipelines to run, got None among them"),
    "joined pipelines of two engines": (
        lambda: numbers.zip(Pipeline([4], engine="thread")),
        "zip: these pipelines have different run options, engine='process' and engine='thread'",
    ),
    "joined pipelines of two seeds": (lambda: numbers.gather(Pipeline([4], seed=3)), "seed=None and seed=3"),
    "pipelines of two engines run together": (
        lambda: numbers.wait_for_results([Pipeline([4], engine="inline")]),
        "engine='process' and engine='inline'",
    ),
    "Pipeline.server": (lambda: Pipeline.server([]), "Pipeline.server: not available yet"),
    "ray": (lambda: Pipeline([1], engine="ray"), 'engine="ray": not available yet'),
    "frame pickling of another kind": (lambda: Pipeline([1], frame_pickling="x"), "frame_pickling must be one of 'item', 'list', got 'x'"),
    "no bytes": (lambda: Pipeline([1], queue_bytes=0), "queue_bytes must be >= 1, got 0"),
    "resume": (lambda: numbers.options(resume="journal"), "resume=: not available yet"),
    "trace": (lambda: Pipeline([1], trace="run.json"), "trace=: not available yet"),
    "dashboard": (lambda: Pipeline([1], dashboard=True), "dashboard=: not available yet"),
    "metrics": (lambda: Pipeline([1], metrics=True), "metrics=: not available yet"),
}
evens = numbers.filter(lambda x: x % 2 == 0)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_at_once_and_on_the_users_line(name):
    """The error says what is wrong, and its traceback goes from the user's line straight to the text."""
    make, text = MISTAKES[name]
    with pytest.raises(GraphError) as caught:
        make()
    assert text in str(caught.value)
    assert caught.value.declared_at == deepest(caught.value, __file__)
    below = [frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename != __file__]
    assert len(below) <= 4


def test_a_graph_error_is_a_value_error_and_a_pipeline_error():
    """It can be caught as what it is to Python, and as ours."""
    assert issubclass(GraphError, ValueError)
    assert issubclass(GraphError, PipelineError)


def test_a_wrong_keyword_of_a_plain_method_is_pythons_type_error():
    """Methods that take no stage options answer as any Python function does."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        numbers.batch(size=3)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'fn'"):
        numbers.task()


def test_building_on_another_pipeline_of_the_same_options_is_allowed():
    """Two sources with equal options can be joined, and a pipeline may be awaited twice."""
    Pipeline([1], seed=3).zip(Pipeline([2], seed=3)).gather(Pipeline([3], seed=3))


def test_one_iterator_as_the_source_of_two_pipelines_is_refused():
    """Two sources over one iterator would steal each other's items: the error names both lines and the remedy."""
    shared = iter([1, 2, 3, 4])
    joined = Pipeline(shared).zip(Pipeline(shared))
    with pytest.raises(GraphError, match="the same iterator is the source of two pipelines") as caught:
        joined.wait_for_result()
    assert str(caught.value).count(__file__) == 2


def test_a_list_as_the_source_of_two_pipelines_is_fine():
    """What can be iterated again has enough for both."""
    data = [1, 2, 3]
    assert Pipeline(data, engine="inline").zip(Pipeline(data, engine="inline")).wait_for_result() == [(1, 1), (2, 2), (3, 3)]


def fork():
    source = Pipeline(range(6), engine="inline")
    return source, source.task(abs), source.filter(bool)


REFUSED_ARMS = {
    "explode": lambda p: p.explode(lambda x: [x]),
    "batch": lambda p: p.batch(2),
    "temporal_batch": lambda p: p.temporal_batch(1.0),
    "bucket": lambda p: p.bucket(abs, 2),
    "window": lambda p: p.window(2),
    "shuffle": lambda p: p.shuffle(),
    "repeat": lambda p: p.repeat(2),
    "reduce": lambda p: p.reduce(0, max),
    "checkpoint": lambda p: p.checkpoint([], max, list),
    "gather": lambda p: p.gather(p.task(abs)),
    "zip": lambda p: p.zip(p.task(abs)),
}


@pytest.mark.parametrize("kind", REFUSED_ARMS)
def test_rejoin_refuses_arms_whose_items_lost_their_origin(kind):
    """After a stage that merges, multiplies or reorders items there is nothing to rejoin by: the stage and its line are named."""
    _, arm, other = fork()
    with pytest.raises(GraphError, match=f"rejoin pairs items by the source item they come from, and after {kind}") as caught:
        other.rejoin(REFUSED_ARMS[kind](arm))
    assert __file__ in str(caught.value)


TOLD_APART = ("batch", "temporal_batch", "window", "repeat", "zip")


@pytest.mark.parametrize("kind", sorted(REFUSED_ARMS.keys() - TOLD_APART))
def test_rejoin_refuses_a_fork_behind_what_gives_items_one_origin_or_another_order(kind):
    """What stands before the fork counts: the items of one origin could not be told apart. The error says so."""
    base = REFUSED_ARMS[kind](Pipeline(range(6)))
    with pytest.raises(GraphError, match=f"after {kind}.* several may come from the same ones, or out of order") as caught:
        base.task(str).rejoin(base.filter(bool))
    assert __file__ in str(caught.value)


@pytest.mark.parametrize("kind", TOLD_APART)
def test_rejoin_takes_a_fork_behind_what_joins_source_items_in_order(kind):
    """Only what stands between the fork and the rejoin must keep one origin per item."""
    base = REFUSED_ARMS[kind](Pipeline(range(6)))
    base.task(str).rejoin(base.filter(bool), base)
    with pytest.raises(GraphError, match="after batch"):
        base.task(str).rejoin(base.batch(2))


KEPT_ARMS = {
    "task": lambda p: p.task(abs),
    "starmap": lambda p: p.starmap(max),
    "filter": lambda p: p.filter(bool),
    "class_task": lambda p: p.class_task(Model, Model.run),
    "cached_task": lambda p: p.cached_task(abs, "cache"),
    "limit": lambda p: p.limit(3),
    "skip": lambda p: p.skip(1),
    "latest": lambda p: p.latest(),
    "timeout": lambda p: p.timeout(1.0),
    "throttle": lambda p: p.throttle(10),
    "unique": lambda p: p.unique(),
    "enumerate": lambda p: p.enumerate(),
    "tap": lambda p: p.tap(abs),
    "debug": lambda p: p.debug(),
    "scan": lambda p: p.scan(0, max),
    "split": lambda p: p.split(lambda x: (x, DROP), 2)[0],
    "branch": lambda p: p.task(abs, on_error="branch")[0],
    "failures": lambda p: p.task(abs, on_error="branch")[1],
    "rejoin": lambda p: p.rejoin(p.task(abs)),
}


@pytest.mark.parametrize("kind", KEPT_ARMS)
def test_rejoin_takes_arms_that_keep_one_origin_per_item(kind):
    """Stages that map, drop or only look keep origins."""
    source, arm, other = fork()
    other.rejoin(KEPT_ARMS[kind](arm))
    source.rejoin(KEPT_ARMS[kind](source))


def test_rejoin_refuses_arms_of_two_sources():
    """Different sources have nothing in common but positions: the error names both and proposes ``zip``."""
    with pytest.raises(GraphError, match=r"branches of one source.*use zip or gather") as caught:
        Pipeline([1]).rejoin(Pipeline([2]))
    assert str(caught.value).count(__file__) == 2
