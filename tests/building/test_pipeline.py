"""A pipeline describes: it changes nothing, runs nothing, and can be looked at."""

from __future__ import annotations

import copy
import pickle
import re
import threading
from enum import Enum
from fractions import Fraction
from xml.etree import ElementTree

import numpy as np
import pytest

from olympipe_ng import GraphError, Pipeline
from olympipe_ng.options import RunConfig
from olympipe_ng.plan import make_plan

from .lines import here


def double(x):
    return 2 * x


numbers = Pipeline([1, 2, 3], seed=1)


def config_of(pipeline) -> RunConfig:
    return pipeline._config


def kinds(pipeline) -> list[str]:
    """Return the kinds of stage on a chain, the source first."""
    return [line.split()[1] for line in pipeline.explain().splitlines()]


CHAINS = {
    "task": lambda p: p.task(double),
    "starmap": lambda p: p.starmap(max),
    "filter": lambda p: p.filter(),
    "explode": lambda p: p.explode(),
    "tap": lambda p: p.tap(print),
    "class_task": lambda p: p.class_task(str, str.upper),
    "cached_task": lambda p: p.cached_task(double, "cache"),
    "uncache": lambda p: p.uncache(),
    "batch": lambda p: p.batch(),
    "temporal_batch": lambda p: p.temporal_batch(1),
    "window": lambda p: p.window(2),
    "bucket": lambda p: p.bucket(len, 2),
    "reduce": lambda p: p.reduce(0, max),
    "scan": lambda p: p.scan(0, max),
    "checkpoint": lambda p: p.checkpoint(0, max, list),
    "limit": lambda p: p.limit(2),
    "skip": lambda p: p.skip(2),
    "latest": lambda p: p.latest(),
    "timeout": lambda p: p.timeout(1),
    "throttle": lambda p: p.throttle(1),
    "unique": lambda p: p.unique(),
    "shuffle": lambda p: p.shuffle(),
    "enumerate": lambda p: p.enumerate(),
    "debug": lambda p: p.debug(),
    "gather": lambda p: p.gather(p.task(double)),
    "zip": lambda p: p.zip(p.task(double)),
    "rejoin": lambda p: p.rejoin(p.task(double)),
    "split": lambda p: p.split(double, 1)[0],
}


@pytest.mark.parametrize("kind", CHAINS)
def test_each_method_gives_a_new_pipeline_with_its_stage_and_the_users_line(kind):
    """Building adds one stage, of the kind that the method is called, declared where the user wrote it, with the same run options."""
    before = numbers.outlet
    built, line = CHAINS[kind](numbers), here()
    assert built is not numbers
    assert numbers.outlet is before
    node = built.outlet.node
    assert node.stage.kind == kind
    assert node.inputs[0] == before
    assert node.declared_at.rpartition(":")[0] == line.rpartition(":")[0]
    assert node.declared_at.rpartition(":")[2] == str(CHAINS[kind].__code__.co_firstlineno)
    assert config_of(built) is config_of(numbers)


def test_two_stages_on_one_pipeline_are_two_branches():
    """Both read the same outlet, which knows of neither."""
    one, other = numbers.task(double), numbers.batch(2)
    assert one.outlet.node.inputs == other.outlet.node.inputs == (numbers.outlet,)


def test_a_pipeline_cannot_be_changed():
    """There is nothing to set on it."""
    with pytest.raises(AttributeError):
        numbers.name = "mine"


def test_split_gives_as_many_pipelines_as_the_function_has_values():
    """By ``n`` or by the annotation, one of them too, and the failures last."""

    def route(x: int) -> tuple[int, str, float]:
        return (x, str(x), float(x))

    assert [pipeline.outlet.number for pipeline in numbers.split(route)] == [0, 1, 2]
    assert len(numbers.split(double, 1)) == 1
    *_, failures = numbers.split(route, on_error="branch")
    assert failures.outlet.number == 3


def test_branching_failures_gives_two_pipelines():
    """``on_error="branch"`` makes an outlet behind the stage's own."""
    good, bad = numbers.task(double, on_error="branch")
    assert good.outlet.node is bad.outlet.node
    assert (good.outlet.number, bad.outlet.number) == (0, 1)


def test_merge_is_gather():
    """The same under another name."""
    assert kinds(numbers.merge(numbers.task(double)))[-1] == "gather"


def test_options_give_the_same_graph_with_other_run_options():
    """What is not named stays, what it was called on too."""
    changed = numbers.options(engine="inline", retries=2)
    assert changed.outlet is numbers.outlet
    assert config_of(changed) == RunConfig(seed=1, engine="inline", retries=2)
    assert config_of(numbers) == RunConfig(seed=1)


ENVIRONMENT = {
    "ENGINE": ("inline", "engine", "inline"),
    "START_METHOD": ("spawn", "start_method", "spawn"),
    "RETRIES": ("3", "retries", 3),
    "SEED": ("7", "seed", 7),
    "MAX_FAILURES": ("0.5", "max_failures", 0.5),
    "STALL_TIMEOUT": ("none", "stall_timeout", None),
    "COPY_ITEMS": ("false", "copy_items", False),
    "PROGRESS": ("true", "progress", True),
    "BLAS_THREADS": ("auto", "blas_threads", "auto"),
}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_every_option_has_an_environment_variable_that_an_argument_beats(monkeypatch, name):
    """``OLYMPIPE_NG_<OPTION>`` stands for what was not given."""
    text, option, value = ENVIRONMENT[name]
    monkeypatch.setenv(f"OLYMPIPE_NG_{name}", text)
    assert getattr(config_of(Pipeline([1])), option) == value
    default = getattr(RunConfig(), option)
    assert getattr(config_of(Pipeline([1], **{option: default})), option) == default


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("RETRIES", "many", "a whole number"),
        ("ZERO_COPY", "2", "True or False"),
        ("ENGINE", "rocket", "'thread'"),
        ("PROGRESS", "often", "a number"),
    ],
)
def test_a_wrong_environment_variable_is_named(monkeypatch, name, text, complaint):
    """What its option does not take is an error that names the variable; not where an argument beats it."""
    monkeypatch.setenv(f"OLYMPIPE_NG_{name}", text)
    with pytest.raises(GraphError, match=f"environment variable OLYMPIPE_NG_{name}='{text}': .*{complaint}"):
        Pipeline([1])
    option = name.lower()
    assert Pipeline([1], **{option: getattr(RunConfig(), option)})


@pytest.mark.parametrize(("name", "option"), [("COPY_ITEMS", "copy_items"), ("ZERO_COPY", "zero_copy"), ("PROGRESS", "progress")])
def test_a_switch_is_set_as_in_a_shell(monkeypatch, name, option):
    """``1``, ``yes`` and ``on`` are true, ``0``, ``no`` and ``off`` false; a name stays a name, whatever it says."""
    for text, value in (("1", True), ("on", True), ("Yes", True), ("0", False), ("off", False), ("no", False)):
        monkeypatch.setenv(f"OLYMPIPE_NG_{name}", text)
        assert getattr(config_of(Pipeline([1])), option) is value
    monkeypatch.setenv("OLYMPIPE_NG_NAME", "true")
    assert config_of(Pipeline([1])).name == "true"


WHOLE = ("count", "threads", "concurrency", "retries", "queue_size", "blas_threads", "max_items_per_worker")
REAL = ("max_failures", "backoff", "max_backoff", "timeout", "setup_timeout", "max_rss_per_worker")
RUN_WHOLE = ("total", "queue_size", "queue_bytes", "retries", "seed", "blas_threads")
RUN_REAL = ("max_failures", "stall_timeout", "close_timeout", "progress")


def test_options_are_kept_as_plain_numbers():
    """NumPy's numbers, and whatever else can be a number, mean what Python's do: they wrap around nowhere, and cross process borders."""
    stage = numbers.task(abs, **dict.fromkeys(WHOLE, np.int8(5)), **dict.fromkeys(REAL, np.float32(0.5))).outlet.node.stage.config
    run = config_of(numbers.options(**dict.fromkeys(RUN_WHOLE, np.int64(5)), **dict.fromkeys(RUN_REAL, Fraction(1, 2))))
    for config, whole, real in ((stage, WHOLE, REAL), (run, RUN_WHOLE, RUN_REAL)):
        assert {(type(value), value) for value in (getattr(config, name) for name in whole)} == {(int, 5)}
        assert {(type(value), value) for value in (getattr(config, name) for name in real)} == {(float, 0.5)}


class Word(str, Enum):
    COLLECT = "collect"
    PROCESS = "process"
    FORKSERVER = "forkserver"


def test_options_are_kept_as_plain_texts():
    """A member of an enumeration and one of NumPy's texts cross no process border as what they are."""
    stage = numbers.task(abs, name=np.str_("mine"), on_error=Word.COLLECT).outlet.node.stage.config
    run = config_of(numbers.options(name=np.str_("mine"), on_error=np.str_("skip"), engine=Word.PROCESS, start_method=Word.FORKSERVER))
    assert [(type(text), text) for text in (stage.name, stage.on_error)] == [(str, "mine"), (str, "collect")]
    assert {type(text) for text in (run.name, run.on_error, run.engine, run.start_method)} == {str}
    described = Pipeline([1, 0], start_method=Word.FORKSERVER).task(lambda x: 1 // x, name=Word.PROCESS, on_error=Word.COLLECT)
    assert described.wait_for_result() == [1]


NUMBERED = {
    "limit": (lambda p: p.limit(np.int8(5)), "n"),
    "skip": (lambda p: p.skip(np.int8(5)), "n"),
    "latest": (lambda p: p.latest(np.int8(5)), "n"),
    "batch": (lambda p: p.batch(np.int8(5), within=np.float32(5)), "batch_size within"),
    "window": (lambda p: p.window(np.int8(5), np.int8(5)), "size step"),
    "bucket": (lambda p: p.bucket(abs, np.int8(5), np.float32(5)), "batch_size within"),
    "temporal_batch": (lambda p: p.temporal_batch(np.float32(5)), "time_interval"),
    "timeout": (lambda p: p.timeout(np.float32(5)), "seconds"),
    "throttle": (lambda p: p.throttle(np.float32(5)), "per_second"),
    "shuffle": (lambda p: p.shuffle(np.int8(5), seed=np.int8(5)), "buffer_size seed"),
    "split": (lambda p: p.split(abs, np.int8(5))[0], "n"),
}


@pytest.mark.parametrize("kind", NUMBERED)
def test_stages_keep_plain_numbers(kind):
    """What stages are told is checked, and kept as Python's own number."""
    build, fields = NUMBERED[kind]
    stage = build(numbers).outlet.node.stage
    assert all(type(getattr(stage, field)) in (int, float) and getattr(stage, field) == 5 for field in fields.split())


def test_pipe_calls_a_function_with_the_pipeline():
    """Arguments and keywords go to the function, its result comes back."""
    assert numbers.pipe(lambda pipeline, *args, **options: (pipeline, args, options), 1, two=2) == (numbers, (1,), {"two": 2})


def test_a_pipeline_is_always_true():
    """``if pipeline:`` asks whether there is one, and neither runs nor counts it."""
    assert Pipeline([])
    assert Pipeline(iter(()))


def test_building_starts_nothing():
    """A chain is data: no thread, and a source that nobody has touched."""

    def untouched():
        raise AssertionError("called")

    threads = threading.active_count()
    Pipeline(untouched).task(double, count=4).batch(2).repeat(3).wait_for_completion  # noqa: B018
    assert threading.active_count() == threads


def test_a_pipeline_survives_copy_and_pickle():
    """A description can be copied and sent, as long as its source and functions can."""
    for clone in (copy.copy(numbers.task(double)), pickle.loads(pickle.dumps(numbers.task(double)))):
        assert kinds(clone) == ["source", "task"]


def test_a_subclass_stays_what_it_is():
    """Methods of a user's subclass are there after each stage."""

    class Mine(Pipeline):
        def doubled(self):
            return self.task(double)

    assert type(Mine([1]).doubled().batch(2).split(double, 1)[0].repeat(2)) is Mine


def test_a_repr_shows_the_chain():
    """Short chains whole, long ones with their ends."""
    assert repr(numbers.task(double, count=2).batch(2)) == "<Pipeline source list of 3 -> task double count=2 -> batch>"
    long = numbers
    for _ in range(20):
        long = long.task(double)
    assert repr(long).count("task double") == 6
    assert "..." in repr(long)


def diamond():
    source = Pipeline(range(4), name="x")
    good, bad = source.task(double, count=2, retries=1, on_error="branch")
    left, right = good.split(double, 2)
    return left.gather(right.task(str, name="as text")), bad.repeat(2)


def test_explain_is_a_line_for_each_stage():
    """Number, kind, name, settings, what it reads where that is not the line above, and the line that declared it."""
    left, _ = Pipeline(range(4)).split(double, 2)
    text = left.rejoin(left.task(double, count=2, retries=1)).explain().splitlines()
    shape = [re.sub(r"\s+", " ", line.replace(__file__, "file")) for line in text]
    assert shape[0].startswith("0 source range(0, 4) file:")
    assert shape[1].startswith("1 split double reads 0 file:") or shape[1].startswith("1 split double file:")
    assert shape[2].startswith("2 task double count=2 retries=1 reads 1 (0) file:")
    assert shape[3].startswith("3 rejoin reads 1 (0), 2 file:")


def test_the_numbers_are_those_of_the_run():
    """Stage 2 of an error is line 2 of ``explain()``."""
    merged, _ = diamond()
    plan, _ = make_plan([merged.outlet], RunConfig())
    assert [str(node.number) for node in plan.nodes][:-1] == [line.split()[0] for line in merged.explain().splitlines()]


def test_a_repeat_shows_what_it_repeats():
    """The stages behind a ``repeat`` are seen in its line."""
    assert "(source list of 3 -> task double)" in numbers.task(double).repeat(2).batch(2).explain()


def test_mermaid_and_dot_have_every_stage_and_every_edge():
    """Boxes and arrows, with the stream's name where a stage has several."""
    merged, _ = diamond()
    mermaid, dot = merged.to_mermaid(), merged.to_dot()
    for text in (mermaid, dot):
        assert len(re.findall(r"--?>", text)) == 5
        assert "task double count=2 on_error=branch retries=1" in text
        assert "as text" in text
    assert mermaid.startswith("flowchart LR\n")
    assert "-->|1|" in mermaid
    assert dot.startswith("digraph pipeline {")
    assert dot.endswith("}")


def test_names_cannot_break_a_drawing():
    """Quotes and brackets of a name are escaped."""
    odd = numbers.task(double, name='a"]<b>')
    assert 'a&quot;]&lt;b&gt;' in odd.to_mermaid()
    assert 'task a\\"]<b>' in odd.to_dot()
    ElementTree.fromstring(odd._repr_html_())


def test_mermaid_shows_a_name_as_it_is():
    """It takes ``#`` for the beginning of a code of its own, also within one of HTML's: no apostrophe is one."""
    odd = numbers.task(double, name="it's #35; of \"all\"", retry_on=(OSError, ValueError))
    text = odd.to_mermaid()
    assert """it's #35;35; of &quot;all&quot;""" in text
    assert "retry_on=(&lt;class 'OSError'&gt;, &lt;class 'ValueError'&gt;)" in text


ODD = {"two\nlines\t": "two lines", "red\x1b[31m\x00": r"red\x1b[31m\x00", "caf\u00e9 \udce9": "caf\u00e9 \\udce9"}


@pytest.mark.parametrize(("name", "shown"), ODD.items())
def test_a_name_is_shown_in_one_row_of_letters_that_a_file_takes(name, shown, tmp_path):
    """Whatever a file or an item that the stage is called after is called."""
    odd = numbers.task(double, name=name).batch(2)
    assert [row.split()[1] for row in odd.explain().splitlines()] == ["source", "task", "batch"]
    assert all(f"task {shown}" in drawn for drawn in (" ".join(odd.explain().split()), odd.to_mermaid(), repr(odd)))
    for suffix in ("txt", "mmd", "dot", "svg"):
        odd.options(engine="inline").wait_for_completion(debug_graph=tmp_path / f"graph.{suffix}")
    ElementTree.parse(tmp_path / "graph.svg")


def test_a_notebook_shows_a_drawing():
    """A picture with a box for each stage, well-formed, the name of each in it."""
    merged, _ = diamond()
    root = ElementTree.fromstring(merged._repr_html_())
    boxes = root.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(boxes) == 5
    places = {(box.get("x"), box.get("y")) for box in boxes}
    assert len(places) == 5
