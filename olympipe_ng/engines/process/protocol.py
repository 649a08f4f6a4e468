"""The messages of the star, as headers of plain data and payload segments.

    caller ──► supervisor    SOURCE_FRAME, EVENT, STATISTICS, DEFINE, GRAPH, GATHER
    caller ◄── supervisor    DELIVER, SINK_END, PULL, CLOSE_SOURCE, RECORD, WARN, STATISTICS, FINISH, CRASH, DEFINE, LOG, PRINT
    worker ◄── supervisor    SETUP, DISPATCH, GRANT, CANCEL, STOP, DEFINE
    worker ──► supervisor    PAGE, READY, SETUP_FAILED, DONE, WORN, CLOSING, GONE, WARN, LOG, PRINT, DEFINE
    supervisor ──► template  FORK; answered with FORKED, or REFUSED: who forks the workers of a run
    caller ──► nursery       BEGIN, REAP; each answered with NURSED: who begets supervisors
    arena ──► its keeper     SEGMENT, LENT, RETURNED, MAPPED, FETCH: from the caller and each worker to the supervisor
    arena ◄── its keeper     SEGMENT, ACCEPT, FREE, FETCHED, RETIRED

The supervisor reads headers (``marshal``, no user code) and passes payloads on as they are. Named tuples travel as plain tuples and are
named again here, and only here.
"""

from __future__ import annotations

from typing import Any, cast

from ...failures import Note
from ...origins import Origins
from ...scheduler import messages as m
from ...scheduler.statistics import NodeStatistics
from ...transport.encoding import Encoded
from ...transport.wire import Buffer

__all__ = [
    "pack_dispatch",
    "pack_done",
    "pack_note",
    "pack_parcel",
    "pack_statistics",
    "unpack_dispatch",
    "unpack_done",
    "unpack_event",
    "unpack_note",
    "unpack_parcel",
    "unpack_statistics",
]

SOURCE_FRAME, EVENT, STATISTICS, DEFINE, GRAPH, GATHER = range(6)
DELIVER, SINK_END, PULL, CLOSE_SOURCE, RECORD, WARN, FINISH, CRASH = range(10, 18)
SETUP, DISPATCH, GRANT, CANCEL, STOP, FORK, FORKED, REFUSED = range(20, 28)
READY, SETUP_FAILED, DONE, CLOSING, GONE, WORN, PAGE, LOG, PRINT = range(30, 39)
SEGMENT, ACCEPT, FREE, LENT, RETURNED, FETCH, FETCHED, RETIRED, MAPPED = range(40, 49)  # shared memory: see ``shared`` and ``depot``
BEGIN, REAP, NURSED = range(50, 53)  # between the caller and its nursery

Plain = tuple[Any, ...]

EVENTS: dict[str, type] = {
    kind.__name__: kind for kind in (m.SourceFailed, m.SourceEnd, m.Took, m.SinkWaits, m.Pause, m.Resume, m.Drain, m.Stop, m.Scale)
}


def pack_note(note: Note | None) -> Plain | None:
    return None if note is None else tuple(note)


def unpack_note(plain: Plain | None) -> Note | None:
    return None if plain is None else Note(*plain)


def pack_notes(notes: tuple[Any, ...]) -> Plain:
    return tuple(map(tuple, notes))


def unpack_notes(plain: Plain) -> tuple[Note, ...]:
    return tuple(Note(*each) for each in plain)


def pack_event(event: m.Event) -> Plain:
    """Return the header of an event without payload."""
    values = [tuple(value) if isinstance(value, Note) else value for value in event]
    if isinstance(event, m.SourceFailed):
        values[2] = pack_notes(event.failures)
    return (EVENT, type(event).__name__, *values)


def unpack_event(header: Plain) -> m.Event:
    kind, values = EVENTS[header[1]], list(header[2:])
    if kind is m.SourceEnd:
        values[2] = unpack_note(values[2])
    elif kind is m.SourceFailed:
        values[2] = unpack_notes(values[2])
    elif kind is m.Stop:
        values[0] = unpack_note(values[0])
    event: m.Event = kind(*values)
    return event


def pack_origins(origins: Origins) -> Plain:
    return tuple(map(tuple, origins.runs))


def pack_parcel(parcel: m.Parcel) -> tuple[Plain, list[Buffer]]:
    """Return a parcel's header and segments."""
    payload: Encoded = parcel.payload
    segments = payload.segments()
    length = sum(memoryview(segment).nbytes for segment in segments)
    return (parcel.count, parcel.nbytes, pack_origins(parcel.origins), payload.header(), length), segments


def unpack_parcel(plain: Plain, payload: memoryview) -> m.Parcel:
    count, nbytes, runs, header, length = plain
    return m.Parcel(count, nbytes, Origins(runs), Encoded.from_wire(header, payload[:length]))


def pack_done(done: m.Done) -> tuple[Plain, list[Buffer]]:
    outputs: list[Any] = []
    segments: list[Buffer] = []
    for outlet, parcel in done.outputs:
        header, parts = pack_parcel(parcel)
        outputs.append((outlet, header))
        segments += parts
    plain = done._replace(
        outputs=tuple(outputs),
        retry=pack_note(done.retry),
        note=pack_note(done.note),
        failures=pack_notes(done.failures),
        counts=tuple(done.counts),  # type: ignore[arg-type]
        state=None if done.state is None else tuple(done.state),  # type: ignore[arg-type]
    )
    return (DONE, *plain), segments


def unpack_done(header: Plain, payload: memoryview, worker: int) -> m.Done:
    done = m.Done(*header[1:])
    outputs: list[tuple[int, m.Parcel]] = []
    at = 0
    for outlet, plain in cast("tuple[tuple[int, Plain], ...]", done.outputs):
        outputs.append((outlet, unpack_parcel(plain, payload[at:])))
        at += plain[4]
    return done._replace(
        worker=worker,
        outputs=tuple(outputs),
        retry=unpack_note(done.retry),
        note=unpack_note(done.note),
        failures=unpack_notes(done.failures),
        counts=m.Counts(*done.counts),
        state=unpack_state(done.state),
    )


def unpack_state(plain: Any) -> m.StreamState | None:
    return None if plain is None else m.StreamState(*plain)


def pack_dispatch(command: m.Dispatch) -> tuple[Plain, list[Buffer]]:
    """Return a dispatch with exactly the items it is about."""
    header: Plain | None = None
    segments: list[Buffer] = []
    if command.frame is not None:
        part: Encoded = command.frame.payload.cut(command.lo, command.hi)
        header, segments = part.header(), part.segments()
    plain = command._replace(
        verb=int(command.verb),  # type: ignore[arg-type]
        frame=header,  # type: ignore[arg-type]
        origins=pack_origins(command.origins),  # type: ignore[arg-type]
        note=pack_note(command.note),
    )
    return (DISPATCH, *plain), segments


def unpack_dispatch(header: Plain, payload: memoryview) -> m.Dispatch:
    plain = m.Dispatch(*header[1:])
    origins, frame = Origins(cast("Any", plain.origins)), None
    if plain.frame is not None:
        encoded = Encoded.from_wire(cast("Any", plain.frame), payload)
        frame = m.Frame(0, m.Parcel(encoded.count, encoded.nbytes, origins, encoded))
    return plain._replace(verb=m.Verb(plain.verb), frame=frame, origins=origins, note=unpack_note(plain.note))


def pack_statistics(records: tuple[NodeStatistics, ...]) -> Plain:
    return tuple(tuple(record._replace(counts=tuple(record.counts))) for record in records)  # type: ignore[arg-type]


def unpack_statistics(plain: Plain) -> tuple[NodeStatistics, ...]:
    return tuple(NodeStatistics(*each)._replace(counts=m.Counts(*each[4])) for each in plain)
