"""What hypothesis draws for the stages: streams with gaps in their origins, arrivals in time, several arms, and where to cut them."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from olympipe_ng.origins import Origin


class Event(NamedTuple):
    """One item reaches a port of a stage."""

    at: float
    port: int
    item: Any
    origin: Origin


LONGEST, FEW = 40, 5
cuts = st.lists(st.booleans(), min_size=LONGEST, max_size=LONGEST).map(lambda cut: frozenset(k for k, here in enumerate(cut, 1) if here))
"""Before which events a call of ``process`` ends."""


def lists_of(rows: st.SearchStrategy[Any], longest: int = LONGEST, few: int = FEW) -> st.SearchStrategy[list[Any]]:
    """Draw lists of any length. Left to itself hypothesis draws none or one of them in two of three examples: it fills up with what it
    takes for simplest. So that is a few here."""
    lengths = sorted(range(longest + 1), key=lambda length: abs(length - few))
    return st.sampled_from(lengths).flatmap(lambda length: st.lists(rows, min_size=length, max_size=length))


@st.composite
def streams(draw: st.DrawFn, arms: int = 1, pauses: tuple[float, ...] = (0.0,)) -> list[Event]:
    """Draw a stream of small numbers; each arm is a source of its own, with gaps as a filter leaves them."""
    rows = draw(lists_of(st.tuples(st.sampled_from(pauses), st.integers(0, arms - 1), st.integers(-3, 3), st.integers(0, 2))))
    now, index = 0.0, [0] * arms
    events = []
    for pause, port, item, gap in rows:
        now += pause
        index[port] += gap
        events.append(Event(now, port, item, ((port, index[port], index[port] + 1),)))
        index[port] += 1
    return events


@st.composite
def forks(draw: st.DrawFn, arms: int = 2) -> list[Event]:
    """Draw the branches of one source, of which each has lost some items; each in order, mixed at random."""
    kept = draw(lists_of(st.sets(st.integers(0, arms - 1)), LONGEST // arms))
    waiting = [[index for index, ports in enumerate(kept) if port in ports] for port in range(arms)]
    events = []
    while any(waiting):
        port = draw(st.sampled_from([port for port in range(arms) if waiting[port]]))
        index = waiting[port].pop(0)
        events.append(Event(0.0, port, f"{index}{'abc'[port]}", ((0, index, index + 1),)))
    return events
