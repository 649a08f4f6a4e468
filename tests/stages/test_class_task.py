from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from olympipe_ng import Pipeline
from olympipe_ng.stages import ClassTask
from olympipe_ng.stages.contract import Arity, ItemTransform
from tests.fakes import FakeContext
from tests.stages.driving import applied, refused

if TYPE_CHECKING:
    from olympipe_ng.options import StartMethod


class Adder:
    made = 0

    def __init__(self, amount: int = 1, *, log: list[str] | None = None) -> None:
        type(self).made += 1
        self.amount = amount
        self.log = [] if log is None else log

    def add(self, item: int) -> int:
        return item + self.amount

    also_add = add

    async def add_later(self, item: int) -> int:
        return item + self.amount

    @staticmethod
    def negate(item: int) -> int:
        return -item

    @classmethod
    def named(cls, item: int) -> str:
        return f"{cls.__name__}{item}"

    def close(self) -> None:
        self.log.append("closed")

    async def close_later(self) -> None:
        self.log.append("closed later")


class Tripler(Adder):
    def add(self, item: int) -> int:
        return 3 * item


def running(stage: ClassTask) -> ItemTransform:
    transform = stage.make(FakeContext())
    assert isinstance(transform, ItemTransform)
    return transform


def test_the_instance_is_made_at_setup_and_not_before() -> None:
    """Describing and making the stage construct nothing."""
    before = Adder.made
    transform = running(ClassTask(Adder, Adder.add, [5]))
    assert Adder.made == before
    transform.setup()
    assert Adder.made == before + 1
    assert transform.apply(1) == 6


@pytest.mark.parametrize(
    ("method", "result"),
    [
        (Adder.add, 2),
        (Adder.also_add, 2),
        (Adder.negate, -1),
        (Adder.named, "Adder1"),
        (lambda adder, item: (adder.amount, item), (1, 1)),
    ],
)
def test_any_method_of_the_class_may_be_given(method: Any, result: Any) -> None:
    """Methods, static and class methods, aliases and foreign functions act as Python users expect."""
    assert applied(ClassTask(Adder, method), [1], Arity.ONE) == [result]


def test_an_override_is_obeyed() -> None:
    """``Base.method`` of a subclass's instance is the subclass's."""
    assert applied(ClassTask(Tripler, Adder.add), [5], Arity.ONE) == [15]
    assert applied(ClassTask(Adder, Adder.add), [5], Arity.ONE) == [6]


class ByKind:
    def __init__(self, unit: str) -> None:
        self.unit = unit

    @functools.singledispatchmethod
    def told(self, item: object) -> str:
        return f"any {self.unit}"

    @told.register
    def _(self, item: int) -> str:
        return f"int {self.unit}"


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_method_that_dispatches_looks_at_the_item(start_method: StartMethod) -> None:
    """As ``instance.told(item)`` does: ``ByKind.told`` by itself would take the instance for the item."""
    local: type[ByKind] = type("Local", (ByKind,), {})
    assert applied(ClassTask(ByKind, ByKind.told, ["m"]), [5, "x"], Arity.ONE) == ["int m", "any m"]
    for kind in (ByKind, local):
        told = Pipeline([5, "x"], start_method=start_method).class_task(kind, kind.told, ["m"]).wait_for_result()
        assert told == ["int m", "any m"]


def test_the_instance_of_a_factory_is_used() -> None:
    """Instead of a class a function may construct."""

    def make() -> Adder:
        return Tripler()

    assert applied(ClassTask(make, Adder.add), [5], Arity.ONE) == [15]


def test_arguments_are_copied_for_each_worker() -> None:
    """What one instance does to its arguments is not seen by another."""
    log: list[str] = []
    stage = ClassTask(Adder, Adder.add, (2,), Adder.close, {"log": log})
    assert applied(stage, [1], Arity.ONE) == [3]
    assert log == []


def test_the_instance_is_closed_once() -> None:
    """``close_method`` is called on the instance, and never a second time."""
    logs: list[list[str]] = []

    class Logged(Adder):
        def close(self) -> None:
            logs.append([*self.log, "closed"])

    transform = running(ClassTask(Logged, Logged.add, close_method=Adder.close))
    transform.setup()
    transform.close()
    transform.close()
    assert logs == [["closed"]]


def test_without_an_instance_nothing_is_closed() -> None:
    """A constructor that failed leaves nothing to close."""

    def broken() -> Adder:
        raise OSError("no camera")

    transform = running(ClassTask(broken, Adder.add, close_method=Adder.close))
    with pytest.raises(OSError, match="no camera"):
        transform.setup()
    assert transform.close() is None


def test_constructor_method_and_close_may_be_async() -> None:
    """What is awaitable is handed to the worker to await."""
    made: list[Adder] = []

    async def connect() -> Adder:
        made.append(Adder(7))
        return made[0]

    async def use() -> int:
        stage = ClassTask(connect, Adder.add_later, close_method=Adder.close_later)
        assert stage.is_async
        transform = running(stage)
        await transform.setup()
        result: int = await transform.apply(1)
        closing = transform.close()
        assert inspect.isawaitable(closing)
        await closing
        return result

    assert asyncio.run(use()) == 8
    assert made[0].log == ["closed later"]


def test_an_overriding_async_method_makes_the_stage_async() -> None:
    """Whether it is async is asked of the method that will run."""

    class Later(Adder):
        async def add(self, item: int) -> int:  # type: ignore[override]
            return item

    assert ClassTask(Later, Adder.add).is_async
    assert not ClassTask(Adder, Adder.add).is_async


def test_a_stateful_instance_says_so() -> None:
    """Its death fails the run, and its items cannot be asked for one by one."""
    assert not ClassTask(Adder, Adder.add).stateful
    stage = ClassTask(Adder, Adder.add, stateful=True)
    assert stage.stateful
    assert not stage.one_to_one


@pytest.mark.parametrize("options", [{"max_items_per_worker": 5}, {"max_rss_per_worker": 1 << 30}])
def test_an_instance_that_accumulates_is_not_replaced_behind_its_user(options: dict[str, Any]) -> None:
    """What it has gathered would be thrown away without a word."""
    with refused(f"the instance accumulates, and {next(iter(options))} would throw it away"):
        Pipeline([1]).class_task(Adder, Adder.add, stateful=True, **options)


def test_the_label_names_class_and_method() -> None:
    """Errors say which method of which class."""
    assert ClassTask(Adder, Adder.add).label == "Adder.add"
    assert ClassTask(Adder, Adder.add).kind == "class_task"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ((3, Adder.add), "class_task needs a callable, got 3"),
        ((Adder, "add"), r"class_task needs a method of the class, such as Adder.run, got 'add'"),
        ((Adder, Adder().add), "class_task needs Adder.add, not the method of one instance"),
        ((Adder, Adder.add, "cuda"), "class_args must be a list or tuple, got 'cuda'"),
        ((Adder, Adder.add, (), None, [1]), r"class_kwargs must be a dict, got \[1\]"),
        ((Adder, Adder.add, (), 3), "class_task needs a method of the class"),
        ((Adder, Adder.add, (), None, None, 1), "stateful must be True or False, got 1"),
    ],
)
def test_mistakes_are_refused(fields: tuple[Any, ...], text: str) -> None:
    """A mistake in the graph shows on the user's line."""
    with refused(text):
        ClassTask(*fields)
