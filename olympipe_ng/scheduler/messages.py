"""What the scheduler hears and says: events in, commands out.

    engine ── SourceFrame, SourceEnd, Done, WorkerReady, WorkerDied, Took, Due, Stop ... ──► Scheduler.handle(event, now)
    engine ◄── Dispatch, Grant, Cancel, Deliver, Release, Pull, StartWorker, Finish ... ──── list of commands

Positions (``lo``, ``upto``, ``hi``) count items of one frame. A ``note`` is a failure as plain data (``failures.Note``); the scheduler
passes it on and never looks into it. A ``payload`` is whatever the engine moves: encoded bytes, a list of objects, a reference.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..origins import NO_ORIGINS, Origins

__all__ = [
    "JUDGEMENTS",
    "Cancel",
    "CloseSource",
    "Command",
    "Counts",
    "Deliver",
    "Dispatch",
    "Done",
    "Drain",
    "Due",
    "Event",
    "Finish",
    "Frame",
    "Grant",
    "KillWorker",
    "Parcel",
    "Pause",
    "Pull",
    "Record",
    "Release",
    "Resume",
    "Scale",
    "SetupFailed",
    "SinkEnd",
    "SinkWaits",
    "SourceEnd",
    "SourceFailed",
    "SourceFrame",
    "Spill",
    "StartWorker",
    "Stop",
    "StopWorker",
    "StreamState",
    "Took",
    "Verb",
    "Warn",
    "WorkerDied",
    "WorkerGone",
    "WorkerReady",
    "WorkerWorn",
]


class Parcel(NamedTuple):
    """A run of items as an engine hands it over: not yet a frame of an edge."""

    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    nbytes: int
    origins: Origins
    payload: Any


class Frame:
    """A run of items on its way; referenced by every edge that carries it."""

    __slots__ = ("count", "nbytes", "number", "origins", "payload", "spilled", "uses", "whole")

    def __init__(self, number: int, parcel: Parcel) -> None:
        self.number = number
        self.count = parcel.count
        self.nbytes = parcel.nbytes
        self.origins = parcel.origins
        self.payload = parcel.payload
        self.uses = 0
        self.whole = 0  # edges on which it waits and nothing of it was cut
        self.spilled = False


class Verb(enum.IntEnum):
    """What a worker is to do with a dispatch."""

    ITEMS = 0  # run the items [lo, hi)
    WATERMARK = 1  # StreamTransform.watermark(port, watermark)
    END = 2  # StreamTransform.end(port)
    TICK = 3  # StreamTransform.tick()
    FLUSH = 4  # StreamTransform.flush()
    JUDGE = 5  # the item [lo, lo + 1) failed as ``note`` says, not by raising: apply the stage's on_error to it
    GIVE_UP = 6  # ... without looking at it nor calling a function of the user's: workers died of that
    BEGIN = 7  # StreamTransform.begin()


JUDGEMENTS = frozenset({Verb.JUDGE, Verb.GIVE_UP})


class SourceFrame(NamedTuple):
    """The source drew items."""

    source: int
    parcel: Parcel


class SourceFailed(NamedTuple):
    """Items failed in the source: they cannot be encoded, or failed in a run inside it; ``failures``: what is to be recorded of them."""

    source: int
    failed: int
    failures: tuple[Any, ...] = ()


class SourceEnd(NamedTuple):
    """The source has ended, after ``total`` items in all; ``note``: it raised. Also the answer to ``CloseSource``."""

    source: int
    total: int
    note: Any = None


class Counts(NamedTuple):
    """What became of the items that a ``Done`` settles: the worker's side of the ledger."""

    passed: int = 0
    filtered: int = 0
    dropped: int = 0
    failed: int = 0
    unpaired: int = 0
    unread: int = 0
    cancelled: int = 0
    retried: int = 0


class StreamState(NamedTuple):
    """What a stream transform wants, after a ``Done``."""

    ready: tuple[int, ...]
    done: bool
    deadline: float | None
    settled: int = 0  # below this source index nothing more will come of what it was told is settled


class Done(NamedTuple):
    """A worker has settled the items ``[.., upto)`` of a ticket.

    * ``finished``: the worker is through with the ticket; if ``upto`` is below the ticket's end it gives the rest back, to be dealt anew.
      With ``retry`` set, the item ``upto`` failed and wants another attempt (``retry`` is the note of this failure).
      With ``note`` set, the item ``upto`` failed for good under ``on_error="raise"``: nothing beyond is run.
    * not ``finished`` and ``waiting``: its allowance is used up; it waits for a ``Grant``. The item ``upto`` may have given outputs already
      (``emitted`` of them), which are committed with this message. Neither: a prefix, the worker goes on.
    """

    worker: int
    ticket: int
    upto: int
    outputs: tuple[tuple[int, Parcel], ...] = ()
    finished: bool = True
    waiting: bool = False
    emitted: int = 0
    retry: Any = None
    note: Any = None
    failures: tuple[Any, ...] = ()
    counts: Counts = Counts()
    busy: float = 0.0  # seconds in the user's function, of the items settled by this message
    moving: float = 0.0  # seconds of decoding and encoding
    slowest: float = 0.0  # seconds of the dearest item
    state: StreamState | None = None
    unloaded: int = 0  # of the failed: items that could not be loaded, failures of the stage that made them


class WorkerReady(NamedTuple):
    """A worker is set up; ``pid`` is for reports."""

    worker: int
    pid: int
    state: StreamState | None = None


class SetupFailed(NamedTuple):
    """A worker's initializer or constructor failed."""

    worker: int
    note: Any


class WorkerDied(NamedTuple):
    """A worker ended without having been told to. ``in_hand``: see ``Due``; ``killed``: by a signal that may come from outside."""

    worker: int
    note: Any
    in_hand: Mapping[int, range] | None = None
    killed: bool = False


class WorkerGone(NamedTuple):
    """A worker that was told to stop (or was killed on order) has ended; ``note``: closing it failed."""

    worker: int
    note: Any = None


class WorkerWorn(NamedTuple):
    """A worker has grown too large: it is to be replaced between two items."""

    worker: int


class Took(NamedTuple):
    """The consumer has taken ``count`` more items of a sink."""

    sink: int
    count: int  # type: ignore[assignment]


class SinkWaits(NamedTuple):
    """A consumer waits for (or no longer waits for) this sink; tells a slow consumer from a starved one. There may be several."""

    sink: int
    waiting: bool


class Due(NamedTuple):
    """``Scheduler.deadline`` has come. ``in_hand``: by ticket, the items that a lane is at (not there: not begun); ``None``: unknown."""

    in_hand: Mapping[int, range] | None = None


class Scale(NamedTuple):
    """Run this stage with so many workers from now on."""

    node: int
    workers: int


class Pause(NamedTuple):
    """Begin nothing new."""


class Resume(NamedTuple):
    """Go on after ``Pause``."""


class Drain(NamedTuple):
    """Close the sources, finish what was drawn."""


class Stop(NamedTuple):
    """Drop what is in flight; ``note``: the run fails with it."""

    note: Any = None


Event = (
    SourceFrame | SourceFailed | SourceEnd | Done | WorkerReady | SetupFailed | WorkerDied | WorkerGone | WorkerWorn | Took | SinkWaits
    | Due | Scale | Pause | Resume | Drain | Stop
)

# --------------------------------------------------------------------------------------------------------------- commands


class Dispatch(NamedTuple):
    """Give the items ``[lo, hi)`` of a frame to a worker, as one ticket."""

    worker: int
    ticket: int
    verb: Verb
    port: int
    frame: Frame | None  # None for END, TICK, FLUSH, WATERMARK
    lo: int
    hi: int
    origins: Origins = NO_ORIGINS
    allowance: int = 0  # outputs it may give before it waits for a Grant; -1: as many as there are items
    attempt: int = 0  # failed attempts of the item before this one
    patience: float = 0.0  # seconds after which to give the rest back, others could take it; 0: never
    hurry: bool = True  # somebody has nothing to do until it gives something: tell of what is finished soon
    watermark: int = 0
    note: Any = None  # for JUDGE
    emitted: int = 0  # for JUDGE: outputs that the item gave before


class Grant(NamedTuple):
    """The ticket may give ``allowance`` more outputs."""

    worker: int
    ticket: int
    allowance: int


class Cancel(NamedTuple):
    """Do not begin the ticket's remaining items; the worker answers with a last ``Done``."""

    worker: int
    ticket: int


class Deliver(NamedTuple):
    """Hand the items ``[lo, hi)`` to the caller; ``soon``: tell at once when they are taken, else that may wait a moment."""

    sink: int
    frame: Frame
    lo: int
    hi: int
    soon: bool = True


class SinkEnd(NamedTuple):
    """The sink is complete; ``note``: it ended with this error."""

    sink: int
    note: Any = None


class Release(NamedTuple):
    """Nobody will ask for this frame again."""

    frame: Frame


class Spill(NamedTuple):
    """Write this frame's payload to a temporary file; it will be wanted, but not soon, and nobody uses it now."""

    frame: Frame


class Pull(NamedTuple):
    """Draw until ``upto`` items have been drawn in all; ``hungry``: ship what there is at once."""

    source: int
    upto: int
    hungry: bool


class CloseSource(NamedTuple):
    """Draw no more and close the iterator; answered with ``SourceEnd``.

    ``drain``: after all that was drawn; of a run inside the source that may be more than was asked for, and ``Pull`` goes on asking. Else
    nobody wants any more of it; that may be said after the other.
    """

    source: int
    drain: bool = False


class StartWorker(NamedTuple):
    """Start a worker; ``place`` is which of its stage's it is (0 to count-1), kept over restarts."""

    worker: int
    node: int
    place: int


class StopWorker(NamedTuple):
    """Let a worker close and end; answered with ``WorkerGone``. ``abandon``: without waiting for the item in hand longer than the grace."""

    worker: int
    abandon: bool = False


class KillWorker(NamedTuple):
    """Kill a worker that hangs; answered with ``WorkerDied`` and this note."""

    worker: int
    note: Any = None


class Record(NamedTuple):
    """A failure was committed, in order, and the run goes on."""

    note: Any


class Warn(NamedTuple):
    """Log one line for the user."""

    text: str


class Finish(NamedTuple):
    """The run is over, every worker gone; ``note``: with this error. ``complaint``: the ledger does not balance."""

    note: Any = None
    complaint: str = ""


Command = (
    Dispatch | Grant | Cancel | Deliver | SinkEnd | Release | Spill | Pull | CloseSource | StartWorker | StopWorker | KillWorker | Record
    | Warn | Finish
)
