"""Every way to fail that is known of peers has its test here: ``test_f07_...`` is the test of row F7."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROWS = 50


def test_every_row_of_the_table_of_faults_has_a_test_named_after_it():
    """F1 to F50: none is left out, and no name claims a row that is not there."""
    trees = [ast.parse(file.read_text()) for file in Path(__file__).parent.glob("test_*.py")]
    names = [node.name for tree in trees for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    tested = {int(number) for name in names if name.startswith("test_") for number in re.findall(r"_f(\d\d)(?=_)", name)}
    assert tested == set(range(1, ROWS + 1))
