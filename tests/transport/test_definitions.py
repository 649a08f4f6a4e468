"""Definitions of classes: each is given out once, before the items that need it, and learned as a whole."""

from __future__ import annotations

import marshal
import pickle
import threading

import pytest

from olympipe_ng.transport import by_value as module
from olympipe_ng.transport.by_value import ByValue, learn, loads_graph, lookup


def test_a_class_is_defined_once_and_before_its_items():
    """Definitions come in add, once for each class, also those that the class needs."""
    defined = {}

    class A:
        pass

    class B(A):
        def other(self):
            return C()

    class C:
        def other(self):
            return B()

    by_value = ByValue(defined.__setitem__)
    assert len(by_value.dumps([B(), B()])) < 400
    assert len(defined) == 3
    by_value.dumps([A(), B(), C()])
    assert len(defined) == 3


def test_a_class_that_cannot_be_pickled_is_not_half_defined():
    """All of a definition's classes are given out, or none; once it can be pickled, it is."""
    defined = {}

    class A:
        lock = threading.Lock()

        def other(self):
            return B()

    class B:
        def other(self):
            return A()

    by_value = ByValue(defined.__setitem__)
    for kind in (A, B, A):
        with pytest.raises(TypeError, match="lock"):
            by_value.dumps(kind())
    assert not defined
    del A.lock
    by_value.dumps(B())
    assert len(defined) == 2


def test_learning_never_touches_ones_own_class():
    """A definition of a class that this process has is not loaded over it."""
    defined = {}

    class Own:
        def method(self):
            return 1

    method = Own.method
    data = ByValue(defined.__setitem__).dumps(Own())
    for uid, blob in defined.items():
        learn(uid, blob)
    assert type(pickle.loads(data)) is Own
    assert Own.method is method
    loads_graph(ByValue().dumps_graph(Own))
    assert Own.method is method
    module.forget(defined)


def test_an_unknown_number_is_an_error_that_says_so():
    """A definition that never came is named."""
    with pytest.raises(LookupError, match="no definition of the class numbered zz"):
        lookup("zz")


def test_classes_are_learned_by_many_threads_at_once():
    """Nobody sees a class that is half loaded."""
    defined = {}

    def scope():
        class Deep:
            def __init__(self):
                self.other = Other()

            def again(self):
                return Deep

        class Other:
            def deep(self):
                return Deep

        for number in range(200):
            setattr(Deep, f"m{number}", lambda self, n=number: n)
        return Deep()

    data = ByValue(defined.__setitem__).dumps(scope())
    for uid, blob in defined.items():
        learn(uid, blob)
    for tracked in list(defined):
        module.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.pop(tracked, None)
    seen = []
    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=lambda: (barrier.wait(), seen.append(pickle.loads(data).m199()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [199] * 8
    module.forget(defined)


def test_a_definition_that_fails_to_load_fails_each_time():
    """The half of a class that a failing definition leaves is never taken for it."""
    uid = "of-a-broken-class"
    broken = pickle.dumps([]).replace(b"]", b"") + b"nonsense"
    learn(uid, broken)
    for _ in range(2):
        with pytest.raises(Exception, match=r".*"):
            lookup(uid)
    module.forget([uid])
    with pytest.raises(LookupError):
        lookup(uid)


PROGRAM = """
import threading
CONST, lock, method, inner = 7, threading.Lock(), threading.Lock(), 3
def f(x):
    class Local:
        y = CONST + x
        def method(self): return method
        again = method
        class Deeper:
            z: inner = CONST
    return Local.y, Local.Deeper.z
def g(x):
    return lambda: f(x)
"""


@pytest.mark.parametrize("dumps", [ByValue().dumps_graph, lambda each: marshal.dumps(([], [], ByValue().dumps(each, full=True)))])
def test_a_function_takes_along_what_the_classes_within_it_read(dumps):
    """Their bodies look names up in the module; those that they define themselves are no such names."""
    space = {"__name__": "nowhere_to_be_found"}
    exec(PROGRAM.replace("return method", "return 0"), space)
    assert loads_graph(dumps(space["f"]))(1) == (8, 7)
    assert loads_graph(dumps(space["g"]))(1)() == (8, 7)
