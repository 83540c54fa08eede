"""Comparisons for tests: one that is promoted over version 3, and what to change of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evergreen.comparison import (
    Bin,
    Calibration,
    Check,
    CheckName,
    Comparison,
    Difference,
    Evidence,
    Gap,
    Group,
    Interval,
    Serving,
    Slice,
    SliceVerdict,
    Verdict,
)

SERVING = Serving(
    size_bytes=1_840_000,
    load_ms=412.0,
    median_ms=1.9,
    p99_ms=3.24,
    single_rows=500,
    rows_per_second=184_000.0,
    batch_rows=20_000,
    memory_bytes=288_000_000,
    reproduced_rows=1000,
    largest_deviation=0.0,
)
GAP = Gap(
    "sex",
    "equalized_odds",
    Interval(0.041, 0.012, 0.07, 0.95),
    (Group("F", 4000, 0.61), Group("M", 5000, 0.651)),
    ("X",),
    Interval(0.038, 0.01, 0.066, 0.95),
)


def difference(
    estimate: float = -0.0028,
    reach: float = 0.0023,
    *,
    other: float = 0.4151,
    rows: int = 9000,
    clusters: int = 30,
    **changes: Any,
) -> Difference:
    """Return a difference whose interval reaches so far to either side."""
    found = Difference(
        value=other + estimate,
        other=other,
        interval=Interval(estimate, estimate - reach, estimate + reach, 0.95),
        error=reach / 2.045,
        degrees=clusters - 1.0,
        rows=rows,
        clusters=clusters,
        method="paired t over days",
    )
    return replace(found, **changes)


def slice_of(
    value: str,
    verdict: SliceVerdict = "unharmed",
    *,
    column: str = "origin",
    estimate: float = -0.003,
    reach: float = 0.004,
    rows: int = 1500,
    p_value: float | None = 1.0,
) -> Slice:
    """Return a judged slice; one that is too small has no difference."""
    if verdict == "too small":
        return Slice(column, value, rows, None, verdict)
    measured = difference(estimate, reach, rows=rows)
    return Slice(column, value, rows, measured, verdict, p_value)


def calibration(error: float = 0.013, slope: float = 0.97) -> Calibration:
    """Return a calibration of ten bins, each off by about the error."""
    bins = tuple(
        Bin(p, min(1.0, max(0.0, p + (error if i % 2 else -error))), 900)
        for i, p in enumerate((0.02, 0.06, 0.11, 0.17, 0.24, 0.32, 0.41, 0.52, 0.66, 0.85))
    )
    return Calibration(
        Interval(error, max(0.0, error - 0.004), error + 0.005, 0.95),
        Interval(slope, slope - 0.06, slope + 0.06, 0.95),
        bins,
    )


def check(name: CheckName, verdict: Verdict = "passed", words: str = "") -> Check:
    """Return a check's answer."""
    return Check(name, verdict, words or f"{name} {verdict}")


EVIDENCE = Evidence(
    rows=9000,
    clusters=30,
    clustered_by="day",
    over_baseline=difference(-0.068, 0.006, other=0.4803),
    over_last_period=difference(-0.066, 0.006, other=0.4783),
    over_champion=difference(),
    champion_over_baseline=difference(-0.0652, 0.0061, other=0.4803),
    calibration=calibration(),
    champion_calibration=calibration(0.021, 0.9),
    serving=SERVING,
)
COMPARISON = Comparison(
    decision="promote",
    promote=True,
    checks=(check("baseline"), check("last_period"), check("champion")),
    metric="log_loss",
    higher_is_better=False,
    policy="superiority",
    margin="0",
    limit=0.0,
    confidence=0.95,
    evidence=EVIDENCE,
    champion_version=3,
    champion_seq=41,
)


def comparison(**changes: Any) -> Comparison:
    """Return the promoted comparison, changed; a field of `Evidence` is changed there.

    >>> comparison(decision="keep", promote=False, rows=500).evidence.rows
    500
    """
    own = {name: changes.pop(name) for name in list(changes) if name in Comparison.__slots__}
    evidence = replace(own.pop("evidence", EVIDENCE), **changes)
    return replace(COMPARISON, evidence=evidence, **own)


def first_challenger(**changes: Any) -> Comparison:
    """Return the comparison of a first challenger: there is no champion."""
    return comparison(
        **{
            "over_champion": None,
            "champion_over_baseline": None,
            "champion_calibration": None,
            "champion_version": None,
            "champion_seq": None,
            "checks": (check("baseline"), check("last_period")),
            **changes,
        }
    )
