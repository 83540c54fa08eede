"""The time of the newest row, looked for by the database in longer and longer windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from evergreen.adapters.sql_counts.columns import NotPlain, columns_of
from evergreen.column_types import DATE, TIME
from evergreen.python_values import typed
from evergreen.row_times import instants
from evergreen.rows import require_columns
from evergreen.spec import Data
from evergreen.sql_session import POSTGRES_WITH_ZONE, SUBQUERY, SqlSession
from evergreen.window import Window

LONGEST_LOOK_BACK = timedelta(days=2048)


def newest(
    session: SqlSession, connection: sa.Connection, data: Data, before: datetime
) -> datetime | None:
    """Return the time of the newest row before an instant, none where there is none in 4,000 days.

    Raises:
        NotPlain: times of a type that only the reader understands, or outside the window asked for.
    """
    end, length = before.astimezone(UTC), timedelta(days=1)
    while length <= LONGEST_LOOK_BACK:
        try:
            window = Window(end - length, end)
            found = _newest(session, connection, data, window)
        except OverflowError:  # before the first year
            return None
        if found is not None:
            return found
        end, length = window.start, length * 2
    return None


def _newest(
    session: SqlSession, connection: sa.Connection, data: Data, window: Window
) -> datetime | None:
    names, oids = session.columns(connection, window)
    require_columns(names, data, session.where, labelled=False)
    query = session.clause().columns(*map(sa.column, names)).subquery(SUBQUERY)
    time = columns_of(connection, query, names, oids)[data.time_column]
    if time.type not in (TIME, DATE):
        raise NotPlain("the time column is no timestamp")
    binds = session.binds("postgresql", window, time.oid == POSTGRES_WITH_ZONE)
    value = connection.execute(sa.select(sa.func.max(time.column)), binds).scalar_one()
    if value is None:
        return None
    read = typed([value], data.time_column, data.time_zone, session.where, 1)
    found: datetime = instants(read, data.time_column, data.time_zone, session.where, 1)[0].as_py()
    if not window.start <= found < window.end:
        raise NotPlain("a row lies outside the window")
    return found.astimezone(UTC)
