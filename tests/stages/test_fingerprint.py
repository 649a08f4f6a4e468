"""What tells one cached function, and one item, from another."""

from __future__ import annotations

import functools
import json
import sys
import threading
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympipe_ng.stages.fingerprint import Code, digest


def defined(text: str, name: str = "f", module: str = "__main__") -> Any:
    """Run a user's program and take one function out of it."""
    space: dict[str, Any] = {"__name__": module}
    exec(compile(text, "user.py", "exec"), space)
    return space[name]


def of(text: str, name: str = "f") -> str:
    return digest(Code(defined(text, name)))


PROGRAM = "SCALE = 3\ndef helper(x): return x * SCALE\ndef f(x, y=1): return helper(x) + y"


@pytest.mark.parametrize(
    "changed",
    [
        PROGRAM.replace("+ y", "- y"),
        PROGRAM.replace("+ y", "+ y + 1"),
        PROGRAM.replace("y=1", "y=2"),
        PROGRAM.replace("x * SCALE", "x + SCALE"),
        PROGRAM.replace("SCALE = 3", "SCALE = 4"),
        PROGRAM.replace("SCALE = 3", "SCALE = 3.0"),
        PROGRAM.replace("def helper", "import functools\n@functools.lru_cache\ndef helper").replace("x * SCALE", "x + SCALE"),
    ],
)
def test_a_change_of_what_the_function_does_is_seen(changed: str) -> None:
    """Code, constants, defaults, the local functions it uses and their constants."""
    assert of(changed) != of(PROGRAM)


@pytest.mark.parametrize(
    "same",
    [
        "\n\n# moved\n" + PROGRAM,
        PROGRAM.replace("def f", "def unused(): pass\ndef f"),
        PROGRAM + "\nOTHER = 5",
    ],
)
def test_what_does_not_concern_it_is_not_seen(same: str) -> None:
    """Moving a function, or adding beside it, keeps its results."""
    assert of(same) == of(PROGRAM)


@pytest.mark.parametrize("text", ["def f(x): return x.name", "def f(x):\n def g(y): return y.name\n return g(x)", "def f(x): x.name = 2"])
def test_a_name_of_the_module_that_is_only_an_attribute_here_does_not_count(text: str) -> None:
    """It is no use of it, and where the function came by value the name is there or not as the other stages need it."""
    assert of("name = 'a'\n" + text) == of("name = 'b'\n" + text) == of(text)
    assert of("name = 'a'\ndef f(x): return x.name, name") != of("name = 'b'\ndef f(x): return x.name, name")
    assert of("name = 'a'\ndef f(x):\n class L: y = name") != of("name = 'b'\ndef f(x):\n class L: y = name")


def test_functions_that_call_each_other_come_to_an_end() -> None:
    """Recursion is no trap, and a change anywhere in it is seen."""
    text = "def f(x): return x and g(x - 1)\ndef g(x): return x and f(x - 1) + 1"
    assert of(text) != of(text.replace("+ 1", "+ 2"))
    assert of("def f(x): return x and f(x - 1)") == of("def f(x): return x and f(x - 1)")


def test_the_methods_of_classes_it_names_count() -> None:
    """Plain, static, class methods and properties."""
    text = "class A:\n  @{0}\n  def m(self): return {1}\ndef f(x): return A"
    for kind in ("staticmethod", "classmethod", "property", "__import__('functools').cached_property", "__import__('functools').cache"):
        assert of(text.format(kind, 1)) != of(text.format(kind, 2))


def test_the_order_of_a_classes_methods_does_not_count() -> None:
    """In a worker to which the class went by value it is another; the results are those of a forked one all the same."""
    text = "class C:\n    def second(self, x): return x\n    def first(self, x): return x + 1\ndef f(x): return C().second(x)"
    moved = "class C:\n    def first(self, x): return x + 1\n    def second(self, x): return x\ndef f(x): return C().second(x)"
    assert of(text) == of(moved)


def test_inner_functions_and_closures_count() -> None:
    """What a lambda inside uses, and what a closure holds."""
    inner = "def h(x): return {0}\ndef f(x): return [h(y) for y in x], lambda: h(x)"
    assert of(inner.format(1)) != of(inner.format(2))

    def scaled(by: Any) -> Any:
        return lambda x: x * by

    assert digest(Code(scaled(2))) == digest(Code(scaled(2)))
    assert digest(Code(scaled(2))) != digest(Code(scaled(3)))


def test_a_closure_over_a_lock_counts_by_its_type() -> None:
    """What has no content is no reason to fail, and does not differ from run to run."""

    def guarded() -> Any:
        lock = threading.Lock()
        return lambda x: lock and x

    assert digest(Code(guarded())) == digest(Code(guarded()))


def test_partials_methods_and_objects_count_with_what_they_hold() -> None:
    """The state of a callable is part of what it does."""

    class Scale:
        def __init__(self, by: int) -> None:
            self.by = by

        def __call__(self, x: int) -> int:
            return x * self.by

        def apply(self, x: int) -> int:
            return x * self.by

    for make in (lambda by: functools.partial(pow, by), Scale, lambda by: Scale(by).apply):
        assert digest(Code(make(2))) == digest(Code(make(2)))
        assert digest(Code(make(2))) != digest(Code(make(3)))


def test_builtins_of_one_name_differ() -> None:
    """The module belongs to the name."""
    import cmath
    import math

    assert len({digest(Code(fn)) for fn in (math.sqrt, cmath.sqrt, len)}) == 3


def test_a_library_counts_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code is not looked into; ``version=`` is for that."""
    text = "import json\ndef f(x): return json.dumps(x)"
    before = of(text)
    assert before != of(text.replace("dumps", "loads"))
    monkeypatch.setattr(json.dumps, "__code__", (lambda *args, **kwargs: "").__code__)
    assert before == of(text)


def test_a_module_of_the_users_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """``helpers.scale(x)`` counts with the code of ``scale``, and not with the rest of the module."""
    digests = []
    for by, other in ((2, 1), (2, 9), (3, 1)):
        module = type(sys)("helpers")
        exec(f"def scale(x): return x * {by}\ndef other(x): return {other}", module.__dict__)
        module.__file__ = "/home/user/helpers.py"
        monkeypatch.setitem(sys.modules, "helpers", module)
        digests.append(of("import helpers\ndef f(x): return helpers.scale(x)"))
    assert digests[0] == digests[1] != digests[2]


def test_a_function_that_came_by_value_is_the_same() -> None:
    """A worker that was started clean finds what a forked one stored."""
    function = defined(PROGRAM)
    assert digest(Code(cloudpickle.loads(cloudpickle.dumps(function)))) == digest(Code(function))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(values, values)
def test_equal_values_and_only_they_have_one_digest(a: Any, b: Any) -> None:
    """As far as their types are equal too: 1, 1.0 and True are three items."""
    assert (digest(a) == digest(b)) == (repr(a) == repr(b))


def test_the_order_of_a_set_and_the_identity_of_parts_do_not_count() -> None:
    """Only content does."""
    words = [f"word{n}" for n in range(50)]
    assert digest(set(words)) == digest({*words[::-1]})
    one = [1]
    assert digest([one, one]) == digest([[1], [1]])
    assert digest([1, [2]]) != digest([[1], 2])
    assert digest("a", "b") != digest("ab")


def test_arrays_and_objects_count_with_their_content() -> None:
    """Shape, type and values of an array; the state of an object."""
    assert digest(np.arange(6)) == digest(np.arange(6))
    different = [np.arange(6), np.arange(6.0), np.arange(6).reshape(2, 3), np.arange(7), np.float32(1), np.float64(1)]
    assert len(set(map(digest, different))) == len(different)
    assert digest(Thing(1)) == digest(Thing(1)) != digest(Thing(2))
    assert digest(range(3)) != digest(range(4))
    assert digest(1 + 2j) != digest(3 + 0j)


class Thing:
    def __init__(self, value: Any) -> None:
        self.value = value


def test_a_value_that_holds_itself_comes_to_an_end() -> None:
    """Cycles are seen as such."""
    a: list[Any] = [1]
    a.append(a)
    b: list[Any] = [2]
    b.append(b)
    assert digest(a) != digest(b)
    assert digest(a) == digest(a)
