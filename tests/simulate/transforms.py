"""The stream stages of a simulated run, item by item: what a model worker (or the hub) holds.

    process(port, items, origins) ─┐
    watermark, end, begin, tick, flush ─┴─► [(item, origin), ...]    then ready, done, deadline are asked

Written for themselves, not from ``oracle``, which computes the same with whole lists. ``fates`` collects what became of the input items
that were not passed on, until the worker fetches it for the ledger.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any

from olympipe_ng.origins import Origin, Origins
from olympipe_ng.scheduler.messages import StreamState

from .spec import Item, Kind, Spec

__all__ = ["Outputs", "Stream", "make_stream"]

Outputs = list[tuple[Any, Origin]]
NOTHING: Outputs = []


class Stream:
    """What all have in common; by itself it passes everything on."""

    def __init__(self, spec: Spec, inputs: int) -> None:
        self.spec = spec
        self.inputs = inputs
        self.now = 0.0
        self.fates: dict[str, int] = {}
        self.started()

    def started(self) -> None:
        """Set up the stage's own state."""

    def lose(self, fate: str, count: int) -> None:
        if count:
            self.fates[fate] = self.fates.get(fate, 0) + count

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        return list(zip(items, origins, strict=True))

    def watermark(self, port: int, upto: int) -> Outputs:
        raise AssertionError("only a stage that wants watermarks is told of them")

    def end(self, port: int) -> Outputs:
        return NOTHING

    def begin(self) -> Outputs:
        raise AssertionError("only a stage that excuses set-ups is told of their end")

    def tick(self) -> Outputs:
        raise AssertionError("a tick for a stage without a deadline")

    def flush(self) -> Outputs:
        return NOTHING

    @property
    def ready(self) -> tuple[int, ...]:
        return tuple(range(self.inputs))

    @property
    def done(self) -> bool:
        return False

    @property
    def deadline(self) -> float | None:
        return None

    @property
    def settled(self) -> int:
        return 0

    @property
    def state(self) -> StreamState:
        return StreamState(self.ready, self.done, self.deadline, self.settled)


class Batch(Stream):
    def started(self) -> None:
        self.held: Outputs = []
        self.oldest = 0.0

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        outputs = []
        for pair in zip(items, origins, strict=True):
            if not self.held:
                self.oldest = self.now
            self.held.append(pair)
            if len(self.held) == self.spec.size:
                outputs += self.flush()
        return outputs

    def flush(self) -> Outputs:
        held, self.held = self.held, []
        return [(tuple(item for item, _ in held), Origins.of(origin for _, origin in held).joined())] if held else []

    def tick(self) -> Outputs:
        return self.flush()

    @property
    def deadline(self) -> float | None:
        return self.oldest + self.spec.within if self.held and self.spec.within else None


class Limit(Stream):
    def started(self) -> None:
        self.left = self.spec.size

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        taken = min(self.left, len(items))
        self.left -= taken
        self.lose("cancelled", len(items) - taken)
        return list(zip(items[:taken], origins[:taken], strict=True))

    @property
    def done(self) -> bool:
        return self.left == 0


class Skip(Stream):
    def started(self) -> None:
        self.left = self.spec.size

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        skipped = min(self.left, len(items))
        self.left -= skipped
        self.lose("filtered", skipped)
        return list(zip(items[skipped:], origins[skipped:], strict=True))


class Gather(Stream):
    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        return [((*item, self.spec.node, port), origin) for item, origin in zip(items, origins, strict=True)]


class Zip(Stream):
    def started(self) -> None:
        self.held: list[deque[tuple[Item, Origin]]] = [deque() for _ in range(self.inputs)]
        self.ended: set[int] = set()

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        self.held[port].extend(zip(items, origins, strict=True))
        outputs: Outputs = []
        while all(self.held):
            pairs = [held.popleft() for held in self.held]
            outputs.append((tuple(item for item, _ in pairs), tuple(span for _, origin in pairs for span in origin)))
        return outputs

    @property
    def ready(self) -> tuple[int, ...]:
        return tuple(port for port, held in enumerate(self.held) if not held and port not in self.ended)

    def end(self, port: int) -> Outputs:
        self.ended.add(port)
        return NOTHING

    @property
    def done(self) -> bool:
        return any(not self.held[port] for port in self.ended)

    def flush(self) -> Outputs:
        self.lose("unpaired", sum(map(len, self.held)))
        self.held = [deque() for _ in range(self.inputs)]
        return NOTHING


class Rejoin(Stream):
    """Join by index: an index is out once every arm has given its item, and gone once an arm has settled it without one."""

    def started(self) -> None:
        self.held: list[dict[int, tuple[Item, Origin]]] = [{} for _ in range(self.inputs)]
        self.upto: list[float] = [0] * self.inputs  # by port: below this nothing more will come

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        for item, origin in zip(items, origins, strict=True):
            index = origin[0][1]
            if index < self.upto[port]:
                raise AssertionError(f"port {port}: item {item} after the watermark {self.upto[port]}")
            self.held[port][index] = (item, origin)
            self.upto[port] = index + 1
        return self.join()

    def watermark(self, port: int, upto: int) -> Outputs:
        self.upto[port] = max(self.upto[port], upto)
        return self.join()

    def end(self, port: int) -> Outputs:
        self.upto[port] = float("inf")
        return self.join()

    def join(self) -> Outputs:
        """Give what is settled on every arm, in the order of the first."""
        upto = min(self.upto)
        outputs: Outputs = []
        for index in [index for index in self.held[0] if index < upto]:
            parts = [held.pop(index, None) for held in self.held]
            found = [part for part in parts if part is not None]
            if len(found) == self.inputs:
                outputs.append((tuple(item for item, _ in found), found[0][1]))
            else:
                self.lose("dropped", len(found))
        for held in self.held[1:]:
            gone = [index for index in held if index < upto]
            for index in gone:
                del held[index]
            self.lose("dropped", len(gone))
        return outputs

    @property
    def settled(self) -> int:
        least = min(self.upto)
        return 0 if least == float("inf") else int(least)

    @property
    def ready(self) -> tuple[int, ...]:
        least = min(self.upto)
        return tuple(port for port, upto in enumerate(self.upto) if upto == least)

    def flush(self) -> Outputs:
        self.lose("dropped", sum(map(len, self.held)))
        self.held = [{} for _ in range(self.inputs)]
        return NOTHING


class Delaying(Stream):
    """Give later what came, in order."""

    def started(self) -> None:
        self.held: deque[tuple[Item, Origin]] = deque()
        self.told = 0

    def watermark(self, port: int, upto: int) -> Outputs:
        self.told = upto
        return NOTHING

    @property
    def settled(self) -> int:
        return self.told if not self.held else 0

    def flush(self) -> Outputs:
        outputs = list(self.held)
        self.held.clear()
        return outputs


class Latest(Delaying):
    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        self.held.extend(zip(items, origins, strict=True))
        while len(self.held) > self.spec.size:
            self.held.popleft()
            self.lose("dropped", 1)
        return NOTHING

    def tick(self) -> Outputs:
        return [self.held.popleft()]

    @property
    def deadline(self) -> float | None:
        return self.now if self.held else None


class Throttle(Delaying):
    """Not ready until the one it holds may go."""

    def started(self) -> None:
        super().started()
        self.next = 0.0

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        self.held.extend(zip(items, origins, strict=True))
        return NOTHING

    def tick(self) -> Outputs:
        if self.now < self.next:
            raise AssertionError(f"a tick at {self.now}, before the deadline {self.next}")
        self.next = self.now + self.spec.size * 0.01
        return [self.held.popleft()]

    @property
    def ready(self) -> tuple[int, ...]:
        return () if self.held else (0,)

    @property
    def deadline(self) -> float | None:
        return max(self.now, self.next) if self.held else None


class Idle(Stream):
    """Pass everything on, and end when nothing has come for a while."""

    def started(self) -> None:
        self.over = False
        self.last: float | None = None

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        self.last = self.now
        return super().process(port, items, origins)

    def begin(self) -> Outputs:
        self.last = self.now
        return NOTHING

    def tick(self) -> Outputs:
        if self.deadline is None or self.now < self.deadline:
            raise AssertionError(f"a tick at {self.now}, before the deadline {self.deadline}")
        self.over = True
        return NOTHING

    @property
    def done(self) -> bool:
        return self.over

    @property
    def deadline(self) -> float | None:
        return None if self.last is None or self.over else self.last + self.spec.size * 0.02


class Reduce(Stream):
    def started(self) -> None:
        self.count = self.total = 0

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        self.count += len(items)
        self.total += sum(map(hash, items))
        return NOTHING

    def flush(self) -> Outputs:
        return [((self.spec.node, self.count, self.total & 0xFFFF), ((0, 0, self.count),) if self.count else ())]


class Scan(Stream):
    def started(self) -> None:
        self.count = 0

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        outputs = [((*item, self.spec.node, self.count + k), origin) for k, (item, origin) in enumerate(zip(items, origins, strict=True))]
        self.count += len(outputs)
        return outputs


class Shuffle(Stream):
    def started(self) -> None:
        self.held: Outputs = []
        self.rng = Random(self.spec.salt)

    def process(self, port: int, items: Sequence[Item], origins: Sequence[Origin]) -> Outputs:
        outputs = []
        for pair in zip(items, origins, strict=True):
            self.held.append(pair)
            if len(self.held) > self.spec.size:
                outputs.append(self.held.pop(self.rng.randrange(len(self.held))))
        return outputs

    def flush(self) -> Outputs:
        outputs = self.held[::-1]
        self.held = []
        return outputs


_KINDS: dict[Kind, type[Stream]] = {
    Kind.BATCH: Batch,
    Kind.LIMIT: Limit,
    Kind.SKIP: Skip,
    Kind.GATHER: Gather,
    Kind.ZIP: Zip,
    Kind.REJOIN: Rejoin,
    Kind.LATEST: Latest,
    Kind.THROTTLE: Throttle,
    Kind.IDLE: Idle,
    Kind.REDUCE: Reduce,
    Kind.SCAN: Scan,
    Kind.SHUFFLE: Shuffle,
}


def make_stream(spec: Spec, inputs: int) -> Stream:
    return _KINDS[spec.kind](spec, inputs)
