"""Where a call of a test stands: what "on the user's line" is compared with."""

from __future__ import annotations

import sys
import traceback


def here() -> str:
    """Return ``file:line`` of the caller."""
    frame = sys._getframe(1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def deepest(error: BaseException, filename: str) -> str:
    """Return ``file:line`` of the innermost frame of ``filename`` in the error's traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}"
