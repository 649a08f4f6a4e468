"""What waits for a join of unequal arms is bounded in memory; the rest the scheduler has written to a file."""

from __future__ import annotations

import pytest

from olympipe_ng.origins import Origins
from olympipe_ng.plan import EdgePlan, NodePlan, Plan, Role
from olympipe_ng.scheduler.deadlock import relieve
from olympipe_ng.scheduler.messages import Frame, Parcel, Spill, Warn
from olympipe_ng.scheduler.spilling import spill
from olympipe_ng.scheduler.state import State

BOUND = 100  # queue_bytes: twice as much may wait in memory


@pytest.fixture
def state():
    nodes = (
        NodePlan(0, "numbers", Role.SOURCE, outlets=((0, 1),)),
        NodePlan(1, "left", Role.STAGE, inputs=(0,), outlets=((2,),)),
        NodePlan(2, "right", Role.STAGE, inputs=(1,), outlets=((3,),)),
        NodePlan(3, "zip", Role.STAGE, inputs=(2, 3), outlets=((4,),), hub=True, stream=True),
        NodePlan(4, "sink", Role.SINK, inputs=(4,)),
    )
    ends = ((0, 1, 0), (0, 2, 0), (1, 3, 0), (2, 3, 1), (3, 4, 0))
    edges = tuple(EdgePlan(number, producer, 0, consumer, port) for number, (producer, consumer, port) in enumerate(ends))
    return State(Plan(nodes, edges, queue_bytes=BOUND))


def grow(state, edge):
    state.edges[edge].growth = 1000
    state.grown.append(state.edges[edge])


def push(state, nbytes, *edges):
    frame = Frame(state.number(), Parcel(10, nbytes, Origins.of([]), None))
    for edge in edges:
        state.edges[edge].push(frame)
    return frame


def spilled(state):
    spill(state)
    commands, state.commands = state.commands, []
    return [command.frame for command in commands if isinstance(command, Spill)]


def test_an_edge_within_its_bounds_is_left_alone(state):
    grow(state, 2)
    push(state, 200, 2)
    assert spilled(state) == []
    state.edges[2].cut(4)
    assert (state.edges[2].in_memory, state.edges[2].spilled_bytes) == (120, 0)


def test_the_newest_frames_go_until_the_rest_is_within_bounds(state):
    grow(state, 2)
    frames = [push(state, 60, 2) for _ in range(5)]
    assert spilled(state) == [frames[4], frames[3]]
    assert state.edges[2].in_memory == 180
    assert spilled(state) == []


def test_the_bound_is_one_for_all_edges_that_grew(state):
    grow(state, 0)
    grow(state, 2)
    push(state, 150, 0)
    large = push(state, 160, 2)
    assert spilled(state) == [large]


def test_a_frame_that_somebody_has_in_hand_stays(state):
    grow(state, 0)
    shared = push(state, 300, 0, 1)
    state.edges[1].cut(3)  # a ticket of the other arm
    assert spilled(state) == []
    state.release(shared)
    state.edges[1].cut(7)
    state.release(shared)
    assert spilled(state) == [shared]


def test_a_frame_that_waits_on_two_edges_is_written_once(state):
    grow(state, 0)
    grow(state, 1)
    shared = push(state, 300, 0, 1)
    assert spilled(state) == [shared]
    assert [state.edges[number].in_memory for number in (0, 1)] == [0, 0]


def test_what_is_taken_from_a_spilled_frame_is_not_counted_any_more(state):
    grow(state, 2)
    push(state, 300, 2)
    spill(state)
    edge = state.edges[2]
    edge.cut(4)
    assert (edge.queued_bytes, edge.spilled_bytes, edge.in_memory) == (180, 180, 0)
    edge.clear()
    assert (edge.in_memory, edge.spilled_bytes, len(edge.fresh)) == (0, 0, 0)


def test_what_waited_when_an_edge_grew_may_be_spilled_too(state):
    """``left`` is far ahead, ``right`` has nothing, and the source waits for room before ``left``."""
    push(state, 300, 2)
    waiting = push(state, 400, 0)
    state.nodes[3].ready = (1,)  # the zip has an item of ``left``, and waits for one of ``right``
    assert relieve(state)
    assert state.grown == [state.edges[0]]
    assert spilled(state) == [waiting]


def test_the_user_is_told_once_which_arm_it_is(state):
    """Not again either when all that was spilled has been read, and more comes."""
    grow(state, 2)
    for _ in range(2):
        push(state, 300, 2)
        spill(state)
        push(state, 300, 2)
        spill(state)
        state.edges[2].clear()
    (warning,) = [command.text for command in state.commands if isinstance(command, Warn)]
    assert "'left'" in warning
    assert "'zip'" in warning
