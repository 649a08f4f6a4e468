"""What a type checker knows of a pipeline; checked by ``mypy --strict``, never run (see ``test_typing.py``)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any, TypeGuard

from typing_extensions import TypeIs, Unpack, assert_type

from olympipe_ng import DROP, Drop, Failure, Pipeline, Results, Run, RunReport, StageOptions
from olympipe_ng.statistics import Statistics

ints = Pipeline([1, 2, 3])
words = Pipeline(["a", "b"])


def to_text(x: int) -> str:
    return str(x)


def to_float(x: int) -> float:
    return float(x)


async def fetch(x: int) -> bytes:
    return bytes(x)


def even_only(x: int) -> int | Drop:
    return x if x % 2 == 0 else DROP


async def fetch_some(x: int) -> bytes | Drop:
    return bytes(x) if x else DROP


# sources


def read_lines() -> Iterator[str]:
    yield "line"


async def listen() -> AsyncIterator[bytes]:
    yield b""


class Photos:
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int, /) -> bytes:
        return b""


assert_type(ints, Pipeline[int])
assert_type(Pipeline(range(3)), Pipeline[int])
assert_type(Pipeline(iter("abc")), Pipeline[str])
assert_type(Pipeline(read_lines), Pipeline[str])
assert_type(Pipeline(read_lines()), Pipeline[str])
assert_type(Pipeline(listen), Pipeline[bytes])
assert_type(Pipeline(listen()), Pipeline[bytes])
assert_type(Pipeline(Photos()), Pipeline[bytes])
assert_type(Pipeline(Photos), Pipeline[bytes])
assert_type(Pipeline({"a": 1}.items()), Pipeline[tuple[str, int]])

# a pipeline of ints is a pipeline of floats: it is immutable
floats: Pipeline[float] = ints

# task

assert_type(ints.task(to_text), Pipeline[str])
assert_type(ints.task(lambda x: x * 1.5), Pipeline[float])
assert_type(ints.task(lambda x: [x]), Pipeline[list[int]])
assert_type(ints.task(str), Pipeline[str])
assert_type(ints.task(to_text, 2), Pipeline[str])
assert_type(ints.task(to_text, count="auto", retries=2, timeout=3.0, name="text"), Pipeline[str])
assert_type(ints.task(fetch), Pipeline[bytes])
assert_type(ints.task(fetch, concurrency=8), Pipeline[bytes])
assert_type(ints.task(even_only), Pipeline[int])
assert_type(ints.task(fetch_some), Pipeline[bytes])
assert_type(ints.task(to_text, on_error="skip"), Pipeline[str])
assert_type(ints.task(to_text, 2, lambda item, error: None), Pipeline[str])
assert_type(ints.task(to_text, on_error="branch"), tuple[Pipeline[str], Pipeline[Failure[int]]])
assert_type(ints.task(fetch, on_error="branch"), tuple[Pipeline[bytes], Pipeline[Failure[int]]])
ints.task(len)  # type: ignore[arg-type]
words.task(to_text)  # type: ignore[arg-type]
ints.task(to_text, cont=2)  # type: ignore[call-overload]
ints.task(to_text, retries="two")  # type: ignore[call-overload]
ints.task(to_text, on_error="ignore")  # type: ignore[call-overload]


def in_house(pipeline: Pipeline[int], **options: Unpack[StageOptions]) -> Pipeline[str]:
    return pipeline.tap(print, **options).task(to_text, 2, **options)


# starmap, filter, explode, tap


def area(width: int, height: float) -> float:
    return width * height


async def late_area(width: int, height: float) -> float:
    return width * height


def is_text(x: object) -> TypeGuard[str]:
    return isinstance(x, str)


def is_number(x: int | str) -> TypeIs[int]:
    return isinstance(x, int)


async def is_wanted(x: int) -> bool:
    return True


async def parts(x: int) -> list[str]:
    return []


def parts_or_drops(x: int) -> Iterator[str | Drop]:
    yield DROP


def parts_or_none(x: int) -> list[str] | Drop:
    return DROP


async def late_parts(x: int) -> AsyncIterator[str | Drop]:
    yield DROP


async def late_parts_or_none(x: int) -> list[str | Drop] | Drop:
    return DROP


sizes = Pipeline([(1, 2.0)])
mixed: Pipeline[int | str] = Pipeline([1, "a"])
maybe: Pipeline[int | None] = Pipeline([1, None])
assert_type(sizes.starmap(area), Pipeline[float])
assert_type(sizes.starmap(late_area, count=2), Pipeline[float])
assert_type(sizes.starmap(area, on_error="branch"), tuple[Pipeline[float], Pipeline[Failure[tuple[int, float]]]])
ints.starmap(area)  # type: ignore[arg-type, misc]
assert_type(ints.filter(lambda x: x > 1), Pipeline[int])
assert_type(ints.filter(is_wanted), Pipeline[int])
assert_type(mixed.filter(is_text), Pipeline[str])
assert_type(mixed.filter(is_number), Pipeline[int])
assert_type(mixed.filter(is_text, on_error="branch"), tuple[Pipeline[str], Pipeline[Failure[int | str]]])
assert_type(mixed.filter(is_number, on_error="branch"), tuple[Pipeline[int], Pipeline[Failure[int | str]]])
assert_type(maybe.filter(), Pipeline[int])
assert_type(ints.filter(lambda x: x > 1, on_error="branch"), tuple[Pipeline[int], Pipeline[Failure[int]]])
assert_type(words.explode(str.split), Pipeline[str])
assert_type(Pipeline([[1], [2]]).explode(), Pipeline[int])
assert_type(ints.explode(range), Pipeline[int])
assert_type(ints.explode(parts), Pipeline[str])
assert_type(ints.explode(range, on_error="branch"), tuple[Pipeline[int], Pipeline[Failure[int]]])
assert_type(ints.explode(parts_or_drops), Pipeline[str])
assert_type(ints.explode(parts_or_none), Pipeline[str])
assert_type(ints.explode(late_parts), Pipeline[str])
assert_type(ints.explode(late_parts_or_none, on_error="branch"), tuple[Pipeline[str], Pipeline[Failure[int]]])
ints.explode()  # type: ignore[call-overload]
assert_type(ints.tap(print), Pipeline[int])

# class_task, cached_task


class Model:
    def __init__(self, device: str = "cpu") -> None: ...
    def predict(self, x: int) -> str:
        return ""

    async def ask(self, x: int) -> bytes:
        return b""

    def release(self) -> None: ...


assert_type(ints.class_task(Model, Model.predict), Pipeline[str])
assert_type(ints.class_task(Model, Model.predict, ["cuda"], Model.release, None, 2, stateful=True, retries=1), Pipeline[str])
assert_type(ints.class_task(Model, Model.ask), Pipeline[bytes])
assert_type(ints.class_task(Model, Model.predict, on_error="branch"), tuple[Pipeline[str], Pipeline[Failure[int]]])
words.class_task(Model, Model.predict)  # type: ignore[arg-type]
assert_type(ints.cached_task(to_text, "cache", 2, key=str, version=3), Pipeline[str])
assert_type(ints.cached_task(fetch, "cache"), Pipeline[bytes])
assert_type(ints.cached_task(to_text, "cache").uncache(), Pipeline[str])
assert_type(ints.cached_task(even_only, "cache"), Pipeline[int])
assert_type(ints.cached_task(fetch_some, "cache", on_error="branch"), tuple[Pipeline[bytes], Pipeline[Failure[int]]])

# many items


def add_even(x: int, total: float) -> float | Drop:
    return x + total if x % 2 == 0 else DROP


def tell(total: float) -> list[str | Drop]:
    return [str(total), DROP]


assert_type(ints.batch(32), Pipeline[list[int]])
assert_type(ints.batch(32, False, within=0.5), Pipeline[list[int]])
assert_type(ints.temporal_batch(1.0), Pipeline[list[int]])
assert_type(ints.window(3, step=2), Pipeline[tuple[int, ...]])
assert_type(words.bucket(len, 8), Pipeline[list[str]])
assert_type(ints.reduce("", lambda x, text: text + str(x)), Pipeline[str])
assert_type(ints.scan(0.0, lambda x, total: total + x), Pipeline[float])
assert_type(words.checkpoint(0, lambda word, n: n + len(word), range), Pipeline[int])
assert_type(words.wait_and_reduce(0, lambda word, n: n + len(word)), int)
assert_type(ints.reduce(0.0, add_even), Pipeline[float])
assert_type(ints.scan(0.0, add_even), Pipeline[float])
assert_type(ints.checkpoint(0.0, add_even, tell), Pipeline[str])
assert_type(ints.wait_and_reduce(0.0, add_even), float)

# the flow

assert_type(ints.limit(3).skip(1).latest(2).timeout(1.0, error=True).throttle(10), Pipeline[int])
assert_type(ints.unique().unique(abs).shuffle(100, seed=1).repeat(2).debug(), Pipeline[int])
assert_type(ints.enumerate(), Pipeline[tuple[int, int]])
assert_type(ints.batch(2).options(engine="inline", seed=3), Pipeline[list[int]])
ints.options(engin="inline")  # type: ignore[call-arg]
ints.options(engine="proces")  # type: ignore[arg-type]


def show(statistics: Statistics) -> None: ...


ints.options(progress=show).options(progress=2.5).options(progress=lambda statistics: assert_type(statistics.done, int))
ints.options(progress=to_text)  # type: ignore[arg-type]


def in_pairs(pipeline: Pipeline[int], n: int) -> Pipeline[list[int]]:
    return pipeline.batch(2).limit(n)


assert_type(ints.pipe(in_pairs, 3), Pipeline[list[int]])
ints.pipe(in_pairs, "three")  # type: ignore[arg-type]

# branches


def route(x: int) -> tuple[int | None, str | None]:
    return (x, None)


def route_with_drop(x: int) -> tuple[int | Drop, bytes | Drop | None, float]:
    return (x, DROP, 1.0)


async def late_route(x: int) -> tuple[int | None, str | None]:
    return (x, None)


def route_anyhow(x: int) -> Any: ...


def route_listed(x: int) -> list[int]:
    return []


assert_type(ints.split(route), tuple[Pipeline[int], Pipeline[str]])
assert_type(ints.split(route, 2), tuple[Pipeline[int], Pipeline[str]])
assert_type(ints.split(late_route), tuple[Pipeline[int], Pipeline[str]])
assert_type(ints.split(route_with_drop), tuple[Pipeline[int], Pipeline[bytes], Pipeline[float]])
one, other = ints.split(lambda x: (x, str(x)), n=2)  # mypy takes what a lambda returns for Any here: allowed, and not known
assert_type(ints.split(route_listed, n=3), tuple[Pipeline[Any], Pipeline[Any], Pipeline[Any]])
small, large = ints.split(route_listed, 2)
assert_type(ints.gather(ints), Pipeline[int])
assert_type(ints.gather(words), Pipeline[int | str])
assert_type(ints.merge(words), Pipeline[int | str])
assert_type(ints.zip(words), Pipeline[tuple[int, str]])
assert_type(ints.zip(words, floats), Pipeline[tuple[int, str, float]])
assert_type(ints.zip(*[words, words]), Pipeline[tuple[Any, ...]])
assert_type(ints.rejoin(words), Pipeline[tuple[int, str]])
assert_type(ints.rejoin(words, missing=None), Pipeline[tuple[int | None, str | None]])

# terminals

assert_type(ints.wait_for_result(), Results[int])
assert_type(ints.wait_for_result().report, RunReport)
assert_type(ints.wait_for_results([words]), Results[list[Any]])
assert_type(Pipeline.wait_for_all_results([ints, ints.limit(2)]), Results[list[int]])
numbers, texts = Pipeline.wait_for_all_results((ints, words))
assert_type(numbers, list[int])
assert_type(texts, list[str])
assert_type(Pipeline.wait_for_all_results((ints, words)).errors, list[str])
assert_type(ints.wait_for_completion(), RunReport)
assert_type(list(ints), list[int])
assert_type(ints.preview(2), list[int])
assert_type(ints[7], int)
assert_type(ints[2:5], list[int])
assert_type(len(ints), int)
assert_type(ints.explain(), str)
with ints.start([words]) as run:
    assert_type(run, Run[int])


async def read() -> None:
    async for item in ints.task(fetch):
        assert_type(item, bytes)


def awaited(x: int) -> Awaitable[str]:
    return asyncio.sleep(1, "")


assert_type(ints.task(awaited), Pipeline[str])

# what is no method is no method

ints.tasks(to_text)  # type: ignore[attr-defined]
ints.queues  # type: ignore[attr-defined] # noqa: B018
