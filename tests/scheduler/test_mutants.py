"""The simulation finds what it is there to find: a scheduler with one fault put into it is caught within a few hundred runs.

Each mutant replaces one function of the scheduler by a version with a typical fault of such engines. A mutant that survives shows a
promise that nobody looks after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from olympipe_ng.scheduler import dealing, deaths, ending, limits, scheduler, settling
from olympipe_ng.scheduler.edge import Edge
from olympipe_ng.scheduler.messages import Grant, Pause, Release
from olympipe_ng.scheduler.node import Node, Status, Ticket, TicketState, Worker, WorkerStatus
from olympipe_ng.scheduler.state import State
from tests.simulate.runs import Failing, run_seed

RUNS = 1500  # seeds within which a mutant must be caught; most are within ten
Patch = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[str, tuple[Patch, float, str]] = {}


def mutant(caught_by: str, kills: float = 0.0) -> Callable[[Patch], Patch]:
    """Register a mutant; ``caught_by``: words of the complaint that may be expected, apart by ``|``."""

    def register(patch: Patch) -> Patch:
        MUTANTS[patch.__name__] = (patch, kills, caught_by)
        return patch

    return register


def hunt(kills: float) -> Failing | None:
    """Return the first run that fails."""
    return next((failing for seed in range(RUNS) if (failing := run_seed(seed, kills)) is not None), None)


# ----------------------------------------------------------------------------------------------------------------- bounds


@mutant("its bound is")
def room_for_one_more(patch: pytest.MonkeyPatch) -> None:
    room = Edge.room
    patch.setattr(Edge, "room", lambda edge, *, oldest=False: room(edge, oldest=oldest) + 1)


@mutant("its bound is")
def no_bound_in_items(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Edge, "room", lambda edge, *, oldest=False: 1000)


@mutant("bytes, its bound is")
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


@mutant("should be|came where|run failed with|never released|after the mark")
def commits_as_they_finish(patch: pytest.MonkeyPatch) -> None:
    def commit(state: State, node: Node) -> None:
        for ticket in list(node.window):
            settling._commit_ticket(state, node, ticket)
            if ticket.state is TicketState.DONE and ticket in node.window:
                node.window.remove(ticket)
                if ticket.mark and not node.plan.wants_marks:
                    settling.put_marks(state, node, ticket.mark)
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


@mutant("after the mark|should be|lost")
def marks_run_ahead(patch: pytest.MonkeyPatch) -> None:
    put = settling.put_marks
    patch.setattr(settling, "put_marks", lambda state, node, mark: put(state, node, mark + 1))


# --------------------------------------------------------------------------------------------------------- nothing is lost


@mutant("ledger|should be|lost|hang|has not seen all of it")
def what_is_given_back_is_lost(patch: pytest.MonkeyPatch) -> None:
    finish = settling._finish

    def lossy(state: State, node: Node, ticket: Ticket, event: Any) -> None:
        if event.retry is None and event.note is None and node.plan.role.value == "stage" and not node.plan.many:
            ticket.hi = ticket.upto
        finish(state, node, ticket, event)

    patch.setattr(settling, "_finish", lossy)


@mutant("ledger|should be|lost|hang")
def a_retry_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    done = settling.done
    patch.setitem(scheduler._TABLE, settling_event("done"), lambda state, event: done(state, forget_retry(event)))


def forget_retry(event: Any) -> Any:
    return event if event.retry is None else event._replace(retry=None, upto=event.upto + 1)


@mutant("ledger|should be|lost|hang", kills=0.05)
def what_a_dead_worker_held_is_lost(patch: pytest.MonkeyPatch) -> None:
    def give_back(state: State, node: Node, ticket: Ticket, suspects: range, note: Any) -> None:
        ending.unreserve(state, node, ticket, ticket.reserved)
        ticket.hi = ticket.upto
        ticket.state = TicketState.DONE
        ending.drop_input(state, ticket)

    patch.setattr(deaths, "_give_back", give_back)


@mutant("ledger|should be|twice|run again|AssertionError|Error", kills=0.05)
def what_a_dead_worker_held_is_dealt_twice(patch: pytest.MonkeyPatch) -> None:
    give_back = deaths._give_back

    def twice(state: State, node: Node, ticket: Ticket, suspects: range, note: Any) -> None:
        if ticket.frame is not None and not suspects and ticket.items:
            settling.split(state, node, ticket, ticket.upto, ticket.hi)
        give_back(state, node, ticket, suspects, note)

    patch.setattr(deaths, "_give_back", twice)


@mutant("hang|alone|judged|run again", kills=0.05)
def a_suspect_is_not_run_alone(patch: pytest.MonkeyPatch) -> None:
    def suspect(state: State, node: Node, ticket: Ticket, note: Any, *, was_alone: bool) -> None:
        deaths._queue_again(node, ticket)

    patch.setattr(deaths, "_suspect_one", suspect)


@mutant("alone|judged|hang", kills=0.05)
def only_the_first_of_a_slice_is_suspected(patch: pytest.MonkeyPatch) -> None:
    suspects = deaths._suspects
    patch.setattr(deaths, "_suspects", lambda *given, taken_up: suspects(*given, taken_up=taken_up)[:1])


@mutant("ended with|failed|should", kills=0.05)
def a_worker_that_is_killed_while_it_starts_ends_the_run(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deaths, "KILLED_STARTS", 1)


@mutant("judged", kills=0.05)
def the_first_death_is_a_verdict(patch: pytest.MonkeyPatch) -> None:
    suspect_one = deaths._suspect_one

    def convict(state: State, node: Node, ticket: Ticket, note: Any, *, was_alone: bool) -> None:
        suspect_one(state, node, ticket, note, was_alone=True)

    patch.setattr(deaths, "_suspect_one", convict)


@mutant("hang", kills=0.05)
def a_dead_worker_is_not_replaced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deaths, "_replace", lambda state, worker, event: None)


@mutant("told to close|ledger|should be|lost|expected|never released")
def the_end_does_not_wait_for_what_is_in_hand(patch: pytest.MonkeyPatch) -> None:
    def after_items(state: State, node: Node) -> None:
        edge = state.edges[node.plan.inputs[0]]
        if edge.ended and not edge.queue and edge.note is None:
            ending._end_node(state, node)
            node.window = []

    patch.setattr(ending, "_after_items", after_items)


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


# ------------------------------------------------------------------------------------------------------------ life and end


@mutant("cannot take it")
def workers_are_given_work_before_they_are_ready(patch: pytest.MonkeyPatch) -> None:
    start = ending.start_worker

    def hasty(state: State, node: Node, place: int) -> None:
        start(state, node, place)
        newest = max(node.workers)
        node.workers[newest].status = WorkerStatus.READY

    patch.setattr(ending, "start_worker", hasty)


@mutant("hang|Finish")
def a_stop_leaves_the_workers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ending, "_stop_worker", lambda state, worker, *, abandon: None)


@mutant("workers")
def finish_does_not_wait_for_the_workers(patch: pytest.MonkeyPatch) -> None:
    check = ending.check_finished

    def hasty(state: State) -> None:
        workers, state.workers = state.workers, {}
        check(state)
        state.workers = workers

    patch.setattr(ending, "check_finished", hasty)


@mutant("hang|livelock")
def nobody_is_granted_room(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dealing, "_grant", lambda state, node: None)


@mutant("does not wait|a grant")
def grants_are_said_twice(patch: pytest.MonkeyPatch) -> None:
    grant = dealing._grant

    def twice(state: State, node: Node) -> None:
        before = len(state.commands)
        grant(state, node)
        state.commands.extend([command for command in state.commands[before:] if type(command) is Grant])

    patch.setattr(dealing, "_grant", twice)


@mutant("hang")
def time_is_never_asked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limits, "deadline", lambda state: None)


@mutant("closed twice|was closed|hang|asked for more")
def a_closed_source_is_pulled(patch: pytest.MonkeyPatch) -> None:
    pull = dealing.pull

    def greedy(state: State, node: Node) -> None:
        source = state.sources[node.number]
        closed, source.closed = source.closed, False
        pull(state, node)
        source.closed = closed

    patch.setattr(dealing, "pull", greedy)


@mutant("lanes|unstarted|its bound is|recycl|hang")
def a_retired_worker_counts_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Worker, "unstarted", property(lambda worker: 0))


@mutant("hang|expected|ended well")
def a_failed_stage_says_nothing(patch: pytest.MonkeyPatch) -> None:
    def fail(state: State, node: Node, note: Any) -> None:
        if node.alive:
            node.status = Status.FAILED
            ending._withdraw(state, node)
            ending._end_outputs(state, node, None)

    patch.setattr(settling, "fail_node", fail)
    patch.setattr(ending, "fail_node", fail)


def settling_event(name: str) -> type:
    """Return the event that a function of ``settling`` handles."""
    return next(kind for kind, handler in scheduler._TABLE.items() if handler is getattr(settling, name))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_the_simulation_catches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler with this fault breaks a promise within a bounded number of runs."""
    patch, kills, caught_by = MUTANTS[name]
    patch(monkeypatch)
    failing = hunt(kills)
    assert failing is not None, f"{RUNS} runs, and nobody noticed"
    assert any(word in failing.problem for word in caught_by.split("|")), f"caught, but not for its own fault: {failing}"
