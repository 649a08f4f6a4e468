"""The messages of the star, as headers of plain data and payload segments.

    caller ──► supervisor    SOURCE_FRAME, EVENT, STATISTICS, DEFINE, GRAPH, TAKES_ALL
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

from typing import Any

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

SOURCE_FRAME, EVENT, STATISTICS, DEFINE, GRAPH, TAKES_ALL = range(6)
DELIVER, SINK_END, PULL, CLOSE_SOURCE, RECORD, WARN, FINISH, CRASH = range(10, 18)
SETUP, DISPATCH, GRANT, CANCEL, STOP, FORK, FORKED, REFUSED = range(20, 28)
READY, SETUP_FAILED, DONE, CLOSING, GONE, WORN, PAGE, LOG, PRINT = range(30, 39)
SEGMENT, ACCEPT, FREE, LENT, RETURNED, FETCH, FETCHED, RETIRED, MAPPED = range(40, 49)  # shared memory: see ``shared`` and ``depot``
BEGIN, REAP, NURSED = range(50, 53)  # between the caller and its nursery

VERBS = tuple(m.Verb)  # by their numbers

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
    count, nbytes, origins, payload = parcel
    segments = payload.segments()
    return (count, nbytes, pack_origins(origins), payload.header(), sum(map(len, segments))), segments


def unpack_parcel(plain: Plain, payload: memoryview) -> m.Parcel:
    count, nbytes, runs, header, length = plain
    return m.Parcel(count, nbytes, Origins(runs), Encoded.from_wire(header, payload[:length]))


def pack_done(done: m.Done) -> tuple[Plain, list[Buffer]]:
    worker, ticket, upto, parcels, finished, waiting, emitted, retry, note, failures, counts, busy, moving, slowest, state, unloaded = done
    outputs: list[Any] = []
    segments: list[Buffer] = []
    for outlet, parcel in parcels:
        header, parts = pack_parcel(parcel)
        outputs.append((outlet, header))
        segments += parts
    books = (pack_note(retry), pack_note(note), pack_notes(failures), tuple(counts), busy, moving, slowest)
    plain_state = None if state is None else tuple(state)
    return (DONE, worker, ticket, upto, tuple(outputs), finished, waiting, emitted, *books, plain_state, unloaded), segments


def unpack_done(header: Plain, payload: memoryview, worker: int) -> m.Done:
    _, _, ticket, upto, parcels, finished, waiting, emitted, retry, note, failures, counts, busy, moving, slowest, state, unloaded = header
    outputs: list[tuple[int, m.Parcel]] = []
    at = 0
    for outlet, plain in parcels:
        outputs.append((outlet, unpack_parcel(plain, payload[at:])))
        at += plain[4]
    books = (unpack_note(retry), unpack_note(note), unpack_notes(failures), m.Counts(*counts), busy, moving, slowest)
    return m.Done(worker, ticket, upto, tuple(outputs), finished, waiting, emitted, *books, unpack_state(state), unloaded)


def unpack_state(plain: Any) -> m.StreamState | None:
    return None if plain is None else m.StreamState(*plain)


def pack_dispatch(command: m.Dispatch) -> tuple[Plain, list[Buffer]]:
    """Return a dispatch with exactly the items it is about."""
    worker, ticket, verb, port, frame, lo, hi, origins, allowance, attempt, patience, hurry, watermark, note, emitted = command
    header: Plain | None = None
    segments: list[Buffer] = []
    if frame is not None:
        part: Encoded = frame.payload.cut(lo, hi)
        header, segments = part.header(), part.segments()
    how = (allowance, attempt, patience, hurry, watermark, pack_note(note), emitted)
    return (DISPATCH, worker, ticket, int(verb), port, header, lo, hi, pack_origins(origins), *how), segments


def unpack_dispatch(header: Plain, payload: memoryview) -> m.Dispatch:
    _, worker, ticket, verb, port, plain, lo, hi, runs, allowance, attempt, patience, hurry, watermark, note, emitted = header
    origins, frame = Origins(runs), None
    if plain is not None:
        encoded = Encoded.from_wire(plain, payload)
        frame = m.Frame(0, m.Parcel(encoded.count, encoded.nbytes, origins, encoded))
    how = (allowance, attempt, patience, hurry, watermark, unpack_note(note), emitted)
    return m.Dispatch(worker, ticket, VERBS[verb], port, frame, lo, hi, origins, *how)


def pack_statistics(records: tuple[NodeStatistics, ...]) -> Plain:
    return tuple(tuple(record._replace(counts=tuple(record.counts))) for record in records)  # type: ignore[arg-type]


def unpack_statistics(plain: Plain) -> tuple[NodeStatistics, ...]:
    return tuple(NodeStatistics(*each)._replace(counts=m.Counts(*each[4])) for each in plain)
