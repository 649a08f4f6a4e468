"""Numbers for people: three digits and a unit, so that columns stay narrow and nobody counts zeros.

    count 1 234 567 ──► "1.23 M"     rate 1 234.5 ──► "1.2 k/s"     seconds 0.0034 ──► "3.4 ms"     size 5_800_000 ──► "5.8 MB"

Considered and refused: the units of each display beside it (three displays would round in three ways).
"""

from __future__ import annotations

import math

__all__ = ["count", "exact", "factor", "percent", "rate", "seconds", "size"]

_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SMALL = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_PER = ((1, "s"), (60, "min"), (3600, "h"))
_LONG = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def exact(number: int) -> str:
    """Write a whole number in groups of three digits: ``1 234 567``."""
    return f"{number:,}".replace(",", " ")


def count(number: int) -> str:
    """Write a whole number: exactly below a million, then with three digits."""
    return exact(number) if abs(number) < 1_000_000 else _scaled(number, 3)


def rate(per_second: float) -> str:
    """Write a frequency: per second, slow ones per minute or hour."""
    if not math.isfinite(per_second) or per_second <= 0:
        return "0/s"
    one, unit = next((pair for pair in _PER if per_second * pair[0] >= 0.95), _PER[-1])
    return f"{_scaled(per_second * one, 2)}/{unit}"


def seconds(duration: float) -> str:
    """Write a duration: two digits below a minute, then minutes, hours or days with one decimal."""
    if not math.isfinite(duration) or duration <= 0:
        return "0 s"
    for one, unit in _LONG:
        if duration >= one:
            return f"{duration / one:.1f} {unit}"
    one, unit = next((pair for pair in _SMALL if duration >= pair[0] * 0.9995), _SMALL[-1])
    return f"{_short(duration / one, 2)} {unit}"


def size(octets: float) -> str:
    """Write a number of bytes, in powers of a thousand."""
    text = _scaled(max(0.0, octets), 2)
    return f"{text}B" if " " in text else f"{text} B"


def percent(share: float) -> str:
    """Write a percentage (``94`` is 94 %)."""
    return f"{share:.0f} %"


def factor(times: float) -> str:
    """Write how many times more: ``3.1x``."""
    return f"{_short(times, 2)}x"


def _scaled(number: float, digits: int) -> str:
    for one, letter in _LARGE:
        if abs(number) >= one * 0.9995:
            return f"{_short(number / one, digits)} {letter}"
    return _short(number, digits)


def _short(number: float, digits: int) -> str:
    """Keep so many digits, and no decimals where the number has them before the point."""
    before = len(str(int(abs(number))))
    text = f"{number:.{max(0, digits - before)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
