"""Measure how far each column of a window lies from the baseline, and what chance alone reaches.

Missing values are left out, so that a column that went missing is health's matter and not drift's as
well. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from evergreen.drift.chance import chance_of, nature
from evergreen.drift.distances import DISTANCES
from evergreen.drift.natural import pooled
from evergreen.durations import Duration
from evergreen.monitor_spec import DistanceName, Monitor
from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.profile import Profile, merged
from evergreen.watch_results import Drifted

_EARLIEST = datetime(2001, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """One column: its cells, the distance asked of it, and its rows by cell but for missing values.

    `before` is the baseline's by day, `(days, k)`; `after` the window's, `(k,)`.
    """

    cells: Cells
    distance: DistanceName
    before: np.ndarray
    after: np.ndarray
    problem: str | None

    @property
    def positions(self) -> np.ndarray | None:
        """Where the cells lie, in units of the baseline's standard deviation."""
        centres = self.cells.centres
        if not self.cells.ordered or not centres:
            return None
        return np.array([centres[0], *centres, centres[-1]]) / (self.cells.scale or 1.0)


def measure_columns(
    layout: Layout,
    baseline_days: Mapping[date, Profile],
    window_days: Mapping[date, Profile],
    monitor: Monitor,
    importance: Mapping[str, float],
) -> tuple[Drifted, ...]:
    """Return each column's distance, or why there is none, in the layout's order.

    Args:
        layout: The cells of the columns.
        baseline_days: The baseline's profiles by UTC day.
        window_days: The window's.
        monitor: Which distances are asked for, and what a window is compared with.
        importance: Each column's share of the permutation importance; 0 where it is not named.
    """
    past = [profile for _, profile in sorted(compared_with(baseline_days, window_days, monitor))]
    after = merged(window_days.values(), layout)
    asked = [_asked(cells, past, after, monitor) for cells in layout.cells]
    spanned = sum(bool(profile.counts.any()) for profile in window_days.values())
    days = max(1, min(days_of(monitor.window), spanned))
    told = [one for one in asked if one.problem is None]
    likely = pooled([nature(one.distance, one.before, days) for one in told])
    before_seen = dict(zip((one.cells.column for one in told), likely, strict=True))
    return tuple(
        _measured(one, days, before_seen.get(one.cells.column), importance.get(one.cells.column, 0.0))
        for one in asked
    )


def compared_with(
    baseline_days: Mapping[date, Profile], window_days: Mapping[date, Profile], monitor: Monitor
) -> list[tuple[date, Profile]]:
    """Return the days of the baseline that a window is compared with; all, where its own are too few."""
    days = list(baseline_days.items())
    if monitor.season != "weekdays":
        return days
    weekdays = {day.weekday() for day, profile in window_days.items() if profile.rows}
    return [(day, profile) for day, profile in days if day.weekday() in weekdays] or days


def days_of(window: Duration) -> int:
    """Return how many days a window spans, at least 1."""
    return max(1, round((window.after(_EARLIEST) - _EARLIEST).total_seconds() / 86_400))


def _asked(cells: Cells, before: list[Profile], after: Profile, monitor: Monitor) -> Asked:
    rules = monitor.distances
    usual = rules.numbers if cells.ordered else rules.categories
    distance = rules.columns.get(cells.column, usual)
    days = np.array([profile.of(cells.column)[1:] for profile in before], dtype=np.int64)
    days = days.reshape(len(before), len(cells) - 1)
    now = after.of(cells.column)[1:]
    problem = after.problems.get(cells.column)
    if problem is None:
        problem = _problem(cells, distance, days, now, after.rows)
    return Asked(cells, distance, days, now, problem)


def _problem(
    cells: Cells, distance: DistanceName, days: np.ndarray, now: np.ndarray, rows: int
) -> str | None:
    """Return why the distance is undefined."""
    if DISTANCES[distance].ordered and not cells.ordered:
        fitting = ", ".join(name for name, one in DISTANCES.items() if not one.ordered)
        return f"{distance} is a distance of numbers, but the column is a {cells.kind}; use {fitting}"
    if not days.any():
        return "the baseline holds no value of it"
    if not now.any():
        return "all its values in the window are missing" if rows else "the window has no rows"
    return None


def _measured(one: Asked, days: int, likely: np.ndarray | None, importance: float) -> Drifted:
    totals = one.before.sum(axis=0)
    baseline_rows, window_rows = int(totals.sum()), int(one.after.sum())
    value = moved = index = chance = None
    if likely is not None:
        p, q = totals / baseline_rows, one.after / window_rows
        value = float(DISTANCES[one.distance].measure(p, q, one.positions))
        moved = float(np.abs(p - q).sum() / 2)
        index = float(DISTANCES["psi"].measure(p, q, None))
        chance = chance_of(one.distance, one.before, window_rows, days, one.positions, likely)
    return Drifted(
        column=one.cells.column,
        kind=one.cells.kind,
        distance=one.distance,
        value=value,
        moved=moved,
        psi=index,
        chance=chance,
        importance=importance,
        baseline_rows=baseline_rows,
        window_rows=window_rows,
        problem=one.problem,
    )
