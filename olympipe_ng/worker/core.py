"""A stage's worker, without the process or thread around it: dispatches in, ``Done`` messages out.

    host: process, thread, hub or inline ── Dispatch ──► StageWorker.run ── Done, Done(waiting) ... ──► host
                                                              ▲──────────── allowance (Grant) ◄────────── host

``run`` is a generator: it yields what is to be told, and where a ``Done`` says ``waiting`` it must be resumed with the allowance granted.
So the same code serves a host that blocks in a socket, one that keeps many tickets suspended (the hub), and one that runs everything at
once (inline). How a ticket is run depends on the shape of the stage only: ``items``, ``many``, ``streams``, ``coroutines``.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import loops
from ..current import POSITION, WORKER, CurrentWorker, Position
from ..failures import Kind, Note, to_error
from ..origins import Origins
from ..scheduler.messages import JUDGEMENTS, Dispatch, Done, StreamState, Verb
from ..stages.contract import Arity, Fate, StreamTransform
from .hands import UNSEEN, Hands
from .items import run_items
from .many import run_many
from .notes import make_note, summarise
from .spec import Codec, StageSpec
from .streams import run_stream
from .ticket import Answers, Catch, Outputs, TicketRun, everything

if TYPE_CHECKING:
    import asyncio

__all__ = ["NOBODY", "StageWorker", "drive"]

NOBODY = -1  # an "allowance": nobody wants the rest
UNSEEN_ITEM = "<not shown: a worker died of loading it, or of what is done when it fails>"
_NOTHING = Exception()


class StageWorker:
    """One worker of one stage.

    ``warn(text)`` logs for the user; ``cancelled(ticket)`` says whether nobody wants the rest of a ticket, ``worn()`` whether this worker
    has grown too large to begin another item of one; ``hands`` is where its lanes say what they are at.
    """

    def __init__(
        self,
        spec: StageSpec,
        place: int,
        codec: Codec,
        *,
        warn: Callable[[str], None],
        cancelled: Callable[[int], bool] = lambda ticket: False,
        worn: Callable[[], bool] = lambda: False,
        hands: Hands = UNSEEN,
        catch: Catch = everything,
    ) -> None:
        self.spec = spec
        self.codec = codec
        self.warn = warn
        self.cancelled = cancelled
        self.worn = worn
        self.hands = hands
        self.catch = catch  # the inline engine lets KeyboardInterrupt through: there it is the user's own Ctrl-C
        self.seed = spec.seed
        self.clock = time.monotonic
        self.who = CurrentWorker(spec.plan.label, place)
        self.numbers = True  # results were plain numbers so far: the quickest loop is tried first
        self.tally: dict[str, int] = {}  # of the stream transform's ticket in hand
        self._spare = _Spare()

    # -------------------------------------------------------------------------------------------------- set-up and closing

    def setup(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Run the initializers and build the running half; ``loop`` runs what is asynchronous of it."""
        WORKER.set(self.who)
        for initializer in self.spec.initializers:
            initializer()
        self.transform = self.spec.stage.make(self)
        _finish(self.transform.setup(), loop)

    def close(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Clean up, if it was set up; what the running half holds is let go of, which refers to this worker as this does to it."""
        transform = vars(self).pop("transform", None)
        if transform is not None:
            WORKER.set(self.who)
            _finish(transform.close(), loop)

    def setup_note(self, error: BaseException, kind: str = Kind.SETUP) -> Note:
        return make_note(self.spec, self.codec, error, kind)

    @property
    def state(self) -> StreamState | None:
        """Return what a stream transform wants now."""
        transform = getattr(self, "transform", None)
        if not isinstance(transform, StreamTransform):
            return None
        return StreamState(tuple(transform.ready), bool(transform.done), transform.deadline, transform.settled)

    def count(self, fate: Fate, origins: Origins) -> None:
        """Take note of what a stream transform did not pass on (it is its ``Context``)."""
        self.tally[fate.value] = self.tally.get(fate.value, 0) + len(origins)

    # ------------------------------------------------------------------------------------------------------------ running

    def run(self, dispatch: Dispatch) -> Answers:
        """Run a ticket of a synchronous stage."""
        ticket = self.begin(dispatch)
        try:
            yield from self._runner(ticket)
        finally:
            self.hands.put_down(ticket.slot)
        self._spare.outputs.append(ticket.outputs)

    def _runner(self, ticket: TicketRun) -> Answers:
        if ticket.dispatch.verb in JUDGEMENTS:
            return self.judge(ticket)
        if isinstance(self.transform, StreamTransform):
            return run_stream(self, ticket, self.transform)
        if self.spec.stage.arity is Arity.MANY:
            return run_many(self, ticket, self.transform)
        return run_items(self, ticket, self.transform)

    def begin(self, dispatch: Dispatch) -> TicketRun:
        """Open the books of a ticket, and let the user's function ask where it is."""
        spare = self._spare.outputs
        outputs = spare.pop() if spare else Outputs(self.spec, self.codec)
        position = Position(self.spec.plan.number, self.spec.seed)
        position.origins, position.first, position.where = dispatch.origins, dispatch.lo, dispatch.lo
        POSITION.set(position)
        WORKER.set(self.who)
        return TicketRun(self.spec, self.codec, outputs, dispatch, position, self.hands, self.catch)

    def open(self, dispatch: Dispatch) -> Any:
        """Return the items of a ticket, to be indexed from 0."""
        assert dispatch.frame is not None
        return self.codec.open(dispatch.frame.payload, dispatch.lo, dispatch.hi)

    def judge(self, ticket: TicketRun) -> Answers:
        """Apply the stage's policy to an item that failed by killing its worker, or by taking too long."""
        dispatch = ticket.dispatch
        ticket.allowance = max(1, dispatch.allowance)
        unseen = dispatch.verb is Verb.GIVE_UP
        item = UNSEEN_ITEM if unseen else self.look_again(ticket, dispatch.lo)
        where = ticket.note(dispatch.lo, item, _NOTHING, dispatch.note.kind)
        note = dispatch.note._replace(
            stage=where.stage,
            declared_at=where.declared_at,
            index=where.index,
            item_repr=item if unseen else where.item_repr,
            attempts=dispatch.attempt + 1,
            emitted=dispatch.emitted,
        )
        error = to_error(note, None, [])
        apply = ticket.record if unseen else ticket.judge
        yield apply(dispatch.lo, item, error, note) or ticket.done(dispatch.hi, finished=True)

    def look_again(self, ticket: TicketRun, at: int) -> Any:
        """Return an item for a message about it, whatever loading it does."""
        try:
            return self.open(ticket.dispatch)[at - ticket.dispatch.lo]
        except self.catch() as error:  # it was the loading that failed
            return f"<cannot be loaded: {summarise(error)}>"


class _Spare(threading.local):
    """Outputs to be used again, by the lane that made them only: what pickles in them is for one thread at a time."""

    def __init__(self) -> None:
        self.outputs: list[Outputs] = []


def _finish(outcome: Any, loop: asyncio.AbstractEventLoop | None) -> None:
    """Wait for what a set-up or close method returned, if it is asynchronous."""
    if inspect.isawaitable(outcome):
        if loop is not None:
            loops.complete(loop, outcome)
        else:
            loops.run(outcome)


def drive(answers: Answers, tell: Callable[[Done], Any], room: Callable[[int], int]) -> None:
    """Run a ticket to its end in a host that may block: ``tell`` takes each ``Done``, ``room(ticket)`` waits for an allowance."""
    told = next(answers, None)
    while told is not None:
        tell(told)
        allowance = room(told.ticket) if told.waiting else 0
        if allowance == NOBODY:
            answers.close()
            tell(Done(told.worker, told.ticket, told.upto))
            return
        try:
            told = answers.send(allowance)
        except StopIteration:
            return
