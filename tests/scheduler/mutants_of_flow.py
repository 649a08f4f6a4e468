"""Mutants that get wrong how items flow: within what bounds, in what order, and for how long their frames are kept."""

from __future__ import annotations

from typing import Any

import pytest

from olympipe_ng.scheduler import deaths, ending, scheduler, settling
from olympipe_ng.scheduler.edge import Edge
from olympipe_ng.scheduler.messages import Pause, Release
from olympipe_ng.scheduler.node import Node, Ticket, TicketState
from olympipe_ng.scheduler.state import State
from tests.scheduler.mutants import mutant, settling_event

# ----------------------------------------------------------------------------------------------------------------- bounds


@mutant("its bound is")
def room_for_one_more(patch: pytest.MonkeyPatch) -> None:
    room = Edge.room
    patch.setattr(Edge, "room", lambda edge, *, oldest=False: room(edge, oldest=oldest) + 1)


@mutant("its bound is")
def no_bound_in_items(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Edge, "room", lambda edge, *, oldest=False: 1000)


@mutant("bytes, its bound is|and it is not the oldest")
def no_bound_in_bytes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Edge, "_room", lambda edge, used: edge.capacity + edge.growth - used)


@mutant("its bound is")
def what_is_in_hand_is_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(State, "recount", lambda state, node: None)


@mutant("its bound is")
def held_outputs_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Edge, "hold", lambda edge, frame: None)
    patch.setattr(Edge, "unhold", lambda edge, frame: None)


@mutant("its bound is")
def room_is_given_back_twice(patch: pytest.MonkeyPatch) -> None:
    def unreserve(state: State, node: Node, ticket: Ticket, places: int) -> None:
        places = min(places, ticket.reserved)
        ticket.reserved -= places
        for edge in state.outputs(node):
            edge.promised -= 2 * places

    patch.setattr(settling, "unreserve", unreserve)


@mutant("hang|livelock|its bound is")
def room_is_never_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settling, "unreserve", lambda state, node, ticket, places: None)


@mutant("hang|livelock|kept, though")
def what_the_consumer_took_is_not_heard(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(scheduler._TABLE, settling_event("took"), lambda state, event: None)


@mutant("in hand, it has")
def a_ticket_too_many_in_hand(patch: pytest.MonkeyPatch) -> None:
    hand = Node.hand
    patch.setattr(Node, "hand", lambda node: hand(node) + 2)


@mutant("grew")
def edges_grow_whenever_they_are_full(patch: pytest.MonkeyPatch) -> None:
    def relieve(state: State) -> bool:
        full = [edge for edge in state.edges if edge.used >= edge.bound and not edge.closed and edge.growth < 20]
        for edge in full[:1]:
            edge.growth += 2
            state.touch(state.producer(edge))
        return bool(full)

    patch.setattr(scheduler, "relieve", relieve)


@mutant("hang")
def edges_never_grow(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scheduler, "relieve", lambda state: False)


# ------------------------------------------------------------------------------------------------------------------ order


@mutant("should be|came where|run failed with|never released|after the watermark")
def commits_as_they_finish(patch: pytest.MonkeyPatch) -> None:
    def commit(state: State, node: Node) -> None:
        for ticket in list(node.window):
            settling._commit_ticket(state, node, ticket)
            if ticket.state is TicketState.DONE and ticket in node.window:
                node.window.remove(ticket)
                if ticket.watermark and not node.plan.wants_watermarks:
                    settling.put_watermarks(state, node, ticket.watermark)
        ending.after_commit(state, node)

    patch.setattr(settling, "commit", commit)


@mutant("should be|came where|run failed with|expected|ledger")
def an_error_does_not_wait_for_its_elders(patch: pytest.MonkeyPatch) -> None:
    done = settling.done

    def hasty(state: State, event: Any) -> None:
        worker = state.workers.get(event.worker)
        done(state, event)
        if event.note is not None and worker is not None:
            ending.fail_node(state, worker.node, event.note)

    patch.setitem(scheduler._TABLE, settling_event("done"), hasty)


@mutant("should be|came where|hang")
def the_younger_goes_first(patch: pytest.MonkeyPatch) -> None:
    def queued(node: Node, now: float) -> Ticket | None:
        waiting = [ticket for ticket in node.window if ticket.state is TicketState.QUEUED and ticket.due <= now]
        return waiting[-1] if waiting else None

    patch.setattr(Node, "queued", queued)


@mutant("behind an error")
def work_goes_on_behind_an_error(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settling, "withhold", lambda state, node: None)


@mutant("tried again at")
def nobody_backs_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settling, "backoff", lambda state, node, attempt: 0.0)
    patch.setattr(deaths, "backoff", lambda state, node, attempt: 0.0)


@mutant("though the run is paused")
def a_pause_is_not_heard(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(scheduler._TABLE, Pause, lambda state, event: None)


@mutant("is given more than")
def worn_workers_are_given_more(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Node, "quota", lambda node, worker: node.frame_items)


@mutant("after the watermark|should be|lost")
def watermarks_run_ahead(patch: pytest.MonkeyPatch) -> None:
    put = settling.put_watermarks
    patch.setattr(settling, "put_watermarks", lambda state, node, watermark: put(state, node, watermark + 1))


# ----------------------------------------------------------------------------------------------------------------- frames


@mutant("never released|kept, though")
def some_frames_are_never_released(patch: pytest.MonkeyPatch) -> None:
    def release(state: State, frame: Any) -> None:
        frame.uses -= 1
        if frame.uses == 0 and frame.number % 3:
            state.say(Release(frame))

    patch.setattr(State, "release", release)


@mutant("released")
def frames_are_released_too_early(patch: pytest.MonkeyPatch) -> None:
    def release(state: State, frame: Any) -> None:
        frame.uses -= 1
        if frame.uses == 1 or (frame.uses == 0 and not hasattr(frame, "early")):
            state.say(Release(frame))

    patch.setattr(State, "release", release)


@mutant("kept, though")
def frames_are_released_late(patch: pytest.MonkeyPatch) -> None:
    late: list[Any] = []

    def release(state: State, frame: Any) -> None:
        frame.uses -= 1
        if frame.uses == 0:
            late.append(frame)
            if len(late) > 1:
                state.say(Release(late.pop(0)))

    patch.setattr(State, "release", release)


@mutant("never released")
def what_a_cancelled_ticket_gave_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def forget(state: State, ticket: Ticket, event: Any) -> None:
        if event.finished:
            ending.drop_input(state, ticket)

    patch.setattr(settling, "_forget", forget)
