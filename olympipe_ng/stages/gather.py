"""``gather``: one stream of several, items as they come; the order within each arm is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checks import set_int
from ..origins import Origins
from .contract import Context, Emission, Stage, StreamTransform

__all__ = ["Gather"]


@dataclass(frozen=True, eq=False)
class Gather(Stage):
    """The items of ``arms`` streams."""

    arms: int

    opaque: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        set_int(self, "arms", minimum=1)

    def make(self, context: Context) -> StreamTransform:
        return _Gathering(self.arms)


class _Gathering(StreamTransform):
    def __init__(self, arms: int) -> None:
        self.inputs = arms

    def process(self, port: int, items: Sequence[Any], origins: Origins) -> Iterable[Emission]:
        yield 0, items, origins
