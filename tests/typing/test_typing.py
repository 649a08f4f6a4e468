"""The types of the public interface, as a type checker sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_type_checker_knows_what_each_method_gives(tmp_path: Path) -> None:
    """Every line of ``pipelines.py`` has the type it says, and every mistake in it is found."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "tests/typing/pipelines.py"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    complaints = [line for line in checked.stdout.splitlines() if line.startswith("tests")]
    assert not complaints, "\n".join(complaints)
    assert checked.returncode in (0, 1), checked.stderr
