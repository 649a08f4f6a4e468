"""Drive a stage's running half by hand, as a worker would: no process, thread or pipe, time by a fake clock."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from olympipe_ng.errors import GraphError
from olympipe_ng.origins import Origin, Origins
from olympipe_ng.stages.contract import Arity, Emission, Fate, ItemTransform, Stage, StreamTransform
from tests.fakes import FakeContext
from tests.strategies import LONGEST, Event

SINGLY = frozenset(range(1, LONGEST + 1))


class Drive:
    """A stream transform in use: what it emitted, and what it told its context."""

    def __init__(self, stage: Stage, *, seed: int | None = None) -> None:
        self.stage = stage
        self.context = FakeContext(seed)
        self.items: list[Any] = []
        self.origins: list[Origin] = []
        self.largest = 0
        made = stage.make(self.context)
        assert isinstance(made, StreamTransform)
        self.transform = made
        self.transform.setup()

    def give(self, items: Sequence[Any], port: int = 0, start: int = 0) -> Drive:
        """Process items with the indices from ``start`` on, of the source with the port's number."""
        return self.process(port, items, Origins.range(port, start, len(items)))

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Drive:
        return self.take(self.transform.process(port, items, origins))

    def take(self, emissions: Iterable[Emission]) -> Drive:
        """Take emissions one by one, each item a snapshot, as the engine does."""
        for outlet, items, origins in emissions:
            assert outlet == 0
            assert 0 < len(items) == len(origins)
            self.largest = max(self.largest, len(items))
            self.items += items if self.stage.opaque else copy.deepcopy(items)
            self.origins += origins
        return self

    def wait(self, seconds: float) -> Drive:
        """Let time pass, with a tick at each deadline, on time."""
        until = self.context.time.now + seconds
        while self.transform.deadline is not None and self.transform.deadline <= until:
            self.tick_when_due()
        self.context.time.now = until
        return self

    def tick_when_due(self) -> None:
        deadline = self.transform.deadline
        assert deadline is not None
        self.context.time.now = max(self.context.time.now, deadline)
        self.take(self.transform.tick())

    def watermark(self, port: int, upto: int) -> Drive:
        return self.take(self.transform.watermark(port, upto))

    def end(self, port: int) -> Drive:
        return self.take(self.transform.end(port))

    def finish(self) -> Drive:
        """End all ports, let what waits for its time go, and flush."""
        for port in range(self.transform.inputs):
            self.end(port)
        while self.transform.deadline is not None:
            self.tick_when_due()
        self.take(self.transform.flush())
        self.transform.close()
        return self

    def counted(self, fate: Fate) -> list[int]:
        """List the indices of the items that met this fate."""
        return [start for origin in self.context.counted[fate] for _, start, _ in origin]

    @property
    def fates(self) -> dict[Fate, list[Origin]]:
        return {fate: sorted(origins) for fate, origins in self.context.counted.items()}


def play(stage: Stage, events: Sequence[Event], cuts: frozenset[int] = frozenset(), *, seed: int = 7, ticks: bool = True) -> Drive:
    """Give events to a stage, neighbours of one port and moment in one call unless they are cut, each call with its watermark."""
    drive = Drive(stage, seed=seed)
    begin = drive.context.time.now
    for call in _calls(events, cuts):
        at, port = call[0].at, call[0].port
        if ticks:
            drive.wait(begin + at - drive.context.time.now)
        origins = Origins.of(event.origin for event in call)
        drive.process(port, [event.item for event in call], origins)
        drive.watermark(port, origins.last())
    return drive.finish()


def _calls(events: Sequence[Event], cuts: frozenset[int]) -> list[list[Event]]:
    calls: list[list[Event]] = []
    for number, event in enumerate(events):
        if number and number not in cuts and calls[-1][0][:2] == event[:2]:
            calls[-1].append(event)
        else:
            calls.append([event])
    return calls


def assert_cuts_do_not_matter(stage: Stage, events: Sequence[Event], cuts: frozenset[int], *, ticks: bool = True) -> Drive:
    """Assert the property that every stream kind must keep, and that no item is lost; return the uncut run."""
    whole = play(stage, events, ticks=ticks)
    for where in (cuts, SINGLY):
        cut = play(stage, events, where, ticks=ticks)
        assert whole.items == cut.items
        assert whole.origins == cut.origins
        assert whole.fates == cut.fates
    assert_accounted(whole, events)
    return whole


def assert_accounted(drive: Drive, events: Sequence[Event]) -> None:
    """Assert that every input item is in an output or has met a fate, not both."""
    given = {event.origin[0] for event in events}
    fated = {span for origins in drive.context.counted.values() for origin in origins for span in origin}
    emitted = {span for span in given for origin in drive.origins if _covers(origin, span)}
    assert emitted | fated == given
    assert all(origin[0] not in fated for origin in drive.origins if len(origin) == 1 and origin[0][2] - origin[0][1] == 1)


def _covers(origin: Origin, span: tuple[int, int, int]) -> bool:
    return any(source == span[0] and start <= span[1] and span[2] <= stop for source, start, stop in origin)


class Opaque:
    """An item that cannot bear to be looked at: every question raises."""

    def __init__(self, number: int) -> None:
        self.number = number

    def _refuse(self, *_: Any) -> Any:
        raise AssertionError("an opaque stage looked into an item")

    __eq__ = __ne__ = __lt__ = __bool__ = __len__ = __iter__ = __call__ = __contains__ = __getitem__ = _refuse
    __copy__ = __deepcopy__ = __reduce_ex__ = __hash__ = _refuse  # type: ignore[assignment]


def numbers(items: Iterable[Any]) -> list[Any]:
    """Show the numbers of opaque items, in the lists and tuples they stand in."""
    return [item.number if type(item) is Opaque else numbers(item) if type(item) in (list, tuple) else item for item in items]


def opaque_run(stage: Stage, count: int, *, seed: int = 7) -> list[Any]:
    """Run opaque items through all ports of a stage that says it is opaque; return the numbers of what comes out."""
    assert stage.opaque
    drive = Drive(stage, seed=seed)
    for port in range(drive.transform.inputs):
        drive.process(port, [Opaque(n) for n in range(count)], Origins.range(0, 0, count)).watermark(port, count)
    return numbers(drive.finish().items)


def applied(stage: Stage, items: Iterable[Any], arity: Arity) -> list[Any]:
    """Set an item stage up, apply it to each item, close it; return the raw results."""
    assert stage.arity is arity
    made = stage.make(FakeContext())
    assert isinstance(made, ItemTransform)
    made.setup()
    results = [made.apply(item) for item in items]
    made.close()
    return results


def refused(text: str) -> Any:
    """Expect a ``GraphError`` with this in its text."""
    return pytest.raises(GraphError, match=text)
