"""Two drawings in one SVG file, without a library: throughput against item size, and cost against the number of stages. Both scales are
logarithmic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from .contract import parse
from .rounds import Figures

__all__ = ["draw"]

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 520, 380, 70, 40, 50, 40  # pixels
COLOURS = ("#0b6", "#d52", "#27c", "#a3b", "#880", "#555")
Line = Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """One drawing."""

    title: str
    across: str
    up: str
    lines: Mapping[str, Line]


def draw(all_figures: Sequence[Figures]) -> str:
    """Return the SVG of what was measured; panels without figures stay out."""
    panels = [panel for panel in (_by_size(all_figures), _by_stages(all_figures)) if any(panel.lines.values())]
    names = sorted({name for panel in panels for name in panel.lines}, key=lambda name: (name != "olympipe_ng", name))
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
    width = max(1, len(panels)) * (WIDTH + GAP)
    body = [f'<g transform="translate({k * (WIDTH + GAP)} 0)">{_panel(panel, colours)}</g>' for k, panel in enumerate(panels)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{width}" height="{HEIGHT}" fill="white"/>', *body, "</svg>", ""])


def _by_size(all_figures: Sequence[Figures]) -> Panel:
    lines: dict[str, list[tuple[float, float]]] = {}
    for figures in all_figures:
        kind, _, size = figures.workload.name.partition("-")
        if kind == "size":
            for name, standing in figures.standings.items():
                if not standing.trouble:
                    lines.setdefault(name, []).append((float(size), standing.figure))
    return Panel("Throughput against item size (two stages)", "bytes in an item", "items/s", lines)


def _by_stages(all_figures: Sequence[Figures]) -> Panel:
    lines: dict[str, list[tuple[float, float]]] = {}
    for figures in all_figures:
        if figures.workload.name == "stages":
            for name, standing in figures.standings.items():
                peer, options = parse(name)
                if not standing.trouble:
                    lines.setdefault(peer, []).append((float(options["stages"]), standing.figure))
    return Panel("Cost of an item against the number of stages", "stages", "us/item", lines)


class _Scale(NamedTuple):
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        span = math.log(self.high / self.low) or 1.0
        return self.start + (self.end - self.start) * math.log(value / self.low) / span

    def ticks(self) -> list[float]:
        powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
        return [10.0**power for power in powers]


def _panel(panel: Panel, colours: Mapping[str, str]) -> str:
    points = [point for line in panel.lines.values() for point in line]
    across = _Scale(min(x for x, _ in points), max(x for x, _ in points), LEFT, WIDTH - 10)
    lowest, highest = min(y for _, y in points), max(y for _, y in points)
    up = _Scale(10 ** math.floor(math.log10(lowest)), 10 ** math.ceil(math.log10(highest) + 1e-9), HEIGHT - BOTTOM, TOP)
    parts = [f'<text x="{LEFT}" y="20" font-size="14">{escape(panel.title)}</text>']
    parts += [_across_tick(across.at(x), x) for x in sorted({x for x, _ in points})]
    parts += [_up_tick(up.at(y), y) for y in up.ticks()]
    parts.append(f'<text x="{WIDTH - 10}" y="{HEIGHT - 8}" text-anchor="end">{escape(panel.across)}</text>')
    parts.append(f'<text x="{LEFT - 8}" y="{TOP - 8}" text-anchor="end">{escape(panel.up)}</text>')
    for k, (name, line) in enumerate(panel.lines.items()):
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in sorted(line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + 10}" y="{HEIGHT - BOTTOM - 10 - 15 * k}" fill="{colours[name]}">{escape(name)}</text>')
    return "\n".join(parts)


def _across_tick(x: float, value: float) -> str:
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 5}" stroke="#888"/>'
    return f'{line}<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(value)}</text>'


def _up_tick(y: float, value: float) -> str:
    line = f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
    return f'{line}<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'


def _short(value: float) -> str:
    for size, letter in ((2**20, "Mi"), (2**10, "Ki")):
        if value >= size and value % size == 0:
            return f"{value / size:g}{letter}"
    for power, letter in ((1e6, "M"), (1e3, "k")):
        if value >= power:
            return f"{value / power:g}{letter}"
    return f"{value:g}"
