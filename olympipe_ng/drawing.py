"""The graph, shown: as text, as Mermaid or DOT, and as a drawing for notebooks (SVG of our own, nothing to install).

    reachable(outlets) ──► Box(number, kind, name, reads) ──► explain | to_mermaid | to_dot | to_svg

The numbers are those of a run of the same pipelines: an error of "stage 2" is about box 2.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from .errors import GraphError
from .graph import Node, Outlet, Source, reachable
from .options import StageConfig

__all__ = ["explain", "in_one_line", "to_dot", "to_mermaid", "to_svg", "write"]

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # controls, and half a pair
WIDTH, HEIGHT = 150, 44  # of a box in the drawing, in pixels
ACROSS, DOWN = 190, 64  # from box to box


class Box(NamedTuple):
    """One node of the graph, ready to be drawn."""

    number: int
    kind: str
    name: str
    settings: str
    reads: tuple[tuple[int, str], ...]  # box, and which of its streams if there are several
    declared_at: str

    @property
    def text(self) -> str:
        """Return what to write into the box."""
        name = self.kind if self.name in ("", self.kind) else f"{self.kind} {self.name}"
        return f"{name} {self.settings}".strip()


def explain(outlets: Sequence[Outlet]) -> str:
    """Return a line for each stage, in columns."""
    rows = [_row(box) for box in _boxes(outlets)]
    widths = [max(len(row[k]) for row in rows) for k in range(6)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False) if width).rstrip() for row in rows)


def _row(box: Box) -> tuple[str, ...]:
    chained = box.reads in ((), ((box.number - 1, ""),))
    reads = ", ".join(f"{number}{f' ({stream})' if stream else ''}" for number, stream in box.reads)
    return (str(box.number), box.kind, box.name, box.settings, "" if chained else f"reads {reads}", box.declared_at)


def to_mermaid(outlets: Sequence[Outlet]) -> str:
    """Return a Mermaid flow chart."""
    boxes = _boxes(outlets)
    lines = [f'    s{box.number}["{_coded(box.text)}"]' for box in boxes]
    for box, number, stream in _arrows(boxes):
        lines.append(f"    s{number} -->{f'|{stream}|' if stream else ''} s{box.number}")
    return "\n".join(["flowchart LR", *lines])


def to_dot(outlets: Sequence[Outlet]) -> str:
    """Return the graph in Graphviz' language."""
    boxes = _boxes(outlets)
    lines = [f"    s{box.number} [label={_quoted(box.text)}]" for box in boxes]
    for box, number, stream in _arrows(boxes):
        lines.append(f"    s{number} -> s{box.number}{f' [label={_quoted(stream)}]' if stream else ''}")
    return "\n".join(["digraph pipeline {", "    rankdir=LR", "    node [shape=box]", *lines, "}"])


def to_svg(outlets: Sequence[Outlet]) -> str:
    """Return a drawing: each stage to the right of all it reads."""
    boxes = _boxes(outlets)
    places = _places(boxes)
    parts = [_arrow(places[number], places[box.number], stream) for box, number, stream in _arrows(boxes)]
    parts += [_box(places[box.number], box) for box in boxes]
    wide, high = (max(place[axis] for place in places) + size for axis, size in ((0, WIDTH), (1, HEIGHT)))
    frame = f'viewBox="-8 -8 {wide + 16} {high + 16}" width="{wide + 16}" style="font-family:sans-serif;font-size:12px;max-width:100%"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>{"".join(parts)}</svg>'


def in_one_line(outlet: Outlet) -> str:
    """Return the way to ``outlet`` for a ``repr``, shortened in the middle."""
    names = [box.text for box in _boxes([outlet])]
    return " -> ".join(names if len(names) <= 8 else [*names[:4], "...", *names[-3:]])


def write(outlets: Sequence[Outlet], path: str | Path) -> None:
    """Write the graph to ``path``, drawn by its suffix; DOT if there is none."""
    path = Path(path)
    draw = _BY_SUFFIX.get(path.suffix.lower())
    if draw is None:
        known = ", ".join(sorted(suffix for suffix in _BY_SUFFIX if suffix))
        raise GraphError(f"debug_graph={str(path)!r}: the graph is drawn by the suffix, one of {known}")
    path.write_text(draw(outlets) + "\n", encoding="utf-8")


_BY_SUFFIX: dict[str, Callable[[Sequence[Outlet]], str]] = {
    "": to_dot,
    ".dot": to_dot,
    ".gv": to_dot,
    ".mmd": to_mermaid,
    ".svg": to_svg,
    ".html": to_svg,
    ".txt": explain,
}


def _boxes(outlets: Sequence[Outlet]) -> list[Box]:
    nodes = reachable(outlets)
    numbers = {id(node): number for number, node in enumerate(nodes)}
    return [_to_box(node, numbers) for node in nodes]


def _to_box(node: Node, numbers: dict[int, int]) -> Box:
    reads = tuple((numbers[id(read.node)], _stream(read)) for read in node.inputs)
    number, stage = numbers[id(node)], node.stage
    if not isinstance(stage, Source):
        name = "" if node.label == stage.kind else node.label
        return Box(number, stage.kind, _in_one_row(name), _in_one_row(_settings(stage.config)), reads, node.declared_at)
    if stage.upstream is not None:
        return Box(number, "repeat", f"({in_one_line(stage.upstream)})", "", reads, node.declared_at)
    return Box(number, "source", _name(stage), "", reads, node.declared_at)


def _name(source: Source) -> str:
    kind = type(source.data)
    if kind is range:
        return repr(source.data)
    if kind in (list, tuple, dict, set):
        return f"{kind.__name__} of {len(source.data)}"
    return source.label if source.label != "source" else kind.__name__


def _stream(outlet: Outlet) -> str:
    node = outlet.node
    if node.branches_failures and outlet.number == node.outlets - 1:
        return "failures"
    several = node.outlets - node.branches_failures > 1
    return str(outlet.number) if several else ""


def _settings(config: StageConfig) -> str:
    default = StageConfig()
    changed = ((field.name, getattr(config, field.name)) for field in fields(StageConfig) if field.name != "name")
    return " ".join(f"{name}={_value(value)}" for name, value in changed if value != getattr(default, name))


def _value(value: Any) -> str:
    return str(getattr(value, "__name__", None) or (value if isinstance(value, str) else reprlib.repr(value)))


def _arrows(boxes: Sequence[Box]) -> list[tuple[Box, int, str]]:
    return [(box, number, stream) for box in boxes for number, stream in box.reads]


def _in_one_row(text: str) -> str:
    """Write what a user calls a stage in one row, of letters that terminals, files and XML take."""
    return _UNFIT.sub(lambda found: ascii(found[0])[1:-1], " ".join(text.split()))


def _coded(text: str) -> str:
    """Quote for Mermaid, to which ``#`` begins a code of its own: an apostrophe as HTML writes it would be shown as ``&&x27;``."""
    return escape(text, quote=False).replace("#", "#35;").replace('"', "&quot;")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _places(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """Place each box a column behind the last one it reads, in the first free row of that column from its own arm's row on."""
    taken: set[tuple[int, int]] = set()
    grid: list[tuple[int, int]] = []
    for box in boxes:
        column = max((grid[number][0] + 1 for number, _ in box.reads), default=0)
        row = min((grid[number][1] for number, _ in box.reads), default=0)
        while (column, row) in taken:
            row += 1
        taken.add((column, row))
        grid.append((column, row))
    return [(column * ACROSS, row * DOWN) for column, row in grid]


def _arrow(start: tuple[int, int], end: tuple[int, int], stream: str) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0], end[1] + HEIGHT // 2
    middle = (x1 + x2) // 2
    line = f'<path d="M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}" fill="none" stroke="#888"/>'
    tip = f'<path d="M{x2 - 6},{y2 - 4} L{x2},{y2} L{x2 - 6},{y2 + 4}" fill="none" stroke="#888"/>'
    label = f'<text x="{middle}" y="{(y1 + y2) // 2 - 4}" text-anchor="middle" fill="#888">{escape(stream)}</text>' if stream else ""
    return line + tip + label


def _box(place: tuple[int, int], box: Box) -> str:
    x, y = place
    lines = [box.kind, " ".join(filter(None, (box.name, box.settings)))]
    texts = "".join(
        f'<text x="{x + WIDTH // 2}" y="{y + 18 + 16 * k}" text-anchor="middle" fill="#222">{escape(_cut(line))}</text>'
        for k, line in enumerate(lines)
    )
    title = f"<title>{escape(f'{box.number} {box.text} {box.declared_at}')}</title>"
    frame = f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eef3fb" stroke="#5b7db1"/>'
    return f"<g>{title}{frame}{texts}</g>"


def _cut(text: str) -> str:
    return text if len(text) <= 22 else text[:21] + "…"
