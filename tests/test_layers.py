"""The layers of DESIGN: a module imports only from layers before its own, and never inside a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "olympipe_ng"

LAYERS = [
    ["errors", "callables", "checks", "drop", "lazy", "loops", "machine", "nesting", "scalars", "screen", "timers", "units"],
    ["options", "origins"],
    ["stages", "transport", "failures", "current"],
    ["graph"],
    ["readers", "sources"],
    ["plan"],
    ["scheduler"],
    ["worker"],
    ["engines"],
    ["progress", "report", "statistics"],
    ["turns", "sinks", "caller", "run"],
    ["deprecated", "drawing", "looking", "repeating", "building", "terminals", "pipeline"],
    ["decorators", "helpers"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
APART = ({"stages", "transport"},)
UPWARDS = {("errors", "transport")}  # when an error is pickled, its cause is, as any exception of the user's
LONGEST = 400  # lines of a file
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))


def part_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def runtime_imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that are made when the module is, leaving out those for the type checker alone."""
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node


def imported_parts(module: Path, node: ast.Import | ast.ImportFrom) -> set[str]:
    """Name the parts of this package that an import reaches."""
    if isinstance(node, ast.Import) or not node.level:
        return set()
    base = ["olympipe_ng", *module.parts[:-1]]
    target = base[: len(base) - node.level + 1] + (node.module.split(".") if node.module else [])
    if len(target) > 1:
        return {target[1]}
    return {alias.name for alias in node.names if alias.name in RANK}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_from_layers_before_its_own(module: Path) -> None:
    """A module imports from its own part or from a layer before it."""
    mine = part_of(module)
    tree = ast.parse((PACKAGE / module).read_text())
    for node in runtime_imports(tree):
        for other in imported_parts(module, node) - {mine}:
            assert RANK[other] <= RANK[mine], f"{module}:{node.lineno} imports {other}, which is above it"
            assert {mine, other} not in APART, f"{module}:{node.lineno} imports {other}: they never see each other"


def imported_when_needed(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the part of this package that ``lazy`` stands in for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "lazy":
            name = ast.literal_eval(node.args[0])
            if name.startswith("olympipe_ng."):
                yield node.lineno, name.split(".")[1]


@pytest.mark.parametrize("module", [module for module in MODULES if part_of(module) != "lazy"], ids=str)
def test_what_is_imported_when_needed_is_of_a_layer_before_too(module: Path) -> None:
    """``lazy`` saves time; it is no way around the layers."""
    mine = part_of(module)
    for line, other in imported_when_needed(ast.parse((PACKAGE / module).read_text())):
        assert RANK[other] <= RANK[mine] or (mine, other) in UPWARDS, f"{module}:{line} imports {other}, which is above it"
        assert {mine, other} not in APART, f"{module}:{line} imports {other}: they never see each other"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nothing_is_imported_inside_a_function(module: Path) -> None:
    """An import inside a function goes through ``lazy``."""
    tree = ast.parse((PACKAGE / module).read_text())
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside = [node.lineno for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))]
            assert not inside, f"{module}:{inside[0]} imports inside {function.name}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_file_is_longer_than_four_hundred_lines(module: Path) -> None:
    """A file fits a head: at most 400 lines."""
    assert len((PACKAGE / module).read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("file", TESTS, ids=str)
def test_no_file_of_tests_is_longer_either(file: Path) -> None:
    """Tests are read as often as what they test."""
    assert len((ROOT / file).read_text().splitlines()) <= LONGEST


KINDS = sorted(path.stem for path in (PACKAGE / "stages").glob("*.py"))


@pytest.mark.parametrize("part", ["plan.py", "scheduler", "worker", "engines"])
def test_the_engine_names_no_stage_kind(part: str) -> None:
    """Nothing between graph and pipeline imports a stage kind: only the contract."""
    paths = [PACKAGE / part] if part.endswith(".py") else sorted((PACKAGE / part).rglob("*.py"))
    for path in paths:
        for node in runtime_imports(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and "stages" in node.module.split("."):
                assert node.module.endswith("stages.contract"), f"{path.name}:{node.lineno} names {node.module}"


def test_nobody_but_the_scheduler_looks_into_its_state() -> None:
    """Engines hand it events and carry out commands; what else they must know they ask it."""
    others = [module for module in MODULES if part_of(module) != "scheduler"]
    assert [module for module in others if "scheduler.state" in (PACKAGE / module).read_text()] == []
