"""Whether as many rows came as came on the baseline's days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from scipy import stats

from evergreen.profiles.profile import Profile
from evergreen.watch_results import HealthFinding
from evergreen.window import Window

SPREADS = 4.0
"""A drop must also be so many times what days differ by themselves."""
RHYTHM_LEVEL = 0.01
_DAY = timedelta(days=1)


def volume(
    baseline: Mapping[date, Profile], days: Mapping[date, Profile], window: Window, drop: float
) -> Iterable[HealthFinding]:
    """Yield a finding where rows fell by more than `drop` below the baseline's days.

    Whole days are compared, each with the median of the baseline's same weekdays where weekdays differ
    there, else of all its days. Days before the window's first row do not count: the champion may not
    have served yet. A day at the window's end that is not over counts only where there is no other.
    """
    usual, spread = _usual(baseline)
    compared = _compared(days, window)
    expected = sum(usual[day.weekday()] * part for day, part in compared)
    if not expected:
        return
    rows = sum(days[day].rows for day, _ in compared if day in days)
    parts = sum(part for _, part in compared)
    natural = max(spread * np.sqrt(parts), np.sqrt(expected))
    share = rows / expected
    if share < 1 - drop and expected - rows > SPREADS * natural:
        lasting = f"{parts:.3g} days" if parts != 1 else "one day"
        words = (
            f"{rows:,} rows in {lasting} where the baseline's days had {expected:,.0f}: {1 - share:.0%} "
            f"fewer, and {drop:.0%} is allowed"
        )
        yield HealthFinding("volume", "rows", share, 1 - drop, words)


def _usual(baseline: Mapping[date, Profile]) -> tuple[list[float], float]:
    """Return how many rows each weekday has, Monday first, and what days differ by beside that."""
    counts = _every_day(baseline)
    if not counts:
        return [0.0] * 7, 0.0
    by_weekday = [[rows for day, rows in counts if day.weekday() == weekday] for weekday in range(7)]
    whole = float(np.median([rows for _, rows in counts]))
    usual = [whole] * 7
    if _has_rhythm(by_weekday):
        usual = [float(np.median(each)) for each in by_weekday]
    apart = np.abs([rows - usual[day.weekday()] for day, rows in counts])
    # Twice the half width that holds 68% is robust to a few odd days.
    return usual, float(np.quantile(apart, 0.68))


def _every_day(baseline: Mapping[date, Profile]) -> list[tuple[date, int]]:
    """Return the rows of each day from the first to the last, which may not have been whole days."""
    if not baseline:
        return []
    first, last = min(baseline), max(baseline)
    days = [first + number * _DAY for number in range((last - first).days + 1)]
    inner = days[1:-1] if len(days) > 3 else days
    return [(day, baseline[day].rows if day in baseline else 0) for day in inner]


def _has_rhythm(by_weekday: list[list[int]]) -> bool:
    if min(len(each) for each in by_weekday) < 2 or len({n for each in by_weekday for n in each}) < 2:
        return False
    return bool(stats.kruskal(*by_weekday).pvalue < RHYTHM_LEVEL)


def _compared(days: Mapping[date, Profile], window: Window) -> list[tuple[date, float]]:
    """Return the days that are compared, with how much of each lies in the window."""
    parts = []
    start = window.start
    while start < window.end:
        following = datetime.combine(start.astimezone(UTC).date() + _DAY, time(), UTC)
        end = min(following, window.end)
        parts.append((start.astimezone(UTC).date(), (end - start) / _DAY))
        start = end
    first = min((day for day in days if days[day].rows), default=None)
    if first is not None and first > parts[0][0]:
        # Its rows may begin within the day, with the champion.
        parts = [part for part in parts if part[0] > first] or [
            part for part in parts if part[0] == first
        ]
    return [part for part in parts if part[1] == 1] or parts
