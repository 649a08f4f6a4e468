"""A stage's running half, fed with tickets: the same for every engine."""

from .core import NOBODY, StageWorker, drive
from .coroutines import run_async
from .hands import Hands, read_hands
from .spec import Codec, Encoding, StageSpec, make_specs
from .ticket import Catch, everything

__all__ = [
    "NOBODY",
    "Catch",
    "Codec",
    "Encoding",
    "Hands",
    "StageSpec",
    "StageWorker",
    "drive",
    "everything",
    "make_specs",
    "read_hands",
    "run_async",
]
