"""Counts on the whole way: as profiles, measured and judged as a check of the watch does it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from evergreen.amounts import Margin
from evergreen.drift.judge import judge
from evergreen.drift.measure import measure_columns
from evergreen.monitor_spec import Monitor
from evergreen.profiles.layout import Layout
from evergreen.profiles.profile import Profile
from evergreen.watch_results import Observation
from evergreen.window import Window
from tests.benchmarks.watch_counts import Column

FIRST = date(2013, 1, 7)
TOLD = (0, 45, 89)


def must_agree(
    columns: Sequence[Column],
    importance: Sequence[float],
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    bars: np.ndarray,
    beyond: np.ndarray,
    window: int,
) -> None:
    """Check that verdicts are those that were counted.

    Args:
        columns: The stream's.
        importance: Theirs.
        before: The baseline's counts by day, of each column.
        after: The counts of the days since.
        bars: `(columns,)`, the thresholds that were counted with.
        beyond: `(columns, checks)`, which column was beyond its threshold.
        window: A window's days.

    Raises:
        RuntimeError: they are others.
    """
    layout = Layout(tuple(column.cells for column in columns))
    past = _profiles(layout, before, FIRST)
    later = _profiles(layout, after, FIRST + timedelta(days=len(before[0])))
    rule = Monitor.model_validate(
        {"schedule": "@daily", "window": f"{window} days", "min_effect": "0%", "min_rows": 2}
    )
    weights = {column.cells.column: each for column, each in zip(columns, importance, strict=True)}
    days = sorted(later)
    for check in TOLD:
        inside = days[check : check + window]
        seen = {day: later[day] for day in inside}
        end = datetime.combine(inside[-1] + timedelta(days=1), datetime.min.time(), UTC)
        rows = sum(one.rows for one in seen.values())
        said = judge(
            Observation(
                run_key="budget/check",
                as_of=end,
                window=Window(end - timedelta(days=window), end),
                version=1,
                rows=rows,
                rows_a_day=rows / window,
                checks_a_year=365.25,
                overlap=float(window),
                features=measure_columns(layout, past, seen, rule, weights),
            ),
            rule,
            Margin(0.0),
        )
        alarmed = {one.subject for one in said.findings if one.answer == "alarm"}
        counted = {layout.cells[place].column for place in np.flatnonzero(beyond[:, check])}
        if alarmed != counted:
            raise RuntimeError(f"check {check}: the verdict alarms for {alarmed}, counted was {counted}")
        places = {cells.column: place for place, cells in enumerate(layout.cells)}
        told = [(one.threshold, bars[places[one.subject]]) for one in said.findings]
        if not np.allclose(*np.transpose(told), rtol=1e-9):
            raise RuntimeError(f"check {check}: thresholds are others than counted with: {told}")


def _profiles(layout: Layout, counts: Sequence[np.ndarray], first: date) -> dict[date, Profile]:
    days = len(counts[0])
    whole = np.hstack([_with_missing(each) for each in counts])
    return {
        first + timedelta(days=day): Profile(layout, int(counts[0][day].sum()), whole[day])
        for day in range(days)
    }


def _with_missing(counts: np.ndarray) -> np.ndarray:
    return np.hstack([np.zeros((len(counts), 1), dtype=np.int64), counts])
