"""What workers cannot import goes by value, and comes back as the caller's own: under every start method."""

from __future__ import annotations

import enum
import functools
import gc
import threading
import weakref

import pytest

from olympipe_ng import DROP, GraphError, Pipeline, StageError
from olympipe_ng.transport import by_value
from tests.engines.kinds import PROCESSES, everywhere, in_processes


def local_things():
    """Return a class, an exception and a function that no other process can import by name."""
    class Local:
        def __init__(self, n):
            self.n = n

        def grow(self):
            return Local(self.n + 1)

        def __eq__(self, other):
            return type(other) is Local and other.n == self.n

        __hash__ = None

    class Complaint(Exception):
        def __init__(self, about, extra):
            super().__init__(about)
            self.extra = extra

    return Local, Complaint


@everywhere
def test_instances_of_a_local_class_are_the_callers_own_everywhere(where):
    """As input, as a result of the same class made in a worker, within containers, and from several workers."""
    Local, _ = local_things()
    grown = Pipeline([Local(k) for k in range(6)], **where).task(lambda x: x.grow(), count=2)
    came = grown.batch(2).task(lambda b: {"b": b}).wait_for_result()
    found = [each for batch in came for each in batch["b"]]
    assert found == [Local(k) for k in range(1, 7)]
    assert all(type(each) is Local for each in found)


connection = "none"


@pytest.mark.parametrize("reached", [True, False], ids=["of the graph", "of an item"])
@everywhere
def test_what_an_initializer_sets_is_seen_by_the_methods_of_a_class(where, reached, monkeypatch):
    """They share the names of their module, though the class travels apart, and perhaps when the initializer has long run."""
    monkeypatch.setattr(f"{__name__}.connection", "none")

    class Row:
        def save(self):
            return connection

    def connect():
        global connection
        connection = "open"

    function = Row.save if reached else lambda row: row.save()
    assert Pipeline([Row()], **where).task(function, initializer=connect).wait_for_result() == ["open"]
    assert Pipeline([Row()], **where).class_task(Row, lambda row, _: row.save(), initializer=connect).wait_for_result() == ["open"]


@everywhere
def test_a_local_class_that_only_a_function_knows_is_the_callers_own(where):
    """The caller gave no instance: the class came with the function, and comes back as itself."""
    Local, _ = local_things()
    came = Pipeline(range(4), **where).task(lambda n: Local(n), count=2).task(lambda x: x.grow()).wait_for_result()
    assert [type(each) is Local for each in came] == [True] * 4
    assert Pipeline(range(2), **where).task(Local).wait_for_result() == [Local(0), Local(1)]


def local_enumerations():
    class Planet(enum.Enum):
        EARTH = (5.97, 6.37)
        TERRA = EARTH

        def __init__(self, mass, radius):
            self.mass = mass

    class Code(enum.IntEnum):
        FOUND = 200, "it is there"

        def __new__(cls, number, phrase):
            made = int.__new__(cls, number)
            made._value_, made.phrase = number, phrase
            return made

    class Access(enum.Flag):
        READ = 1
        WRITE = 2
        BOTH = READ | WRITE

    return Planet, Code, Access


@everywhere
def test_the_members_of_a_local_enumeration_are_whole(where):
    """What ``__init__`` or ``__new__`` gave them, and their other names."""
    Planet, Code, Access = local_enumerations()

    def look(member):
        given = getattr(member, "mass", None), getattr(member, "phrase", None)
        return member.name, given, Planet["TERRA"] is Planet.EARTH, Access["BOTH"].value

    members = [Planet.EARTH, Code.FOUND, Access.BOTH]
    pipeline = Pipeline(members, **where)
    assert pipeline.task(look).wait_for_result() == [look(member) for member in members]
    came = pipeline.task(lambda member: member).wait_for_result()
    assert [one is other for one, other in zip(came, members, strict=True)] == [True] * 3


@everywhere
def test_a_local_class_has_its_whole_name_everywhere(where):
    """It stands in the ``repr`` of a data class, and so in results and errors."""
    Local, _ = local_things()
    assert Pipeline([Local(1)], **where).task(lambda each: type(each).__qualname__).wait_for_result() == [Local.__qualname__]


@everywhere
def test_a_method_of_a_local_class_is_found_on_its_instances(where):
    """Overridden, static or of the class: as if the worker had imported them."""
    class Base:
        def work(self, x):
            return "base", x

        @staticmethod
        def bare(x):
            return "bare", x

        @classmethod
        def named(cls, x):
            return cls.__name__, x

    class Derived(Base):
        def work(self, x):
            return "derived", x

    found = [
        Pipeline([1], **where).class_task(cls, method).wait_for_result()
        for cls, method in [(Derived, Base.work), (Base, Base.work), (lambda: Derived(), Base.work), (Base, Base.bare), (Base, Base.named)]
    ]
    assert found == [[("derived", 1)], [("base", 1)], [("derived", 1)], [("bare", 1)], [("Base", 1)]]


@everywhere
def test_an_exception_of_a_local_class_is_the_callers_own(where):
    """It can be caught by its class where it was defined, with its attributes."""
    _, Complaint = local_things()

    def complain(x):
        raise Complaint("noise", {"at": x})

    with pytest.raises(StageError) as caught:
        Pipeline([3], **where).task(complain).wait_for_result()
    assert type(caught.value.__cause__) is Complaint
    assert caught.value.__cause__.extra == {"at": 3}
    good, bad = Pipeline([3], **where).task(complain, on_error="branch")
    _, (failure,) = Pipeline.wait_for_all_results([good, bad])
    assert type(failure.exception) is Complaint


@everywhere
def test_functions_and_classes_are_items(where):
    """Lambdas, closures and local classes travel as items, and can be called where they arrive."""
    Local, _ = local_things()
    word = "closed over"
    came = Pipeline([lambda x: (word, x), Local, len], **where).task(lambda f: f).task(lambda f: f).wait_for_result()
    assert came[0](1) == ("closed over", 1)
    assert came[1] is Local
    assert came[2] is len
    made = Pipeline([1, 2], **where).task(lambda n: lambda: n * 10).wait_for_result()
    assert [each() for each in made] == [10, 20]


class Counter:
    def __init__(self, step):
        self.step = step

    def add(self, x):
        return x + self.step

    def __call__(self, x):
        return x * self.step

    @staticmethod
    def plain(x):
        return -x

    @classmethod
    def named(cls, x):
        return cls.__name__, x


def wrapped(fn):
    @functools.wraps(fn)
    def inner(x):
        return fn(x)

    return inner


def bare(fn):
    def inner(x):
        return fn(x)

    return inner


@wrapped
def decorated(x):
    return x + 1


@bare
def decorated_without_wraps(x):
    return x + 2


@everywhere
def test_anything_callable_is_a_task(where):
    """Lambda, closure, bound, static and class method, partial, callable object, decorated with or without ``wraps``, built in."""
    offset = 7

    def local(x):
        return x + offset

    tasks = [
        lambda x: x, local, Counter(3).add, Counter.plain, Counter.named, functools.partial(max, 2), Counter(3), decorated,
        decorated_without_wraps, abs, str, (5).__add__, functools.partial(Counter(1).add),
    ]  # fmt: skip
    numbers = Pipeline([1], **where)
    came = Pipeline.wait_for_all_results([numbers.task(task) for task in tasks])
    assert came == [[task(1)] for task in tasks]


@everywhere
def test_drop_is_itself_after_any_journey(where):
    """``DROP`` inside an item is the same object on the other side."""
    ((came,),) = Pipeline([(DROP,)], **where).task(lambda x: x).wait_for_result()
    assert came is DROP


@in_processes
def test_what_a_function_refers_to_travels_with_it(where):
    """Local functions that call each other and themselves, and the module's globals that they use."""
    def even(n):
        return True if n == 0 else odd(n - 1)

    def odd(n):
        return False if n == 0 else even(n - 1)

    assert Pipeline([7, 8], **where).task(even).wait_for_result() == [False, True]


@in_processes
def test_a_class_that_is_made_in_a_worker_arrives(where):
    """A class that the caller has never seen comes out usable, the same one for all its instances."""
    def make(x):
        class Made:
            value = x

        return Made()

    came = Pipeline([1, 2], **where).task(make).wait_for_result()
    assert [each.value for each in came] == [1, 2]

    def twins(x):
        class Twin:
            pass

        return Twin(), Twin()

    ((a, b),) = Pipeline([0], **where).task(twins).task(lambda pair: pair).wait_for_result()
    assert type(a) is type(b)


@pytest.mark.parametrize("where", [PROCESSES["forkserver"], PROCESSES["spawn"]], ids=["forkserver", "spawn"])
def test_a_function_that_cannot_be_sent_is_named_with_what_it_holds(where):
    """Where workers start clean: a ``GraphError`` that names stage, line and the guilty part."""
    lock = threading.Lock()
    with pytest.raises(GraphError, match=r"stage 1 'guarded' .*lock") as caught:
        Pipeline([1], **where).task(lambda x: lock.locked(), name="guarded").wait_for_result()
    assert __file__ in str(caught.value)


def test_a_forked_worker_has_what_cannot_be_sent():
    """Under ``fork`` a function may hold anything."""
    lock = threading.Lock()
    assert Pipeline([1], start_method="fork").task(lambda x: lock.locked()).wait_for_result() == [False]


@in_processes
def test_what_was_learned_of_a_run_is_forgotten_with_it(where):
    """A class that a worker made lives as long as its instances, in the items of a later run too; no run leaves definitions behind."""

    def make(x):
        class Row:
            def __init__(self):
                self.x = x

        class Refused(Exception):
            pass

        if x < 0:
            raise Refused(x)
        return Row()

    def learned():
        gc.collect()
        return {*by_value._blobs, *by_value._classes}

    before = learned()
    [row] = Pipeline([1], **where).task(make).wait_for_result()
    with pytest.raises(StageError) as caught:
        Pipeline([-1], **where).task(make).wait_for_result()
    assert type(caught.value.__cause__).__name__ == "Refused"
    del caught
    assert not learned() - before
    [same] = Pipeline([row], **where).task(lambda row: row).wait_for_result()
    assert type(same) is type(row)
    made = weakref.ref(type(row))
    del row, same
    assert not learned() - before
    assert made() is None


@in_processes
def test_two_sources_may_define_their_classes_at_once(where):
    """One begins with its class while the other is at it, and is still at it when that one is through: each sends its own, whole."""
    first_begun, second_begun, first_through = (threading.Event() for _ in range(3))

    class Gate:
        """Part of a class or an item, which is not pickled before something has happened."""

        def __init__(self, tells, waits_for):
            self.tells, self.waits_for = tells, waits_for

        def __reduce__(self):
            self.tells.set()
            assert self.waits_for.wait(20)
            return int, ()

    First = type("First", (), {"__module__": "__main__", "gate": Gate(first_begun, second_begun)})
    Second = type("Second", (), {"__module__": "__main__", "gate": Gate(second_begun, first_through)})

    def first():
        item = First()
        item.gate = Gate(first_through, first_through)  # pickled behind its class
        yield item

    def second():
        assert first_begun.wait(20)
        yield Second()

    names = [Pipeline(source, **where).task(lambda item: type(item).__name__) for source in (first, second)]
    assert Pipeline.wait_for_all_results(names) == [["First"], ["Second"]]
