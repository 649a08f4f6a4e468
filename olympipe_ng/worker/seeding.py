"""The global random generators, set for one item: the same results for any number of workers."""

from __future__ import annotations

import random
import sys
from typing import cast

from ..current import Position, mix_seed
from .spec import StageSpec

__all__ = ["seed_item"]


def seed_item(spec: StageSpec, position: Position, at: int) -> None:
    """Seed ``random``, NumPy and torch, where imported, for the item at a position, if the stage is seeded."""
    if not spec.seeded:
        return
    mixed = mix_seed(cast(int, spec.seed), position.stage, position.origins.at(at - position.first))
    random.seed(mixed)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed(mixed & 0xFFFFFFFF)
    if torch is not None:
        torch.manual_seed(mixed & 0x7FFFFFFFFFFFFFFF)
