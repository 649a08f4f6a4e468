"""Graphs that hypothesis draws, as plain data, and the functions that stand in them: deterministic for items of any kind.

    recipes() ──► Recipe(shape, steps ...) ──► build(recipe, source, options) ──► pipelines to await
    plain(result) ──► what two engines' results are compared by (arrays and exceptions have no equality of their own)
"""

from __future__ import annotations

import asyncio
import warnings
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from olympipe_ng import DROP, Failure, Pipeline
from tests.strategies import lists_of

__all__ = ["Recipe", "Step", "build", "failing_chains", "items", "plain", "recipes", "size", "unordered_chains"]


def plain(value: Any) -> Any:
    """Turn a value into something that compares by what it is."""
    if isinstance(value, np.ndarray):
        return "array", str(value.dtype), value.shape, plain(value.tolist()) if value.dtype == object else value.tobytes()
    if isinstance(value, BaseException):
        return "exception", type(value).__qualname__, plain(value.args)
    if isinstance(value, Failure):
        return "failure", plain(value.item), value.index, value.stage, plain(value.exception), value.attempts, value.emitted
    if isinstance(value, dict):
        return "dict", tuple((plain(key), plain(each)) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return type(value).__name__, tuple(map(plain, value))
    return type(value).__name__, value


def size(value: Any) -> int:
    """Number a value, the same in every process."""
    return zlib.crc32(repr(plain(value)).encode())


# ---------------------------------------------------------------------------------------------------- functions in stages

ERRORS = (ValueError, KeyError, OSError, StopIteration, ZeroDivisionError, SystemExit, TimeoutError)


class Mark:
    """Adds a word to an item; raises for one item in ``fails``."""

    def __init__(self, word: str, fails: int = 0) -> None:
        self.word, self.fails = word, fails
        self.__name__ = word

    def __call__(self, item: Any) -> Any:
        self.check(item)
        return self.word, item

    def check(self, item: Any) -> None:
        number = size(item)
        if self.fails and number % self.fails == 0:
            raise ERRORS[number % len(ERRORS)](f"{self.word} does not like number {number}")


class Keep(Mark):
    def __call__(self, item: Any) -> bool:
        self.check(item)
        return size(item) % 3 > 0


class Spread(Mark):
    """Gives up to 4 outputs; a failing item fails half-way."""

    def __call__(self, item: Any) -> Any:
        for k in range(size(item) % 5):
            if k == 2:
                self.check(item)
            yield k, item


class Star(Mark):
    def __call__(self, *parts: Any) -> Any:
        self.check(parts)
        return len(parts), parts


class Route(Mark):
    def __call__(self, item: Any) -> tuple[Any, Any]:
        self.check(item)
        return (item if size(item) % 2 else None), (DROP if size(item) % 3 else (item, "b"))


class Slowly(Mark):
    async def __call__(self, item: Any) -> Any:
        await asyncio.sleep(0)
        return super().__call__(item)


def add_up(item: Any, total: int) -> int:
    return (31 * total + size(item)) % 1_000_003


def as_tuple(item: Any) -> tuple[Any, ...]:
    return item if isinstance(item, tuple) else (item,)


def third(item: Any) -> int:
    return size(item) % 3


def replace(item: Any, error: Exception) -> Any:
    return DROP if size(item) % 2 else ("instead of", type(error).__name__)


def digits(state: int) -> list[str]:
    return list(str(state))


# ------------------------------------------------------------------------------------------------------------- recipes


class Step(NamedTuple):
    """One stage: a method's name, its arguments, and whether the user's function is the first of them."""

    kind: str
    args: tuple[Any, ...] = ()
    fails: int = 0
    options: tuple[tuple[str, Any], ...] = ()


class Recipe(NamedTuple):
    """A graph: steps, then arms of steps, then how the arms are joined (or not), then more steps."""

    before: tuple[Step, ...]
    fork: str  # "", branches, split
    arms: tuple[tuple[Step, ...], ...]
    join: str  # "", zip, rejoin, gather
    behind: tuple[Step, ...]


FUNCTIONS = {"task": Mark, "filter": Keep, "explode": Spread, "starmap": Star, "tap": Mark, "async": Slowly}
COUNTED = st.integers(1, 3)


def _steps_with_functions(kinds: Sequence[str], policies: Sequence[str]) -> st.SearchStrategy[Step]:
    return st.builds(
        _with_function,
        st.sampled_from(kinds),
        st.sampled_from([0, 0, 3, 7]),
        COUNTED,
        st.sampled_from([1, 1, 2]),
        st.sampled_from(policies),
        st.sampled_from([0, 0, 2]),
    )


def _with_function(kind: str, fails: int, count: int, threads: int, on_error: str, retries: int) -> Step:
    options: dict[str, Any] = {"count": count, "threads": 1 if kind == "async" else threads}
    if fails:
        options |= {"on_error": on_error, "retries": retries}
    return Step(kind, (), fails, tuple(options.items()))


STREAMS = st.one_of(
    st.builds(lambda n, keep: Step("batch", (n, keep)), st.integers(1, 4), st.booleans()),
    st.builds(lambda n, step: Step("window", (n, step)), st.integers(1, 3), COUNTED),
    st.builds(lambda n: Step("skip", (n,)), st.integers(0, 4)),
    st.builds(lambda n: Step("limit", (n,)), st.integers(0, 12)),
    st.just(Step("enumerate")),
    st.just(Step("unique", (third,))),
    st.builds(lambda seed: Step("shuffle", (4, seed)), st.integers(0, 3)),
    st.just(Step("shuffle", (None, 5))),
    st.just(Step("scan", (0, add_up))),
    st.just(Step("reduce", (0, add_up))),
    st.just(Step("checkpoint", (0, add_up, digits))),
    st.builds(lambda n: Step("bucket", (third, n)), COUNTED),
    st.builds(lambda n: Step("batch", (n,), options=(("within", 60.0),)), COUNTED),
    st.just(Step("throttle", (20_000,))),
    st.just(Step("timeout", (60.0,))),
)
ALL = tuple(FUNCTIONS)
SOFT = ("skip", "collect", "call")
ONE_ORIGIN = ("task", "filter", "tap", "starmap", "async")


def chains(policies: Sequence[str] = SOFT, *, most: int = 3) -> st.SearchStrategy[tuple[Step, ...]]:
    """Draw a chain of steps of any kind."""
    functions = _steps_with_functions(ALL, policies)
    return lists_of(st.booleans().flatmap(lambda stream: STREAMS if stream else functions), most, 2).map(tuple)


def _arms(steps: st.SearchStrategy[tuple[Step, ...]]) -> st.SearchStrategy[tuple[tuple[Step, ...], ...]]:
    return st.tuples(steps, steps)


_free = lists_of(_steps_with_functions(ONE_ORIGIN, SOFT), 2, 1).map(tuple)
_nothing: st.SearchStrategy[Any] = st.just(())


def recipes() -> st.SearchStrategy[Recipe]:
    """Draw a graph whose failures do not end the run."""
    arms = _arms(chains(most=2))
    return st.one_of(
        st.builds(Recipe, chains(most=5), st.just(""), _nothing, st.just(""), _nothing),
        st.builds(Recipe, chains(most=1), st.sampled_from(["branches", "split"]), arms, st.just(""), _nothing),
        st.builds(Recipe, chains(most=1), st.sampled_from(["branches", "split"]), arms, st.just("zip"), chains(most=1)),
        st.builds(Recipe, _free, st.sampled_from(["branches", "split"]), _arms(_free), st.just("rejoin"), chains(most=1)),
        st.builds(Recipe, chains(most=1), st.sampled_from(["branches", "split"]), arms, st.just("gather"), _nothing),
    )


def failing_chains() -> st.SearchStrategy[Recipe]:
    """Draw a chain of which the first failure ends the run."""
    return st.builds(Recipe, chains(("raise",), most=5), st.just(""), _nothing, st.just(""), _nothing)


def failing_rejoins() -> st.SearchStrategy[Recipe]:
    """Draw a rejoin of which the first failure ends the run."""
    steps = lists_of(_steps_with_functions(ONE_ORIGIN, ("raise",)), 2, 1).map(tuple)
    return st.builds(
        Recipe, steps, st.sampled_from(["branches", "split"]), _arms(steps), st.just("rejoin"), chains(("raise",), most=1)
    )


BRANCHED = ("class", "repeat", "task", "filter", "explode", "split", "batch", "scan", "skip")


def branched() -> st.SearchStrategy[list[tuple[str, int]]]:
    """Draw a chain of which some stages hand out their failures, hold an instance, or run the epochs before them."""
    return lists_of(st.tuples(st.sampled_from(BRANCHED), st.integers(1, 3)), 4, 2)


class Model:
    """An instance that counts, and fails for some items."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.count = 0

    def work(self, item: Any) -> Any:
        number = size(item)
        if number % 5 == 0:
            raise ERRORS[number % len(ERRORS)]("model")
        self.count += 1
        return self.word, self.count, item


def build_branched(steps: Sequence[tuple[str, int]], source: Any, **options: Any) -> list[Pipeline[Any]]:
    """Return the end of the chain, and every branch on the way."""
    pipeline: Pipeline[Any] = Pipeline(source, **options)
    sinks: list[Pipeline[Any]] = []
    for number, (kind, count) in enumerate(steps):
        if kind in ("task", "filter", "explode"):
            function = {"task": Mark, "filter": Keep, "explode": Spread}[kind](f"{kind} {number}", 3)
            pipeline, bad = getattr(pipeline, kind)(function, count, on_error="branch")
            sinks.append(bad)
        elif kind == "split":
            pipeline, other = pipeline.split(Route("route", 4), 2, on_error="collect", count=count)
            sinks.append(other)
        elif kind == "class":
            pipeline = pipeline.class_task(Model, Model.work, ["word"], on_error="skip")
        elif kind == "scan":
            pipeline = pipeline.scan(0, add_up)
        else:
            pipeline = getattr(pipeline, kind)(count)
    return [pipeline, *sinks]


def unordered_chains() -> st.SearchStrategy[Recipe]:
    """Draw a chain whose items may overtake each other: of stages that treat each by itself, with ``ordered=False`` here and there."""
    functions = _steps_with_functions(ALL, SOFT).map(lambda step: step._replace(options=(*step.options, ("ordered", False))))
    timed = st.just(Step("temporal_batch", (0.002,))).map(lambda step: (step, Step("explode")))
    steps = st.one_of(functions.map(lambda step: (step,)), _steps_with_functions(ALL, SOFT).map(lambda step: (step,)), timed)
    return lists_of(steps, 3, 2).map(lambda parts: Recipe(tuple(step for part in parts for step in part), "", (), "", ()))


_scalars = st.none() | st.integers(-5, 5) | st.text("ab", max_size=3) | st.floats(allow_nan=False, width=16)
_plain_items = st.one_of(
    _scalars,
    st.tuples(_scalars, _scalars),
    st.dictionaries(st.sampled_from("ab"), _scalars, max_size=2),
    st.builds(lambda kind, text: kind(text), st.sampled_from([ValueError, KeyError, StopIteration]), st.text("xy", max_size=2)),
    st.builds(lambda n, kind: np.arange(n, dtype=kind), st.integers(0, 4), st.sampled_from(["u1", "f8"])),
)
items = st.builds(lambda few, times: few * times, lists_of(_plain_items, 25), st.sampled_from([1, 1, 1, 20]))
"""Few of many kinds; at times enough of them that frames grow."""


# ------------------------------------------------------------------------------------------------------------- building


def build(recipe: Recipe, source: Any, **options: Any) -> list[Pipeline[Any]]:
    """Build the pipelines to await; the two arms of a ``gather`` are told apart by a number."""
    start = _apply(Pipeline(source, **options), recipe.before)
    if not recipe.fork:
        return [start]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a zip of arms that filter
        forked = start.split(Route("route", 0)) if recipe.fork == "split" else (start, start)
        arms = [_apply(arm, steps) for arm, steps in zip(forked, recipe.arms, strict=True)]
        return [_apply(each, recipe.behind) for each in _joined(recipe.join, arms)]


def _joined(join: str, arms: list[Pipeline[Any]]) -> list[Pipeline[Any]]:
    if not join:
        return arms
    arms = [arm.task(Mark(f"arm {k}")) for k, arm in enumerate(arms)]
    return [getattr(arms[0], join)(*arms[1:])]


def _apply(pipeline: Pipeline[Any], steps: Sequence[Step]) -> Pipeline[Any]:
    for number, step in enumerate(steps):
        pipeline = _add(pipeline, step, number)
    return pipeline


def _add(pipeline: Pipeline[Any], step: Step, number: int) -> Pipeline[Any]:
    if step.kind not in FUNCTIONS or (step.kind == "explode" and not step.options):
        return getattr(pipeline, step.kind)(*step.args, **dict(step.options))
    options = {key: replace if value == "call" else value for key, value in step.options}
    if step.kind == "starmap":
        pipeline = pipeline.task(as_tuple)
    method = "task" if step.kind == "async" else step.kind
    return getattr(pipeline, method)(FUNCTIONS[step.kind](f"{step.kind}{number}", step.fails), **options)
