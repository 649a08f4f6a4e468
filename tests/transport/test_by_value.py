"""Classes and functions that the other process cannot import."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest

from olympipe_ng.transport import by_value as module
from olympipe_ng.transport.adopt import adopt
from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.encoding import Encoded, Encoder, decode
from olympipe_ng.transport.importable import take_stock
from olympipe_ng.transport.wire import channel_pair
from tests.transport.peer import Peer, Speaker, identity, serve

HERE = Path(__file__).parent


class Importable_:
    """A class that other processes have."""


def through(speaker_defined, by_value, items):
    encoder = Encoder(by_value)
    encoder.extend(items)
    encoded = encoder.take()
    return list(decode(Encoded.from_wire(encoded.header(), memoryview(b"".join(encoded.segments())))))


# --------------------------------------------------------------------------------------------------------- another process


def test_what_main_defines_travels_and_comes_home():
    """Every kind of class of ``__main__`` reaches a fresh process, and its instances come back as the caller's own class."""
    done = subprocess.run([sys.executable, str(HERE / "main_script.py")], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "all well\n", done.stderr


def test_what_main_defines_travels_without_a_file():
    """The same from standard input, where there is no module to import at all."""
    source = (HERE / "main_script.py").read_text().replace("__file__", repr(str(HERE / "main_script.py")))
    done = subprocess.run([sys.executable, "-"], input=source, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "all well\n", done.stderr


def test_local_classes_travel_and_come_home():
    """Local, nested and mutually recursive classes, and exceptions, are the caller's own when their instances come back."""

    class Outer:
        class Inner:
            def up(self):
                return Outer()

        def down(self):
            return Outer.Inner()

    class Failed(Exception):
        def __init__(self, a, b):
            super().__init__(a)
            self.b = b

        def __reduce__(self):
            return (Failed, (self.args[0], self.b))

    def work(item):
        return item.down() if isinstance(item, Outer) else item.up() if isinstance(item, Outer.Inner) else Failed(item, item + 1)

    with Peer(work) as peer:
        inner, outer, failed = peer.ask(Outer(), Outer.Inner(), 1)
        assert type(inner) is Outer.Inner
        assert type(outer) is Outer
        assert type(failed) is Failed
        assert failed.b == 2


def test_a_class_that_the_other_process_made_is_defined_once():
    """The caller has no such class: it is built once, and all instances are of it."""

    def work(item):
        global Made
        if "Made" not in globals():
            Made = type("Made", (), {"twice": lambda self: self.x * 2})
        made = Made()
        made.x = item
        return made

    with Peer(work) as peer:
        first, second = peer.ask(1, 2)
        (third,) = peer.ask(3)
        assert [made.twice() for made in (first, second, third)] == [2, 4, 6]
        assert type(first) is type(second) is type(third)
        assert type(peer.ask(4)[0]) is type(first)
        assert len(peer.by_value._learned) == 1
        peer.by_value.close()


def test_a_class_per_item_does_not_fill_memory(monkeypatch):
    """Beyond a number of definitions, classes travel in their items, and still come back as one class each."""
    monkeypatch.setattr(module, "MOST_DEFINED", 3)

    def work(item):
        class Each:
            def __init__(self, x):
                self.x = x

            def again(self):
                return Each(self.x)

        return [Each(item), Each(item).again()]

    with Peer(work) as peer:
        for number in range(8):
            ((one, two),) = peer.ask(number)
            assert type(one) is type(two)
            assert one.x == two.x == one.again().x == number
        assert len(peer.by_value._learned) <= 1000
        peer.by_value.close()


def test_an_unimportable_module_travels(tmp_path):
    """Classes and functions of a module that was loaded by its path, or made at run time, reach who cannot import it."""
    path = tmp_path / "hidden_plugin.py"
    path.write_text("FACTOR = 5\nclass Thing:\n    def __init__(self, x): self.x = x * FACTOR\ndef make(x): return Thing(x)\n")
    spec = importlib.util.spec_from_file_location("hidden_plugin", path)
    hidden = importlib.util.module_from_spec(spec)
    sys.modules["hidden_plugin"] = hidden
    try:
        spec.loader.exec_module(hidden)
        with Peer(hidden.make) as peer:
            (made,) = peer.ask(2)
            assert type(made) is hidden.Thing
            assert made.x == 10
        with Peer(lambda x: hidden.make(x)) as peer:
            assert type(peer.ask(2)[0]) is hidden.Thing
    finally:
        del sys.modules["hidden_plugin"]


def test_functions_with_all_that_they_hold_travel():
    """Closures, defaults, partials, bound methods, decorated functions, callable objects."""

    class Adder:
        def __init__(self, n):
            self.n = n

        def add(self, x):
            return x + self.n

        __call__ = add

    def closed(n):
        return lambda x, *, more=10: x + n + more

    def doubled(function):
        @functools.wraps(function)
        def wrapper(x):
            return 2 * function(x)

        return wrapper

    @doubled
    def decorated(x):
        return x + 1

    for function, expected in [
        (closed(5), 16), (functools.partial(max, 7), 7), (Adder(3).add, 4), (Adder(4), 5), (decorated, 4), (abs, 1),
        (os.path.basename, None),
    ]:  # fmt: skip
        with Peer(function) as peer:
            assert expected is None or peer.ask(1) == [expected]


def test_what_functools_wraps_around_a_function_travels():
    """Caches (empty, of their size), dispatching functions and methods, cached properties go by value; recursive ones, and as items."""

    @functools.cache
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    @functools.lru_cache(maxsize=3, typed=True)
    def small(x):
        return x

    @functools.singledispatch
    def flat(x):
        return [x]

    @flat.register
    def _(x: list):
        return [one for each in x for one in flat(each)]

    class Holder:
        @functools.lru_cache  # noqa: B019 - what it keeps alive is not what is tested
        def cached(self, x):
            return flat(x)

        @functools.singledispatchmethod
        def kind(self, x):
            return "any"

        @kind.register
        def _(self, x: int):
            return "int"

        @functools.cached_property
        def number(self):
            return 7

    def use(item):
        holder = Holder()
        caches = small.cache_info()[2:], small.cache_parameters(), small.remark, flat.remark
        return fibonacci(10), item(10), flat([1, [2]]), holder.cached(4), holder.kind(4), holder.kind(""), holder.number, caches

    small.remark = flat.remark = "kept"
    fibonacci(30), small(1), flat(1)
    with Peer(use) as peer:
        (told,) = peer.ask(fibonacci)
    caches = (3, 0), {"maxsize": 3, "typed": True}, "kept", "kept"
    assert told == (55, 55, [1, 2], [4], "int", "any", 7, caches)


class Reader:
    """Has a method by the kind of what it is given, and one that depends on the instance and on the class of whoever calls it."""

    def __init__(self, unit):
        self.unit = unit
        self.reads = self.read  # met within itself

    @functools.singledispatchmethod
    def read(self, x):
        return f"any {self.unit}"

    @read.register
    def _(self, x: int):
        return f"int {self.unit}"

    @functools.singledispatchmethod
    @classmethod
    def told(cls, x):
        return cls.__name__


class Louder(Reader):
    def read(self, x):
        return "never asked"

    def plain(self):
        return super().read


@pytest.mark.parametrize("local", [False, True])
def test_a_bound_method_that_dispatches_travels_with_its_instance(local):
    """From Python 3.13 on it holds weak references, once it was called."""
    kind = type("Local", (Reader,), {}) if local else Reader
    for function, expected in [(kind("m").read, "int m"), (kind("m").reads, "int m"), (kind.told, kind.__name__)]:
        assert function(1) == expected
        with Peer(function) as peer:
            assert peer.ask(1) == [expected]


def test_a_dispatching_method_that_is_overridden_is_not_taken_for_the_override():
    """``super().read`` is what was given: it travels as such, or not at all."""
    function = Louder("m").plain()
    try:
        back = through(None, ByValue(), [function])[0]
    except TypeError as error:
        assert "weakref" in str(error)
    else:
        assert back(1) == "int m"


def test_a_recursive_item_with_a_function_travels():
    """An object whose function reaches the object again is no endless loop."""

    class Loop:
        pass

    loop = Loop()
    loop.me = lambda: loop
    with Peer(identity) as peer:
        (back,) = peer.ask(loop)
        assert type(back) is Loop
        assert back.me() is back


def test_open_files_are_refused():
    """cloudpickle would send a file's content; an item with an open file is an error, as pickle has it."""
    with open(__file__) as file, pytest.raises(TypeError, match=r"open file|TextIOWrapper"):
        Encoder(ByValue()).add({"file": file})


def test_what_only_cloudpickle_knows_is_an_item_too():
    """Modules, dictionary views and the like go, whatever went before."""
    back = through(None, ByValue(), [os.path, {1: 2}.keys(), types.MappingProxyType({1: 2}), lambda: 5])
    assert back[0] is os.path
    assert list(back[1]) == [1]
    assert back[2] == {1: 2}
    assert back[3]() == 5


# -------------------------------------------------------------------------------------------------------------------- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_knows_the_classes_that_were_adopted():
    """In a forked process, instances of a local class are of the very class that its functions use, and come home as ours."""

    class Local:
        pass

    def work(item):
        return Local() if isinstance(item, Local) else "another class"

    adopt([{"stage": functools.partial(work)}], take_stock())
    left, right = channel_pair()
    caller = Speaker(left, take_stock())
    pid = os.fork()
    if not pid:
        left.close()
        serve(Speaker(right, take_stock()), work)
        os._exit(0)
    right.close()
    caller.say([Local(), Importable_])
    assert [type(caller.hear()[0]), caller.channel.closed] == [Local, False]
    left.close()
    assert os.waitpid(pid, 0)[1] == 0


def test_adopting_looks_at_no_more_than_it_must():
    """Large data, locks and half-built closures in a graph are no obstacle."""

    class Local:
        pass

    class Hidden:
        kind = Local

        def method(self):
            return Local

    def use():
        return unset, Hidden

    adopt([list(range(10**6)), threading.Lock(), {"f": [Hidden().method]}, use, sys.modules[__name__]], take_stock())
    assert module.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(Local)
    assert module.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(Importable_) is None
    unset = None
