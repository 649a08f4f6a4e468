"""What the README shows runs as shown, and what it names exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import olympipe_ng

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def script() -> str:
    """Return the README with every line blank that is not in a python block: line numbers in tracebacks are the README's."""
    lines, inside = [], False
    for line in README.splitlines():
        fence = line.startswith("```")
        inside = line == "```python" if fence else inside
        lines.append(line if inside and not fence else "")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("start_method", ["auto", "forkserver"])
def test_tour_runs_as_one_script(start_method: str, tmp_path: Path) -> None:
    (tmp_path / "README.py").write_text(script(), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OLYMPIPE_NG_START_METHOD": start_method}
    done = subprocess.run([sys.executable, "README.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "README.py"], "the tour leaves files behind"


def test_tour_has_blocks() -> None:
    assert script().count("assert ") > 20


SET = {"resume": "journal", "trace": "trace.json", "dashboard": True, "metrics": True}
NOT_YET = README[README.index("## Not there yet") : README.index("## Limits")]


@pytest.mark.parametrize("words", re.findall("`([^`]+)`", NOT_YET)[1:])
def test_what_is_not_there_yet_says_so(words: str) -> None:
    with pytest.raises(olympipe_ng.GraphError, match="not available yet"):
        use(words)


def use(words: str) -> None:
    """Use what the README names: an option, a method of Pipeline, or something of the package."""
    name, equals, value = words.removeprefix("olympipe_ng.").partition("=")
    if equals:
        olympipe_ng.Pipeline([], **{name: value.strip('"') or SET[name]})
    elif name == "Pipeline.server":
        olympipe_ng.Pipeline.server([])
    else:
        getattr(olympipe_ng, name)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http|#)([^)]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
