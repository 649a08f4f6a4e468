"""The figures, as text."""

from __future__ import annotations

from collections.abc import Iterator

from .contract import OURS, Claim
from .rounds import Figures, Standing

__all__ = ["show"]


def show(figures: Figures) -> str:
    """Return the table of one workload: every contestant, then what is claimed beside what was measured."""
    workload = figures.workload
    lines = [f"\n{workload.name}: {workload.title}"]
    lines += [_standing(figures, standing) for standing in figures.standings.values()]
    reasons: dict[str, list[str]] = {}
    for name, reason in figures.skipped.items():
        reasons.setdefault(reason, []).append(name)
    lines += [f"  skipped {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    lines += [_claim(figures, claim) for claim in workload.claims]
    return "\n".join(lines)


def _standing(figures: Figures, standing: Standing) -> str:
    if standing.trouble:
        return f"  {standing.contestant:26} {standing.trouble}"
    measure = figures.workload.measure
    parts = [f"  {standing.contestant:26} {standing.figure:12,.4g} {measure.unit}", f"({standing.low:,.4g} to {standing.high:,.4g})"]
    parts += list(_beside_ours(figures, standing))
    if standing.peak and not measure.sampled:
        parts.append(f"peak {standing.peak / 2**20:.0f} MiB")
    return "  ".join(parts)


def _beside_ours(figures: Figures, standing: Standing) -> Iterator[str]:
    """Say how olympipe_ng compares with another contestant of the same run."""
    ours = figures.standings.get(OURS)
    if ours is not None and not ours.trouble and ours is not standing:
        yield f"olympipe_ng {ours.figure / standing.figure:.3g}x"


def _claim(figures: Figures, claim: Claim) -> str:
    ratio = figures.ratio(claim)
    word = "at most" if figures.workload.measure.less_is_better else "at least"
    bounds = f"{word} {claim.least:g}, goal {claim.goal:g}"
    if ratio is None:
        return f"  => {claim.text}: not measured ({bounds})"
    return f"  => {claim.text}: {ratio:.3g} ({bounds}) {_verdict(figures, claim, ratio)}"


def _verdict(figures: Figures, claim: Claim, ratio: float) -> str:
    less = figures.workload.measure.less_is_better and claim.against != ("ideal",)
    reached = [ratio <= bound if less else ratio >= bound for bound in (claim.goal, claim.least)]
    return "goal reached" if reached[0] else "reached" if reached[1] else "NOT REACHED"
