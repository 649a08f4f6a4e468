"""One graph, one meaning: whatever is drawn, processes and threads give what the inline engine gives.

``limit`` stops what is upstream at a moment of its own, so what was counted or recorded there by then is not compared where one stands.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from olympipe_ng import Pipeline, PipelineError
from tests.engines.graphs import (
    Recipe,
    Step,
    branched,
    build,
    build_branched,
    failing_chains,
    failing_rejoins,
    items,
    plain,
    recipes,
    unordered_chains,
)

FAST = {"engine": "thread"}
REAL = {"engine": "process", "start_method": "fork"}
ITEM_INDEX = re.compile(r", item \d+")
COUNTED = ("name", "items_in", "items_out", "passed", "filtered", "dropped", "failed", "retried", "unread")
SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def every_step(recipe: Recipe) -> list[Step]:
    return [*recipe.before, *recipe.behind, *(step for arm in recipe.arms for step in arm)]


def counts(recipe: Recipe, results: Any) -> Any:
    """Return what every stage did with its items, and what was recorded; nothing of it where a limit may have cut it short."""
    if any(step.kind == "limit" for step in every_step(recipe)) or recipe.join == "zip":
        return None
    return sorted(results.errors), [tuple(getattr(stage, name) for name in COUNTED) for stage in results.report.stages]


def results_of(recipe: Recipe, data: list[Any], options: dict[str, Any]) -> Any:
    """Run, and return everything that must not depend on the engine."""
    results = Pipeline.wait_for_all_results(build(recipe, data, **options))
    lists = [list(map(plain, each)) for each in results]
    if recipe.join == "gather":
        lists = [[item for item in lists[0] if item[1][0] == ("str", arm)] for arm in ("arm 0", "arm 1")] + [[len(lists[0])]]
    return lists, counts(recipe, results)


def sorted_results_of(recipe: Recipe, data: list[Any], options: dict[str, Any]) -> Any:
    """Run, and return what must not depend on the engine where items may overtake each other."""
    (pipeline,) = build(recipe, data, **options)
    results = pipeline.wait_for_result()
    errors = list(map(str, results.errors))
    if any(step.kind == "temporal_batch" for step in every_step(recipe)):  # which item begins a batch is the clock's affair
        errors = [ITEM_INDEX.sub(", item", error) for error in errors]
    return sorted(map(repr, map(plain, results))), sorted(errors)


def outcome_of(recipe: Recipe, data: list[Any], options: dict[str, Any]) -> Any:
    """Iterate until the end or the error; return what came and what was raised."""
    came: list[Any] = []
    (pipeline,) = build(recipe, data, **options)
    try:
        came.extend(map(plain, pipeline))
    except PipelineError as error:
        return came, type(error), str(error), error.stage, error.index, error.item_repr, error.declared_at, plain(error.__cause__)
    return came, None


def check_results(recipe: Recipe, data: list[Any], options: dict[str, Any]) -> None:
    assert results_of(recipe, data, options) == results_of(recipe, data, {"engine": "inline"})


def check_outcome(recipe: Recipe, data: list[Any], options: dict[str, Any]) -> None:
    assert outcome_of(recipe, data, options) == outcome_of(recipe, data, {"engine": "inline"})


@settings(SETTINGS, max_examples=150)
@given(recipes(), items)
def test_threads_give_what_inline_gives(recipe, data):
    """Results, their order, counts and recorded failures are the same in threads."""
    check_results(recipe, data, FAST)


@settings(SETTINGS, max_examples=100)
@given(failing_chains(), items)
def test_threads_fail_as_inline_fails(recipe, data):
    """The same results come before the same error in threads: its type, text, index, stage and cause."""
    check_outcome(recipe, data, FAST)


@settings(SETTINGS, max_examples=50)
@given(unordered_chains(), items)
def test_without_order_threads_give_the_same_items(recipe, data):
    """``ordered=False`` and stages that go by the clock: the same items and failures in threads, in whatever order."""
    assert sorted_results_of(recipe, data, FAST) == sorted_results_of(recipe, data, {"engine": "inline"})


@settings(SETTINGS, max_examples=20)
@given(unordered_chains(), items)
def test_without_order_processes_give_the_same_items(recipe, data):
    """``ordered=False`` and stages that go by the clock: the same items and failures in processes, in whatever order."""
    assert sorted_results_of(recipe, data, REAL) == sorted_results_of(recipe, data, {"engine": "inline"})


@settings(SETTINGS, max_examples=60)
@given(recipes(), items)
def test_processes_give_what_inline_gives(recipe, data):
    """Results, their order, counts and recorded failures are the same in processes."""
    check_results(recipe, data, REAL)


@settings(SETTINGS, max_examples=40)
@given(failing_chains(), items)
def test_processes_fail_as_inline_fails(recipe, data):
    """The same results come before the same error in processes: its type, text, index, stage and cause."""
    check_outcome(recipe, data, REAL)


def place_of(outcome: Any) -> Any:
    """Return what came, and for which item it ended: of two arms that fail for one item either may be named."""
    return outcome[0], outcome[1] and outcome[4]


@settings(SETTINGS, max_examples=60)
@given(failing_rejoins(), items)
def test_a_failing_arm_ends_a_rejoin_at_the_same_row_in_threads(recipe, data):
    """The same rows come before an error of the same item."""
    assert place_of(outcome_of(recipe, data, FAST)) == place_of(outcome_of(recipe, data, {"engine": "inline"}))


@settings(SETTINGS, max_examples=15)
@given(failing_rejoins(), items)
def test_a_failing_arm_ends_a_rejoin_at_the_same_row_in_processes(recipe, data):
    """The same rows come before an error of the same item."""
    assert place_of(outcome_of(recipe, data, REAL)) == place_of(outcome_of(recipe, data, {"engine": "inline"}))


@settings(SETTINGS, max_examples=60)
@given(recipes(), items, st.integers(1, 9))
def test_cutting_the_stream_changes_nothing(recipe, data, together):
    """However few items travel together: the same results, counts and failures, through every kind of stage.

    But for an explode that fails half-way: what was told of its outputs by then, and it is told when there is no more room, stays.
    """
    assume(not any(step.kind == "explode" and step.fails for step in every_step(recipe)))
    check_results(recipe, data, {"engine": "inline", "queue_size": together})


@settings(SETTINGS, max_examples=40)
@given(branched(), items)
def test_failures_and_instances_are_the_same_in_threads(steps, data):
    """Branches of failures, instances of a class, epochs: the same results in every sink, and the same records."""
    check_branched(steps, data, FAST)


@settings(SETTINGS, max_examples=15)
@given(branched(), items)
def test_failures_and_instances_are_the_same_in_processes(steps, data):
    """Branches of failures, instances of a class, epochs: the same results in every sink, and the same records."""
    check_branched(steps, data, REAL)


def check_branched(steps: Any, data: list[Any], options: dict[str, Any]) -> None:
    outcomes = []
    for where in (options, {"engine": "inline"}):
        results = Pipeline.wait_for_all_results(build_branched(steps, data, **where))
        outcomes.append(([list(map(plain, each)) for each in results], sorted(results.errors)))
    assert outcomes[0] == outcomes[1]


@settings(SETTINGS, max_examples=30)
@given(recipes(), items)
def test_items_pickled_together_are_the_same_items(recipe, data):
    """``frame_pickling="list"``: results, their order, counts and recorded failures are those of items pickled one by one."""
    for engine in (FAST, REAL):
        check_results(recipe, data, {**engine, "frame_pickling": "list"})


@settings(SETTINGS, max_examples=20)
@given(failing_chains(), items)
def test_items_pickled_together_fail_as_single_ones_fail(recipe, data):
    """``frame_pickling="list"``: the same results come before the same error."""
    for engine in (FAST, REAL):
        check_outcome(recipe, data, {**engine, "frame_pickling": "list"})
