"""What holds for all kinds together."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from olympipe_ng import stages
from olympipe_ng.stages.contract import Stage

HELPERS = {"__init__", "cache", "contract", "fingerprint", "functions", "holding", "keys", "trail"}


def test_each_file_is_a_kind_and_each_kind_a_file() -> None:
    """A new kind is found by its name alone."""
    files = {path.stem for path in Path(stages.__file__).parent.glob("*.py")} - HELPERS
    assert files == {getattr(stages, name).__module__.rpartition(".")[2] for name in stages.__all__}
    assert stages.__all__ == sorted(stages.__all__)
    assert dir(stages) == stages.__all__


def test_a_kind_is_imported_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package itself imports none."""
    for name in [name for name in sys.modules if name.startswith("olympipe_ng.stages")]:
        monkeypatch.delitem(sys.modules, name)
    import olympipe_ng.stages as fresh

    kinds = {f"olympipe_ng.stages.{path.stem}" for path in Path(stages.__file__).parent.glob("*.py")} - {
        f"olympipe_ng.stages.{name}" for name in HELPERS
    }
    assert not kinds & set(sys.modules)
    assert fresh.Limit(1).n == 1
    assert kinds & set(sys.modules) == {"olympipe_ng.stages.limit"}
    monkeypatch.setattr(sys.modules["olympipe_ng"], "stages", stages)


@pytest.mark.parametrize("name", stages.__all__)
def test_what_may_stand_in_an_arm_of_a_rejoin_hides_no_mark(name: str) -> None:
    """Else the other arms would wait for it for ever, once nothing comes through it."""
    kind = getattr(stages, name)
    assert not kind.keeps_origin or kind.arity is not None or kind.passes_watermarks or kind.tells_settled


def test_what_is_no_kind_is_no_attribute() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Pipe'"):
        stages.Pipe  # noqa: B018


@pytest.mark.parametrize("name", stages.__all__)
def test_a_description_is_frozen_and_known_by_identity(name: str) -> None:
    """Two stages with equal fields are two stages."""
    kind = getattr(stages, name)
    assert issubclass(kind, Stage)
    assert kind.__dataclass_params__.frozen
    assert kind.__eq__ is object.__eq__
    assert kind.__hash__ is object.__hash__
    assert next(field for field in dataclasses.fields(kind) if field.name == "config").kw_only
