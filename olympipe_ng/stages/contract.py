"""The contract of a stage: what it *means*, and nothing of how it is run.

    Pipeline.batch(32) ──► Batch(batch_size=32)    a Stage: frozen, validated, describes
                                │ .make(context)   in each worker, once per run
                                ▼
                           _Batching               its running half: state lives here

A running half has one of two shapes:

* an **ItemTransform** has ``apply(item)`` and an ``Arity``. The worker loops over it, so that position, origin, seed, retry and
  time limit live in one place (``worker``);
* a **StreamTransform** has ``process / watermark / end / begin / tick / flush / close``. Each yields emissions ``(outlet, items,
  origins)``. It is a generator, so the engine may pause between two emissions when there is no room: emit early, in moderate pieces.

No sentinel travels: skipping is absence, ``None`` is an item like any other.

**Opaque** stages (``opaque = True``) have no user code and never look into an item: they only regroup. What they get may be encoded items
rather than the objects; what they emit must be an item they were given, or a *new* ``list`` or ``tuple`` whose elements are
such items or exact scalars (``enumerate`` emits ``(5, item)``). They must not call, compare, hash or copy items.

**The property every kind must keep:** cutting the stream into calls of ``process`` differently never changes the result.

A new kind is one file here, one typed method on ``Pipeline``, one test file. The engine never asks which kind it runs: all it may ask
is written in this file.

Considered and refused: one shape for both (a map written as a stream transform costs a generator per frame and puts
retries, origins and time limits into every kind); sentinels for "skip" and "end" (``None`` is data).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..options import StageConfig

if TYPE_CHECKING:
    from typing import TypeAlias

    from ..origins import Origins

__all__ = [
    "Arity",
    "Context",
    "Emission",
    "Fate",
    "ItemTransform",
    "Running",
    "Stage",
    "StreamTransform",
]


class Arity(enum.Enum):
    """How many outputs one call of ``ItemTransform.apply`` stands for."""

    ONE = "one"  # the result is the output (``DROP``: none)
    KEEP = "keep"  # the truth of the result says whether the *item* is the output; asked for it, the result may raise
    MANY = "many"  # the result is iterated, each element an output (``DROP``, as an element or the result: none)
    ROUTED = "routed"  # the result has a value per outlet; ``None`` and ``DROP``: none for that outlet


class Fate(enum.Enum):
    """What a stage may say became of an input item that it did not pass on; the worker counts what failed, and what nobody reads."""

    FILTERED = "filtered"
    DROPPED = "dropped"  # latest, unique, split, rejoin
    UNPAIRED = "unpaired"  # zip's rest
    CANCELLED = "cancelled"  # after limit, a timeout or a stop


class Context(Protocol):
    """What a running half may ask of its worker."""

    seed: int | None
    """The pipeline's seed, ``None`` for fresh randomness."""

    def clock(self) -> float:
        """Return monotonic seconds, comparable between all workers of a run."""

    def count(self, fate: Fate, origins: Origins) -> None:
        """Record that the input items with these origins were not passed on."""

    def warn(self, text: str) -> None:
        """Log one line for the user, in the caller's process."""


Emission: TypeAlias = "tuple[int, Sequence[Any], Origins]"
"""``(outlet, items, origins)``, the last two of one length."""


class ItemTransform:
    """The running half of a stage that treats every item by itself.

    ``apply`` may be replaced on the instance (``self.apply = fn``), so that a plain map has no wrapper around the user's function.
    When ``stage.is_async``, ``apply`` returns an awaitable of what ``Arity`` describes.
    ``setup`` and ``close`` may be coroutine functions too (the worker awaits what they return if it is awaitable).
    """

    apply: Callable[[Any], Any]

    def setup(self) -> Any:
        """Prepare, before the first item; an error here fails the run once."""

    def close(self) -> Any:
        """Clean up: the stream ended, failed or was stopped."""


class StreamTransform:
    """The running half of a stage that sees the stream as a whole; one instance, one worker, inputs in order.

    The engine reads, after each call is exhausted: ``ready``, ``done``, ``deadline`` and ``settled``. It encodes (or copies) an emission
    before it resumes the generator: a running value that the user's reducer changes in place is seen as it was.
    """

    inputs: int = 1

    def setup(self) -> Any:
        """Prepare, before the first item."""

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        """Take items of one port, never none.

        A stage that is not opaque is given one item per call: so what the user's code raises is that item's failure, and the others,
        before and behind it, are not touched.
        """
        raise NotImplementedError

    def watermark(self, port: int, upto: int) -> Iterable[Emission]:
        """Learn that every source index below ``upto`` is settled on ``port`` (only with ``Stage.tells_settled``)."""
        return ()

    def end(self, port: int) -> Iterable[Emission]:
        """Learn that ``port`` has ended."""
        return ()

    def begin(self) -> Iterable[Emission]:
        """Learn that what is before it has been set up, at the start or anew, or that a pause is over (with ``Stage.excuses_setup``)."""
        return ()

    def tick(self) -> Iterable[Emission]:
        """Act because ``deadline`` has come."""
        return ()

    def flush(self) -> Iterable[Emission]:
        """Give what is left, after all ports have ended and ``deadline`` is ``None`` (``throttle`` spaces its last items too), or when
        ``done``; called once."""
        return ()

    def close(self) -> Any:
        """Clean up: the stream ended, failed or was stopped."""

    @property
    def settled(self) -> int:
        """Return the source index below which all is given or gone that ever will be, of what ``watermark`` said; 0: not known."""
        return 0

    @property
    def ready(self) -> Sequence[int]:
        """Return the ports whose items it takes now; a zip waits for the arm that is behind."""
        return range(self.inputs)

    @property
    def done(self) -> bool:
        """Say whether it wants no more input (``limit`` on its n-th item); then it is flushed and ended."""
        return False

    @property
    def deadline(self) -> float | None:
        """Return when (``context.clock``) ``tick`` wants to be called, ``None`` for never."""
        return None


Running = ItemTransform | StreamTransform


@dataclass(frozen=True, eq=False)
class Stage:
    """What every stage description offers to graph, plan and engine.

    Subclasses are frozen dataclasses, validate in ``__post_init__`` (``GraphError``; call ``super().__post_init__()``), and
    implement ``make``. ``self.config`` holds the user's keywords, resolved.
    """

    config: StageConfig = field(default_factory=StageConfig, kw_only=True)

    arity: ClassVar[Arity | None] = None
    """Set for item transforms, ``None`` for stream transforms."""
    keeps_origin: ClassVar[bool] = False
    """Each output has the origin of exactly one input, in order, at most once: what ``rejoin`` needs of its arms."""
    tells_apart: ClassVar[bool] = False
    """No two outputs have one origin, and they leave in its order, if the inputs came so: may stand before the fork of a ``rejoin``."""
    passes_watermarks: ClassVar[bool] = False
    """Holds nothing back: what is settled before a stream transform is settled behind it, once it was given what came before."""
    abreast: ClassVar[bool] = False
    """Makes each output of one item per port (``zip``). A port that fails after another has ended does not fail the stage: its item would
    have been in no output."""
    wants_watermarks: ClassVar[bool] = False
    """Cannot go on without watermarks: up to which origin each port is settled (``rejoin``). They are made where one is behind."""
    excuses_setup: ClassVar[bool] = False
    """What it waits for is not late while a stage before it is being set up, or the run is paused: it has no ``tick`` meanwhile, and then
    ``begin``."""
    tells_settled: ClassVar[bool] = False
    """Holds back what came before a watermark, but not for ever: it is given each, and says itself what is ``settled`` behind it."""

    def __post_init__(self) -> None:
        """Check the fields; the base has nothing to check that ``StageConfig`` has not."""

    # The flags below are properties, because for some kinds they depend on the fields (``class_task(stateful=True)``,
    # ``rejoin(missing=)``); most kinds say them once, as a ``ClassVar``.

    @property
    def opaque(self) -> bool:
        """Say that it has no user code and never looks into an item."""
        return False

    @property
    def one_to_one(self) -> bool:
        """Say that it gives as many outputs as inputs, each by itself: what indexing and ``len`` need."""
        return False

    @property
    def stateful(self) -> bool:
        """Say that it holds state that dies with its worker (``reduce``, ``scan``): the death fails the run."""
        return False

    @property
    def renews(self) -> bool:
        """Say that each worker holds an instance of the user's: if one dies another goes on with a fresh one, and the user is told."""
        return False

    keeps_fresh: ClassVar[bool] = False
    """What it gives grows old by waiting: the edge behind it holds as little as can be."""

    @property
    def drops_silently(self) -> bool:
        """Say that it may give fewer items than it gets: ``zip`` of such an arm warns and names ``rejoin``."""
        return False

    @property
    def kind(self) -> str:
        """Return the word users call it by: the method's name."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def outlets(self) -> int:
        """Return the number of outlets, without the one that ``on_error="branch"`` adds behind them."""
        return 1

    @property
    def is_async(self) -> bool:
        """Say whether ``apply`` returns awaitables."""
        return False

    @property
    def label(self) -> str:
        """Return the stage's name in errors, logs and ``top``."""
        return self.config.name or self.function_name or self.kind

    @property
    def function_name(self) -> str:
        """Return the name of the user's function, ``""`` without one."""
        return ""

    def checked(self, result: Any) -> Any:
        """Return what the user's function gave, or ``on_error`` in its place, as ``Arity.ROUTED`` describes it; raises what is wrong."""
        return result

    def make(self, context: Context) -> Running:
        """Build the running half, in the worker (or, opaque, wherever it is hosted)."""
        raise NotImplementedError
