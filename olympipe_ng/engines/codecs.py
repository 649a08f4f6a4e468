"""How items cross between the workers of each engine.

    EncodedCodec    items are encoded and decoded: every engine's default, so that results, snapshots and failures are the same in all
    HubCodec        opaque stages regroup encoded items without decoding them
    ObjectCodec     ``copy_items=False`` in the thread and inline engines: the objects themselves
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ..transport.by_value import ByValue
from ..transport.encoding import BufferRef, Encoded, Encoder, Memory, Store, decode, encode_tokens
from ..transport.exceptions import dump_exception
from ..transport.explain import advise, explain_unpicklable
from ..transport.importable import take_stock
from ..transport.packing import TogetherEncoder
from ..worker.spec import Codec, Encoding

__all__ = ["EncodedCodec", "HubCodec", "ObjectCodec"]


def _shared() -> ByValue:
    """Make pickling rules for receivers in this very process."""
    return ByValue(stock=take_stock())


class EncodedCodec:
    """Encode and decode; ``zero_copy`` gives read-only views of large buffers, ``together`` pickles items in lists. ``by_value`` makes what
    each thread needs of its own."""

    def __init__(
        self,
        by_value: Callable[[], ByValue] = _shared,
        *,
        store: Store | None = None,
        memory: Memory | None = None,
        zero_copy: bool = False,
        together: bool = False,
    ) -> None:
        self.together = together
        self._make_by_value = by_value
        self._local = threading.local()
        self._store = store
        self._memory = memory
        self._zero_copy = zero_copy

    @property
    def by_value(self) -> ByValue:
        """Return this thread's."""
        mine: ByValue | None = getattr(self._local, "by_value", None)
        if mine is None:
            mine = self._local.by_value = self._make_by_value()
        return mine

    def open(self, payload: Any, lo: int, hi: int) -> Any:
        return decode(payload.at_hand(), lo, hi, zero_copy=self._zero_copy, memory=self._memory)

    def encoder(self) -> Encoding:
        return TogetherEncoder(self.by_value, self._store) if self.together else Encoder(self.by_value, self._store)

    def dump_exception(self, error: BaseException) -> bytes | None:
        return dump_exception(error, self.by_value)

    def explain(self, thing: Any, name: str) -> str:
        found = explain_unpicklable(thing, name, self.by_value)
        return found and f"{found}. {advise(thing)}"


class HubCodec:
    """Hand out encoded items as tokens; line them up again. ``lease`` keeps shared memory for as long as what it returns lives: a stage
    may hold a token (for a batch, for another arm) when the frame it came with is long gone."""

    together = False

    def __init__(self, lease: Callable[[list[BufferRef]], object] | None = None) -> None:
        self._lease = lease

    def open(self, payload: Any, lo: int, hi: int) -> list[Any]:
        part = cast(Encoded, payload).cut(lo, hi)
        tokens = part.tokens()
        if self._lease is not None and part.refs():
            for token in tokens:
                token.lease = self._lease(token.refs())
        return tokens

    def encoder(self) -> Encoding:
        return _TokenEncoder()

    def dump_exception(self, error: BaseException) -> bytes | None:
        return dump_exception(error, _shared())

    def explain(self, thing: Any, name: str) -> str:
        return ""  # it is encoded already


class _Held:
    """Items in a list, until they are taken."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    @property
    def count(self) -> int:
        return len(self.items)

    @property
    def nbytes(self) -> int:
        return 0

    @property
    def inline(self) -> int:
        return 0

    def add(self, item: Any) -> None:
        self.items.append(item)

    def extend(self, items: list[Any]) -> None:
        self.items += items

    def forget(self, count: int) -> None:
        del self.items[len(self.items) - count :]

    def take(self) -> Any:
        items, self.items = self.items, []
        return items


class _TokenEncoder(_Held):
    """Encodes once what is asked for its size and then taken."""

    def __init__(self) -> None:
        super().__init__()
        self._encoded: Encoded | None = None  # all that is there

    @property
    def nbytes(self) -> int:
        if self._encoded is None:
            self._encoded = encode_tokens(self.items)
        return self._encoded.nbytes

    def add(self, item: Any) -> None:
        self._encoded = None
        super().add(item)

    def extend(self, items: list[Any]) -> None:
        self._encoded = None
        super().extend(items)

    def forget(self, count: int) -> None:
        self._encoded = None
        super().forget(count)

    def take(self) -> Any:
        items, encoded = super().take(), self._encoded
        self._encoded = None
        return encode_tokens(items) if encoded is None else encoded


class ObjectCodec:
    """Move the objects themselves."""

    together = False

    def open(self, payload: Any, lo: int, hi: int) -> list[Any]:
        return cast("list[Any]", payload[lo:hi])

    def encoder(self) -> Encoding:
        return _Held()

    def dump_exception(self, error: BaseException) -> bytes | None:
        return dump_exception(error, _shared())

    def explain(self, thing: Any, name: str) -> str:
        return ""  # nothing is pickled


if TYPE_CHECKING:
    CODECS: tuple[Codec, ...] = (EncodedCodec(), HubCodec(), ObjectCodec())
