from __future__ import annotations

import pytest

from olympipe_ng import units


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1204, "1 204"), (999_999, "999 999"), (1_234_567, "1.23 M"), (10**9, "1 G")]
)
def test_counts_are_exact_below_a_million(number: int, text: str) -> None:
    """Below a million every digit is there, above three."""
    assert units.count(number) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0, "0/s"), (98.4, "98/s"), (1234, "1.2 k/s"), (999.7, "1 k/s"), (0.5, "30/min"), (0.001, "3.6/h"), (float("inf"), "0/s")],
)
def test_rates_have_the_unit_that_suits_them(per_second: float, text: str) -> None:
    """A slow rate is per minute or hour, never 0.00 per second."""
    assert units.rate(per_second) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0 s"),
        (-1, "0 s"),
        (2e-9, "2 ns"),
        (3.4e-6, "3.4 us"),
        (0.0034, "3.4 ms"),
        (0.9999, "1 s"),
        (12.3, "12 s"),
        (90, "1.5 min"),
        (7200, "2.0 h"),
        (86400 * 3, "3.0 d"),
        (float("nan"), "0 s"),
    ],
)
def test_durations_go_from_nanoseconds_to_days(duration: float, text: str) -> None:
    """Each has two digits and the unit that suits it."""
    assert units.seconds(duration) == text


@pytest.mark.parametrize(("octets", "text"), [(0, "0 B"), (512, "512 B"), (5_800_000, "5.8 MB"), (64 << 20, "67 MB")])
def test_sizes_are_in_powers_of_a_thousand(octets: float, text: str) -> None:
    """A megabyte is a million bytes."""
    assert units.size(octets) == text
