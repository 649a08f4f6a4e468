from __future__ import annotations

import pytest

from olympipe_ng.options import StageConfig
from olympipe_ng.stages import Debug
from olympipe_ng.stages.contract import Arity
from tests.stages.driving import applied


def test_debug_prints_and_keeps_each_item(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per item, with the stage's name."""
    assert applied(Debug(), [1, None], Arity.KEEP) == [True, True]
    assert applied(Debug(config=StageConfig(name="here")), ["x"], Arity.KEEP) == [True]
    assert capsys.readouterr().out == "debug: 1\ndebug: None\nhere: 'x'\n"
