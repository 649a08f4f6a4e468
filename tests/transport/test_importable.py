"""What goes by name: only what a fresh interpreter would find, and find to be the same."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pickle
import subprocess
import sys
import types
from pathlib import Path

import pytest

from olympipe_ng.transport.importable import Importable, take_stock
from tests.transport.peer import identity

HERE = Path(__file__).parent


def test_importable_things_go_by_name():
    """What the other process has is only named, and cloudpickle is not even loaded."""
    code = (
        "import sys, dataclasses, collections, decimal; sys.path.insert(0, sys.argv[1])\n"
        "from olympipe_ng.transport.by_value import ByValue, lookup\n"
        "from olympipe_ng.transport.encoding import Encoder\n"
        "e = Encoder(ByValue()); e.extend([decimal.Decimal(1), collections.OrderedDict, len, ValueError(1), collections.Counter('a')])\n"
        "e.take(); assert 'cloudpickle' not in sys.modules and 'numpy' not in sys.modules; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(HERE.parents[1])], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "ok\n", done.stderr


def test_importable_asks_the_finders():
    """A module's presence here says nothing of there: only what a fresh interpreter would find goes by name."""
    importable = Importable()
    made = types.ModuleType("made_here")
    made.function = types.FunctionType(identity.__code__, vars(made), "function")
    made.function.__module__ = "made_here"
    made.function.__qualname__ = "function"
    sys.modules["made_here"] = made
    try:
        assert not importable(made.function)
        assert Importable(take_stock())(made.function)
    finally:
        del sys.modules["made_here"]
    assert importable(functools.partial)
    assert importable(pytest.raises)
    assert importable(pickle.dumps)
    assert not importable(lambda: 0)


def test_a_module_of_the_same_name_elsewhere_is_another(tmp_path):
    """A module loaded from its path that hides an installed one is not what the other process would import."""
    path = tmp_path / "iniconfig.py"
    path.write_text("def f(): pass\n")
    spec = importlib.util.spec_from_file_location("iniconfig", path)
    hiding = importlib.util.module_from_spec(spec)
    before = sys.modules.get("iniconfig")
    sys.modules["iniconfig"] = hiding
    try:
        spec.loader.exec_module(hiding)
        assert not Importable()(hiding.f)
    finally:
        del sys.modules["iniconfig"]
        if before is not None:
            sys.modules["iniconfig"] = before


def test_shared_main_is_what_it_held_at_the_fork(monkeypatch):
    """What ``__main__`` defines afterwards is not in the forks, and goes by value."""
    main = sys.modules["__main__"]

    class Early:
        pass

    class Late:
        pass

    for kind in (Early, Late):
        kind.__module__, kind.__qualname__ = "__main__", kind.__name__
    monkeypatch.setattr(main, "Early", Early, raising=False)
    importable = Importable(take_stock())
    monkeypatch.setattr(main, "Late", Late, raising=False)
    assert importable(Early)
    assert not importable(Late)
    monkeypatch.setattr(main, "Early", Late)
    Late.__qualname__ = "Early"
    assert not importable(Late)


LATE = {
    "__init__": "from ._made import Kind, Lost",
    "_made": "class Kind: pass\nclass Lost: pass\nKind.__module__, Lost.__module__ = 'late_parts.shown', 'late_parts.broken'",
    "shown": "from ._made import Kind",
    "broken": "raise OSError('not today')",
}


def test_what_a_package_shows_in_a_part_that_nobody_has_imported_yet_goes_by_name(tmp_path, monkeypatch):
    """As ``recarray``, which says that it is of ``numpy.rec``; a part that cannot be imported is none."""
    (tmp_path / "late_parts").mkdir()
    for name, text in LATE.items():
        (tmp_path / "late_parts" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    package = importlib.import_module("late_parts")
    try:
        importable = Importable()
        assert [importable(package.Kind), importable(package.Lost), importable(package.Lost)] == [True, False, False]
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "late_parts"]:
            del sys.modules[name]
