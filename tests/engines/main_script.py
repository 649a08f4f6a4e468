"""Run as ``__main__`` in every way there is: no main guard, its own functions, classes and exceptions everywhere. Prints ``all well``."""

import dataclasses
import functools
import json
import os
import sys

from olympipe_ng import Pipeline, StageError

METHOD = os.environ["METHOD"]
print("begins", os.getpid(), flush=True)


@dataclasses.dataclass
class Record:
    name: str
    size: int = 0

    def grown(self):
        return Record(self.name, self.size + 1)


class Complaint(Exception):
    def __init__(self, about, extra):
        super().__init__(about)
        self.extra = extra


OFFSET = 40


def add(x):
    return x + OFFSET


def logged(fn):
    @functools.wraps(fn)
    def inner(x):
        return fn(x)

    return inner


@logged
def decorated(x):
    return add(x) + 1


def complain(x):
    if x == 2:
        raise Complaint("noise", [x])
    return x


class Model:
    def __init__(self, step):
        self.step = step

    def __call__(self, x):
        return x + self.step

    def predict(self, x):
        return x * self.step


options = {"start_method": METHOD} if METHOD != "thread" else {"engine": "thread"}
numbers = Pipeline(range(4), **options)
closed_over = 3
assert numbers.task(add).task(decorated, count=2).wait_for_result() == [81, 82, 83, 84]
assert numbers.task(lambda x: x * closed_over).task(Model(1)).wait_for_result() == [1, 4, 7, 10]
assert numbers.class_task(Model, Model.predict, class_args=[5]).wait_for_result() == [0, 5, 10, 15]
records = Pipeline([Record("a"), Record("b")], **options).task(lambda r: r.grown()).wait_for_result()
assert records == [Record("a", 1), Record("b", 1)]
assert all(type(each) is Record for each in records)
assert [type(each) is Record for each in numbers.task(lambda x: Record("c", x)).wait_for_result()] == [True] * 4
kind, function = Pipeline([Record, add], **options).task(lambda x: x).wait_for_result()
assert (kind, function(2)) == (Record, 42)
try:
    numbers.task(complain).wait_for_result()
except StageError as error:
    assert type(error.__cause__) is Complaint, error.__cause__
    assert error.__cause__.extra == [2]
    assert error.index == 2
else:
    raise AssertionError("no error came")
assert numbers.task(lambda x: (sys.argv[-1], os.getcwd())).wait_for_result()[0] == (sys.argv[-1], os.getcwd())
assert json.loads(Pipeline([1], **options).task(json.dumps).wait_for_result()[0]) == 1
print("all well", flush=True)
