"""Looks at the data itself: lost columns, missing values, too few rows, old rows, categories never seen.

A finding is something that breaks the owner's rule. Where chance may have a part in it, the finding
carries what chance alone does, and the judge decides; the others are facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType

from evergreen.drift.broken_shares import nulls, unseen
from evergreen.drift.volume import volume
from evergreen.evidence.numbers import counted, short
from evergreen.logged_rows import PREFIX
from evergreen.monitor_spec import Monitor
from evergreen.profiles.baseline import Baseline
from evergreen.profiles.layout import Cells
from evergreen.profiles.profile import Profile, widest
from evergreen.text import plain
from evergreen.watch_results import HealthFinding
from evergreen.window import Window

_DAY = timedelta(days=1)


def health(
    baseline: Baseline,
    window_days: Mapping[date, Profile],
    newest: datetime | None,
    as_of: datetime,
    window: Window,
    monitor: Monitor,
    apart: Collection[str] | None = None,
    ahead: Mapping[date, Profile] = MappingProxyType({}),
) -> tuple[HealthFinding, ...]:
    """Return what is broken about the window's data: lost columns first, then by importance.

    Args:
        baseline: The champion's.
        window_days: The window's profiles by UTC day, of the baseline's layout; days without rows are
            not there.
        newest: The time of the newest row logged before the as-of, None where there is none.
        as_of: The check's.
        window: The check's.
        monitor: The owner's rules.
        apart: Columns that are no features: key, time and label. None: new columns are not looked for.
        ahead: Profiles by UTC day of rows whose time had not come when the check was made.
    """
    ranked = sorted(baseline.layout.cells, key=lambda each: -baseline.importance.get(each.column, 0.0))
    found = [
        *_schema(ranked, window_days),
        *_stale(baseline, newest, as_of, monitor),
        *volume(baseline.days, window_days, window, monitor.health.volume_drop),
        *_future(ahead),
    ]
    for cells in ranked:
        found += nulls(cells, baseline.days, window_days, monitor.health.nulls)
        found += unseen(cells, baseline.days, window_days, monitor.health.unseen)
    found += _other_columns(baseline, window_days, apart)
    return tuple(found)


def _schema(ranked: Iterable[Cells], days: Mapping[date, Profile]) -> Iterable[HealthFinding]:
    """Yield the features that the rows of some day lack, or have in a type that cannot be read."""
    rows = sum(day.rows for day in days.values())
    for cells in ranked:
        bad = {day: one for day, one in sorted(days.items()) if cells.column in one.problems}
        if not bad:
            continue
        since, first = next(iter(bad.items()))
        lasting = counted(len(bad), "day")
        when = "" if len(bad) == len(days) else f" on {lasting} of {len(days)}, the first {since}"
        words = f"the feature {cells.column!r} {_said(first.problems[cells.column])}{when}"
        share = sum(one.rows for one in bad.values()) / rows if rows else 1.0
        yield HealthFinding("schema", cells.column, share, 0.0, words)


def _said(problem: str) -> str:
    """Return a profile's problem so that it can follow the column's name."""
    what = plain(problem.partition(":")[0], 200)
    return (
        what if what.startswith("changed") else f"is {what}" if what == "lost" else f"is broken: {what}"
    )


def _stale(
    baseline: Baseline, newest: datetime | None, as_of: datetime, monitor: Monitor
) -> Iterable[HealthFinding]:
    """Yield that no row is young enough; where none was ever logged, training's last day counts."""
    allowed = monitor.health.stale_after or monitor.window
    since = newest
    if since is None and baseline.days:
        since = datetime.combine(max(baseline.days) + _DAY, time(), UTC)
    if since is None or since >= allowed.before(as_of):
        return
    age, limit = ((as_of - each) / _DAY for each in (since, allowed.before(as_of)))
    words = f"no row was ever logged, and training's last is {short(age)} days old"
    if newest is not None:
        words = f"no fresh rows since {newest:%Y-%m-%d %H:%M} UTC, {short(age)} days before the check"
    yield HealthFinding("stale", "rows", age, limit, f"{words}; {allowed} is allowed")


def _future(ahead: Mapping[date, Profile]) -> Iterable[HealthFinding]:
    """Yield that rows carry times that are not there yet: no alarm, for a plan may be such a time."""
    rows = sum(day.rows for day in ahead.values())
    if rows:
        words = (
            f"{counted(rows, 'row')} of the future, up to {max(ahead)}: they are left out until their "
            "time has come"
        )
        yield HealthFinding("future", "rows", 1.0, 1.0, words)


def _other_columns(
    baseline: Baseline, days: Mapping[date, Profile], apart: Collection[str] | None
) -> Iterable[HealthFinding]:
    """Yield columns that are new, or changed though the champion does not read them: no alarm."""
    if apart is None:
        return
    before = {column.name: column.type for column in baseline.columns}
    others = {*apart, *(cells.column for cells in baseline.layout.cells)}
    for column in widest(day.columns for day in days.values()):
        name, was = plain(column.name, 100), before.get(column.name)
        if column.name in others or column.name.startswith(PREFIX):
            continue
        if was is None:
            words = f"the column {name!r} is new ({column.type}): the next retrain may learn from it"
        elif was != column.type and "null" not in (was, column.type):
            words = f"the column {name!r}, which is no feature, changed from {was} to {column.type}"
        else:
            continue
        yield HealthFinding("schema", column.name, 1.0, 1.0, words)
