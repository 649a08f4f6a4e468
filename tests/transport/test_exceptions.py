"""Exceptions that cross a process border."""

from __future__ import annotations

import builtins
import pickle
import sys
import threading
from dataclasses import dataclass
from typing import Generic, TypeVar

import pytest

from olympipe_ng.errors import StageError
from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.exceptions import MOST, dump_exception, load_exception
from olympipe_ng.transport.rebuilding import reduce_exception
from tests.transport.peer import Peer

T = TypeVar("T")


class TwoArguments(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.b = b


class WordsItself(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


class OfTheSystem(OSError):
    def __init__(self, number, where):
        super().__init__(number, "gone", where)
        self.where = where


class WithProperty(Exception):
    def __init__(self, *, detail):
        super().__init__(detail)
        self._detail = detail

    @property
    def detail(self):
        return self._detail


class WithSlots(Exception):
    __slots__ = ("code",)

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class GivesItsCode(SystemExit):
    def __init__(self, why):
        super().__init__(why)
        self.code = 3


class GivesItsNumber(FileNotFoundError, ValueError):
    def __init__(self, why, number=2, path="there"):
        super().__init__(why)
        self.errno, self.strerror, self.filename = number, why, path


class NoFileAtAll(ValueError, OSError):
    def __init__(self, number, why):
        super().__init__(number, why)


class Abstract(Exception, Generic[T]):
    def __init__(self, a, b):
        super().__init__(a)
        self.b = b


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class CannotRebuild(Exception):
    def __reduce__(self):
        return (sys.exit, (3,))


class CannotSpeak(Exception):
    def __str__(self):
        raise KeyError("speechless")


def noted():
    error = ValueError("a", 1)
    error.__notes__ = ["look here"]
    return error


def decoding():
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")


WHOLE = [
    ValueError("a", 1), KeyError("k"), OSError(2, "no", "file"), TwoArguments(1, 2), WordsItself(3), OfTheSystem(2, "there"),
    WithProperty(detail="d"), SystemExit(3), KeyboardInterrupt(), StopIteration(4), GeneratorExit(), StopAsyncIteration(),
    ImportError("i", name="n", path="p"), decoding(), SyntaxError("s", ("f", 1, 2, "t")), MemoryError(), RecursionError("deep"), noted(),
    CannotSpeak("x"), StageError("m", stage="2 'resize'", index=7), GivesItsCode("why"), GivesItsNumber("why"), NoFileAtAll(2, "no"),
    Abstract(1, 2), Frozen(3),
]  # fmt: skip


@pytest.mark.parametrize("error", WHOLE, ids=lambda error: type(error).__name__)
def test_an_exception_arrives_whole(error):
    """Its type, arguments, text and state, whatever its ``__init__`` takes."""
    back = load_exception(dump_exception(error))
    assert type(back) is type(error)
    assert back.args == error.args
    assert vars(back) == vars(error)
    assert isinstance(error, CannotSpeak) or str(back) == str(error)
    assert fields(back) == fields(error)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("error", [*WHOLE, WithSlots(3)], ids=lambda error: type(error).__name__)
def test_an_exception_that_is_an_item_arrives_whole(error, full):
    """As one that is raised does; it need not be the item itself."""
    (back,) = pickle.loads(ByValue().dumps([error], full=full))
    assert type(back) is type(error)
    assert back.args == error.args
    assert vars(back) == vars(error)
    assert fields(back) == fields(error)
    assert isinstance(error, CannotSpeak) or str(back) == str(error)


def fields(error):
    return [getattr(error, name, None) for name in ("code", "errno", "strerror", "filename", "value", "name", "path", "lineno", "reason")]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with 3.11")
def test_a_group_arrives_with_its_exceptions():
    """Those of a group are rebuilt as well as those that stand alone."""
    inner = builtins.ExceptionGroup("inner", [WordsItself(3), TwoArguments(1, 2)])
    back = load_exception(dump_exception(builtins.BaseExceptionGroup("outer", [inner, KeyboardInterrupt()])))
    words, two = back.exceptions[0].exceptions
    assert str(back.exceptions[0]) == "inner (2 sub-exceptions)"
    assert (str(words), words.code, two.args, two.b) == ("code 3", 3, (1,), 2)
    assert type(back.exceptions[1]) is KeyboardInterrupt


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with 3.11")
@pytest.mark.parametrize("full", [False, True])
def test_a_group_arrives_whatever_its_new_takes(full):
    """As Python's documentation advises: with ``__new__`` and ``derive`` of its own."""

    def make(cls, errors, status):
        self = builtins.ExceptionGroup.__new__(cls, f"status {status}", errors)
        self.status = status
        return self

    kind = type("Errors", (builtins.ExceptionGroup,), {"__new__": make, "__module__": __name__})
    error = kind([TwoArguments(1, 2)], 3)
    (item,) = pickle.loads(ByValue().dumps([error], full=full))
    for back in (item, load_exception(dump_exception(error))):
        assert (type(back), str(back), back.status) == (kind, "status 3 (1 sub-exception)", 3)
        assert (len(back.exceptions), back.exceptions[0].b, back.args[1]) == (1, 2, 3)


def test_an_exception_made_in_c_is_left_to_pickle():
    """What such a class keeps is for it to say."""

    class Wrapper(SystemExit):
        __init__ = BaseException.__init__  # stands for one made in C

    assert reduce_exception(Wrapper("x")) is NotImplemented


def test_an_exception_that_would_not_arrive_is_none():
    """The object comes whole or not at all: unpicklable state, a reduction that does something else."""
    locked = ValueError("x")
    locked.lock = threading.Lock()
    assert dump_exception(locked) is None
    assert dump_exception(ValueError(threading.Lock())) is None
    assert type(load_exception(dump_exception(CannotRebuild("x")))) is CannotRebuild
    assert load_exception(b"nonsense") is None


def test_a_huge_exception_is_none():
    """A message has room for many exceptions, not for one that holds a file."""
    assert dump_exception(ValueError("big", bytes(MOST))) is None
    assert load_exception(dump_exception(ValueError("large", bytes(MOST - 1000)))).args[0] == "large"
    assert load_exception(pickle.dumps("no exception")) is None


def test_a_local_exception_comes_home_as_the_callers_own():
    """Also one that only the robust way carries."""

    class Local(Exception):
        def __init__(self, a, b):
            super().__init__(a)
            self.b = b

    def work(item):
        try:
            raise Local(item, 2)
        except Local as error:
            return dump_exception(error, ByValue())

    # the peer's own ByValue defines to nobody; the caller knows its class by number
    with Peer(work) as peer:
        back = load_exception(peer.ask(1)[0])
        assert type(back) is Local
        assert (back.args, back.b) == ((1,), 2)
