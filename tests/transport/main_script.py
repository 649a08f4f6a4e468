"""Run by test_by_value as a script: everything here is of ``__main__``, which no other process has."""

from __future__ import annotations

import abc
import collections
import dataclasses
import enum
import sys
import typing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from peer import Peer

Pair = collections.namedtuple("Pair", "a b")
T = typing.TypeVar("T")


class Shape(enum.Enum):
    ROUND = 1
    SQUARE = "s"

    def name_twice(self):
        return self.name * 2


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass(frozen=True)
class Node:
    value: int
    shape: Shape = Shape.ROUND
    children: tuple[Node, ...] = ()


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int


class Slots:
    __slots__ = ("__hidden", "a", "b")

    def __init__(self, a):
        self.a = self.__hidden = a


class Meta(type):
    def __call__(cls, *args):
        made = super().__call__(*args)
        made.by = cls.__name__
        return made


class WithMeta(metaclass=Meta):
    def __init__(self, x):
        self.x = x


class Base(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Derived(Base):
    count = 0

    def area(self):
        return super().__class__.__name__, Derived.count


class Box(typing.Generic[T]):
    def __init__(self, content: T):
        self.content = content

    class Inner:
        def outer(self):
            return Box(3)


class Left:
    def other(self):
        return Right()


class Right(Left):
    def other(self):
        return Left()


class Oops(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


class Tuple(tuple):
    pass


class Single:
    instance = None


Single.instance = Single()
LIMIT = 3


def work(item):
    if isinstance(item, Left):
        return item.other()
    if isinstance(item, Box.Inner):
        return item.outer()
    if callable(item) and not isinstance(item, type):
        return item(LIMIT)
    if item == "make":
        return [Node(1, Shape.SQUARE), Slots(1), Oops(1, 2), Shape.ROUND, Box(1), Left(), WithMeta(1)]
    if item == "class":
        return Node
    return item


def main():
    items = [
        Pair(1, 2), Shape.SQUARE, Level.LOW | Level.HIGH, Node(1, children=(Node(2),)), Slotted(3), Slots(4), WithMeta(5), Derived(),
        Box("x"), Oops(1, 2), Tuple((1, 2)), Single(), Single.instance,
    ]  # fmt: skip
    with Peer(work) as peer:
        for _ in range(2):
            for item, back in zip(items, peer.ask(*items), strict=True):
                assert type(back) is type(item), (back, type(item))
                if isinstance(item, (Pair, Shape, Level, Node, Slotted, Tuple)):
                    assert back == item
        assert peer.ask(Shape.SQUARE)[0] is Shape.SQUARE
        assert peer.ask(Slots(4))[0].a == 4
        assert peer.ask(Oops(1, 2))[0].args == (1, 2)
        assert [type(x) for x in peer.ask(Left(), Right(), Box.Inner())] == [Right, Left, Box]
        assert peer.ask("class") == [Node]
        assert peer.ask(Node, Shape, Box.Inner) == [Node, Shape, Box.Inner]
        made = peer.ask("make")[0]
        assert [type(x).__name__ for x in made] == ["Node", "Slots", "Oops", "Shape", "Box", "Left", "WithMeta"]
        assert all(isinstance(x, kind) for x, kind in zip(made, [Node, Slots, Oops, Shape, Box, Left, WithMeta], strict=True))
        assert peer.ask(lambda x: x * 2, lambda x: Node(x)) == [6, Node(3)]
        assert peer.ask(lambda x: [Derived().area(), Derived.count]) == [[("super", 0), 0]]
        assert len(peer.defined) == len(set(peer.defined)), "defined twice"
    assert Derived.count == 0
    assert Node.__init__.__globals__.get("LIMIT", 3) == 3
    assert work.__globals__ is Box.Inner.outer.__globals__ is globals(), "the caller's own classes were written to"
    print("all well")


main()
