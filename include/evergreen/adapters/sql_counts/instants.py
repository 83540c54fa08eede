"""From PostgreSQL's times to UTC days and calendar cells, by the rules of `column_types.utc`.

Databases have rules of their own for the hours that daylight saving repeats or skips, so the zone's
offsets are taken from ours and bound: wall-clock times between two changes have one offset, those that
the clock skipped are one instant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from evergreen.adapters.sql_counts.columns import Found, NotPlain
from evergreen.column_types import DATE, TIME, utc
from evergreen.sql_session import POSTGRES_WITH_ZONE
from evergreen.window import Window

Expression = sa.ColumnElement[Any]

EARLIEST, LATEST = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001
"""Wall-clock times outside these some zone puts out of the years that are read at all."""

_TICK = timedelta(microseconds=1)
_STEP = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Wall-clock times from `start` on: all `offset` ahead of UTC, or all the one UTC instant."""

    start: datetime
    offset: timedelta
    instant: datetime | None = None


def stretches(zone: str, low: datetime, high: datetime) -> list[Stretch]:
    """Return how wall-clock times of a zone between two are read, in order; the first has no bound.

    >>> from datetime import datetime
    >>> spring = stretches("America/New_York", datetime(2013, 3, 1), datetime(2013, 4, 1))
    >>> [(s.start.isoformat(), s.offset.total_seconds() / 3600) for s in spring[::2]]
    [('2013-03-01T00:00:00', -5.0), ('2013-03-10T03:00:00', -4.0)]
    >>> spring[1].instant.isoformat()
    '2013-03-10T07:00:00'
    """
    low, high = max(low, EARLIEST), min(max(high, low + _STEP), LATEST)
    grid = np.arange(np.datetime64(low, "us"), np.datetime64(high + _STEP, "us"), np.timedelta64(_STEP))
    offsets = grid - _instants(grid, zone)
    found = [Stretch(low, offsets[0].astype(timedelta))]
    for before in np.flatnonzero(np.diff(offsets)):
        earlier, later = grid[before].astype(datetime), grid[before + 1].astype(datetime)
        old, new = found[-1].offset, offsets[before + 1].astype(timedelta)
        left = _first(earlier, later, lambda wall, old=old: _offset(wall, zone) != old)
        reached = _first(left - _TICK, later, lambda wall, new=new: _offset(wall, zone) == new)
        if left < reached:
            found.append(Stretch(left, timedelta(0), reached - new))
        found.append(Stretch(reached, new))
    return found


def _first(low: datetime, high: datetime, holds: Any) -> datetime:
    """Return the first time after `low` where something holds; at `high` it does."""
    while high - low > _TICK:
        middle = low + (high - low) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _offset(wall: datetime, zone: str) -> timedelta:
    grid = np.array([wall], "datetime64[us]")
    return (grid - _instants(grid, zone))[0].astype(timedelta)  # type: ignore[no-any-return]


def _instants(walls: np.ndarray, zone: str) -> np.ndarray:
    read = utc(pa.array(walls, pa.timestamp("us")), zone).cast(pa.timestamp("us"))
    return read.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


class Times:
    """How times are read; `walls` are the stretches of all times without a zone."""

    def __init__(self, walls: Sequence[Stretch]) -> None:
        self._walls = walls

    def day(self, found: Found, window: Window) -> Expression:
        """Return the UTC day of the rows' time, counted from the window's first; NULL outside it.

        Raises:
            NotPlain: a time column of a type that only the reader understands.
        """
        if found.type not in (TIME, DATE):
            raise NotPlain("the time column is no timestamp")
        instant = self._utc(found)
        start, end = (
            sa.literal(end.replace(tzinfo=None), sa.DateTime) for end in (window.start, window.end)
        )
        day = sa.type_coerce(
            sa.cast(instant, sa.Date) - sa.literal(window.start.date(), sa.Date), sa.Integer
        )
        return sa.case((sa.and_(instant >= start, instant < end), day), else_=None)

    def cell(self, found: Found, parts: int) -> Expression:
        """Return a time's place among calendar cells of `parts` parts a day, from 1 on; 0 is missing.

        NULL is a time that is not read at all.
        """
        whole_days = found.type == DATE
        instant = sa.cast(found.column, sa.DateTime) if whole_days else self._utc(found)
        place = (_field("isodow", instant) - 1) * parts + 1
        if parts > 1 and not whole_days:
            place = place + _field("hour", instant) // (24 // parts)
        readable = instant.between(sa.literal(EARLIEST, sa.DateTime), sa.literal(LATEST, sa.DateTime))
        return sa.case((found.column.is_(None), 0), (readable, place), else_=None)

    def _utc(self, found: Found) -> Expression:
        if found.oid == POSTGRES_WITH_ZONE:
            return sa.func.timezone("UTC", found.column, type_=sa.DateTime)
        wall = sa.cast(found.column, sa.DateTime)
        leaves = [
            wall - sa.literal(each.offset, sa.Interval)
            if each.instant is None
            else sa.literal(each.instant, sa.DateTime)
            for each in self._walls
        ]
        starts = [sa.literal(each.start, sa.DateTime) for each in self._walls[1:]]
        return sa.type_coerce(_search(wall, starts, leaves), sa.DateTime)


def _field(name: str, instant: Expression) -> Expression:
    return sa.cast(sa.func.date_part(name, instant), sa.Integer)


def _search(value: Expression, rising: Sequence[Expression], leaves: Sequence[Expression]) -> Expression:
    """Return the leaf whose number is how many of the rising values are reached, by few comparisons."""
    if not rising:
        return leaves[0]
    middle = len(rising) // 2
    return sa.case(
        (value < rising[middle], _search(value, rising[:middle], leaves[: middle + 1])),
        else_=_search(value, rising[middle + 1 :], leaves[middle + 1 :]),
    )


def days_of(window: Window) -> Iterator[date]:
    """Yield the UTC days of a window."""
    day = window.start.date()
    while day <= (window.end - _TICK).date():
        yield day
        day += timedelta(days=1)
