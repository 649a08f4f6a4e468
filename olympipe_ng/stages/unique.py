"""``unique``: each item once, the first of those with the same ``key(item)``; the others count as dropped.

What was seen is remembered for the whole run: memory grows with the number of different keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callables import check_plain, name_of
from ..origins import Origin, Origins
from .contract import Context, Emission, Fate, Stage, StreamTransform
from .holding import Outbox
from .keys import same_key

__all__ = ["Unique"]


@dataclass(frozen=True, eq=False)
class Unique(Stage):
    """The first item of each ``key(item)``, or of equal items."""

    key: Callable[[Any], Any] | None = None

    stateful: ClassVar[bool] = True
    keeps_origin: ClassVar[bool] = True
    passes_watermarks: ClassVar[bool] = True
    drops_silently: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.key is not None:
            check_plain(self.kind, self.key)

    @property
    def function_name(self) -> str:
        return "" if self.key is None else name_of(self.key)

    def make(self, context: Context) -> StreamTransform:
        return _Seen(self.key, context)


class _Seen(StreamTransform):
    def __init__(self, key: Callable[[Any], Any] | None, context: Context) -> None:
        self._key = key
        self._context = context
        self._seen: set[Any] = set()
        self._out = Outbox()

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        again: list[Origin] = []
        for item, origin in zip(items, origins, strict=True):
            if self._is_new(item):
                self._out.put(item, origin)
            else:
                again.append(origin)
        if again:
            self._context.count(Fate.DROPPED, Origins.of(again))
        yield from self._out.rest()

    def _is_new(self, item: Any) -> bool:
        key = item if self._key is None else self._key(item)
        before, same = len(self._seen), same_key(key)
        try:
            self._seen.add(same)
        except TypeError as error:
            what = "items, or key=" if self._key is None else "keys"
            raise TypeError(f"unique needs hashable {what}, got {type(key).__name__}") from error
        return len(self._seen) > before
