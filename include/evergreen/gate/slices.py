"""Slices: no declared part of the rows may be harmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from evergreen.amounts import Margin
from evergreen.comparison import Check, Slice, SliceVerdict
from evergreen.gate.sides import MOST_NAMED, harm, in_words, limit, more, side
from evergreen.gate_spec import Gate


def judged(rule: Gate, slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """Return the slices with verdicts and Holm-adjusted p-values of harm (Holm 1979).

    "Harmed" holds for all slices together: the chance that any of them is called so though none is
    worse than the margin is at most 1 - confidence. "Unharmed" needs no correction, because all must be.
    """
    margin = rule.slice_rule.margin or rule.margin
    raw = [_harm_p_value(rule, margin, one) for one in slices]
    tested = [position for position, p_value in enumerate(raw) if p_value is not None]
    adjusted = dict(zip(tested, _holm([raw[position] or 0.0 for position in tested]), strict=True))
    return tuple(
        replace(
            one,
            p_value=adjusted.get(position),
            verdict=_slice_verdict(rule, margin, one, adjusted.get(position)),
        )
        for position, one in enumerate(slices)
    )


def check_slices(rule: Gate, slices: Sequence[Slice], problems: Sequence[str]) -> Check:
    """Return whether a judged slice is harmed; what could not be judged at all keeps the champion."""
    if problems:
        return Check(
            "slices",
            "failed",
            f"kept: slices cannot be judged: {'; '.join(one.rstrip('.') for one in problems)}",
        )
    harmed = [one for one in slices if one.verdict == "harmed"]
    if harmed:
        worst = sorted(harmed, key=lambda one: one.p_value or 0.0)
        named = "; ".join(map(_slice_in_words, worst[:MOST_NAMED])) + more(len(worst))
        return Check("slices", "failed", f"kept: slices are harmed: {named}")
    counts = {
        verdict: sum(one.verdict == verdict for one in slices)
        for verdict in ("unharmed", "unproven", "too small")
    }
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    if rule.slice_rule.unproven == "keep" and counts["unproven"]:
        return Check("slices", "failed", f"kept: not every slice is proven unharmed: {words}")
    if not counts["unharmed"] + counts["unproven"]:
        return Check("slices", "reported", f"reported: no slice is large enough to be judged: {words}")
    return Check("slices", "passed", f"no slice is proven harmed: {words}")


def _harm_p_value(rule: Gate, margin: Margin, one: Slice) -> float | None:
    """Return the one-sided p-value of "worse by no more than the margin"."""
    over = one.difference
    if over is None or over.error is None:
        return None
    harmed, bound = harm(rule, over), limit("non_inferiority", margin, over)
    if harmed is None or bound is None:
        return None
    beyond = harmed[0] - bound
    if over.error == 0:
        return 0.0 if beyond > 0 else 1.0
    return float(stats.t.sf(beyond / over.error, over.degrees))


def _holm(p_values: Sequence[float]) -> list[float]:
    order = np.argsort(p_values)
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p_value) for p_value in adjusted]


def _slice_verdict(rule: Gate, margin: Margin, one: Slice, p_value: float | None) -> SliceVerdict:
    """Too small is a slice of too few rows, and one of too few clusters, or of one class, to tell."""
    over = one.difference
    if over is None or over.interval is None:
        return "too small"
    if over.identical:
        return "unharmed"
    bound = limit("non_inferiority", margin, over)
    if p_value is None or bound is None:
        return "unproven"
    if p_value < 1 - rule.confidence:
        return "harmed"
    return "unharmed" if side(rule, over, bound) == "better" else "unproven"


def _slice_in_words(one: Slice) -> str:
    over = one.difference
    shown = "" if over is None else f" {in_words(over)}"
    return f"{one.column} = {one.value} ({one.rows:,} rows){shown}"
