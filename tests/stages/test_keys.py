from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pytest

from olympipe_ng.stages import Bucket, Unique
from olympipe_ng.stages.keys import same_key
from tests.stages.driving import Drive


class Row(NamedTuple):
    name: str
    value: float


def nans() -> list[Any]:
    return [float("nan"), float("nan"), np.float64("nan"), np.float32("nan"), Decimal("nan"), complex("nan")]


def test_all_nans_are_one_key() -> None:
    """Whichever objects they are: after pickling they are others."""
    assert len(Drive(Unique()).give([*nans(), 1.0, *nans()]).items) == 2
    assert [len(batch) for batch in Drive(Bucket(lambda item: item, 12)).give([*nans(), 1.0, *nans()]).items] == [12]


def test_nans_within_tuples_are_one_too() -> None:
    """Rows of tables are keys."""
    rows = [Row("a", float("nan")), Row("b", float("nan")), ("a", float("nan")), ("a", (1, float("nan"))), ("a", (1, float("nan")))]
    assert Drive(Unique()).give(rows).items == [rows[0], rows[1], rows[3]]


class Odd:
    """Its comparison gives no truth, as those of query builders."""

    def __ne__(self, other: object) -> bool:
        raise AssertionError("it was compared")


class Pair(tuple[Any, ...]):
    """Its equality is its own."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pair)

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("key", ["nan", b"nan", 0, 1.5, None, True, Odd(), Pair([1]), frozenset([1]), ("a", 1)])
def test_any_other_key_stands_for_itself(key: Any) -> None:
    """Nothing is compared but numbers."""
    assert same_key(key) is key or same_key(key) == key
    assert type(same_key(key)) is type(key)
