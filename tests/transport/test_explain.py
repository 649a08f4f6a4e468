"""What in an item cannot be pickled."""

from __future__ import annotations

import dataclasses
import functools
import socket
import threading

import numpy as np
import pytest

from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.explain import explain_unpicklable

LOCK = threading.Lock()


@dataclasses.dataclass
class Holder:
    thing: object
    other: int = 3


class Slots:
    __slots__ = ("thing",)

    def __init__(self, thing):
        self.thing = thing


class LeavesItOut:
    """Its lock is none of pickle's business; its name is."""

    def __init__(self):
        self.lock, self.sub = LOCK, Holder(LOCK)

    def __getstate__(self):
        return {"sub": self.sub}


class CannotReduce:
    def __reduce__(self):
        raise RuntimeError("not me")


class Wicked:
    def __reduce__(self):
        raise RuntimeError("not me")

    def __repr__(self):
        raise RuntimeError("not a word")

    def __getattribute__(self, name):
        raise RuntimeError("nothing at all")


class MyList(list):
    pass


def uses_global():
    return LOCK


def deep():
    item = []
    for _ in range(100_000):
        item = [item]
    return item


def closure(thing):
    return lambda x: (x, thing)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"a": 1, "lock": LOCK}, "item['lock'] is a _thread.lock: cannot pickle '_thread.lock' object"),
        ([*range(1000), (1, [LOCK])], "item[1000][1][0] is a _thread.lock"),
        (Holder(Holder({"x": LOCK})), "item.thing.thing['x'] is a _thread.lock"),
        (Slots([LOCK]), "item.thing[0] is a _thread.lock"),
        (LeavesItOut(), "item.sub.thing is a _thread.lock"),
        (MyList([1, LOCK]), "item[1] is a _thread.lock"),
        (CannotReduce(), "item is a tests.transport.test_explain.CannotReduce: not me"),
        ([1, (i for i in ())], "item[1] is a generator: cannot pickle 'generator' object"),
        (closure({"k": LOCK}), "item uses 'thing', which['k'] is a _thread.lock"),
        (functools.partial(max, LOCK), "item.args[0] is a _thread.lock"),
        (Holder(LOCK).__eq__, "item.__self__.thing is a _thread.lock"),
        (ValueError("a", LOCK), "item argument 1 is a _thread.lock"),
        (np.array([1, LOCK], object), "is a _thread.lock"),
        (deep(), "item is a list: it is nested too deeply"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_the_guilty_part_is_named(item, says):
    """A path from the item to what cannot be pickled, its type, and what pickle says."""
    assert says in explain_unpicklable(item)


def test_a_functions_globals_are_looked_at():
    """A function by value takes along the globals it names."""
    local = type(uses_global)(uses_global.__code__, globals(), "local")
    local.__qualname__ = "<locals>.local"
    assert "task uses 'LOCK', which is a _thread.lock" in explain_unpicklable(local, "task")


def test_the_path_begins_where_the_caller_says():
    """``result``, ``item``, ``load``: the name is given."""
    with socket.socket() as sock:
        assert explain_unpicklable(Holder(sock), "result") == "result.thing is a socket.socket: cannot pickle 'socket' object"


def test_nothing_is_said_of_what_pickles():
    """An empty string, and no definition is given out on the way."""
    given = []

    class Local:
        pass

    by_value = ByValue(lambda uid, blob: given.append(uid))
    assert explain_unpicklable([Local(), 1, lambda: 2], by_value=by_value) == ""
    assert not given
    by_value.dumps(Local())
    assert len(given) == 1


def test_explaining_never_raises():
    """The worst object is named by its type."""
    assert "Wicked" in explain_unpicklable(Wicked())
    assert "item[0]" in explain_unpicklable([Wicked()])


def test_explaining_is_bounded():
    """Large data beside the guilty part are not pickled to their end."""
    assert "item['lock']" in explain_unpicklable({"big": [bytes(1 << 20)] * 1000, "lock": LOCK})
    assert "item['lock']" in explain_unpicklable({"lock": LOCK, "array": np.zeros(10**8, "u1")})
