"""Mutants that lose items at a death or a retry, or get wrong how workers, sources and runs begin and end."""

from __future__ import annotations

from typing import Any

import pytest

from olympipe_ng.scheduler import dealing, deaths, ending, limits, scheduler, settling
from olympipe_ng.scheduler.messages import Grant
from olympipe_ng.scheduler.node import Node, Ticket, TicketState, Worker, WorkerStatus
from olympipe_ng.scheduler.state import State
from tests.scheduler.mutants import mutant, settling_event

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


@mutant("told to close|ledger|should be|lost|expected|never released|hang")
def the_end_does_not_wait_for_what_is_in_hand(patch: pytest.MonkeyPatch) -> None:
    def after_items(state: State, node: Node) -> None:
        edge = state.edges[node.plan.inputs[0]]
        if edge.ended and not edge.queue and edge.note is None:
            ending._end_node(state, node)
            node.window = []

    patch.setattr(ending, "_after_items", after_items)


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


@mutant("hang")
def a_source_that_is_drained_is_not_pulled(patch: pytest.MonkeyPatch) -> None:
    pull = dealing.pull
    patch.setattr(dealing, "pull", lambda state, node: None if state.sources[node.number].draining else pull(state, node))


@mutant("left open")
def a_source_that_nobody_reads_goes_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ending, "_close_source", lambda state, node: None)


@mutant("lanes|unstarted|its bound is|recycl|hang")
def a_retired_worker_counts_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Worker, "unstarted", property(lambda worker: 0))


@mutant("hang|expected|ended well")
def a_failed_stage_says_nothing(patch: pytest.MonkeyPatch) -> None:
    fail_node = ending.fail_node

    def fail(state: State, node: Node, note: Any) -> None:
        fail_node(state, node, None)

    patch.setattr(settling, "fail_node", fail)
    patch.setattr(ending, "fail_node", fail)
