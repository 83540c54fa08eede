"""Logged rows that PostgreSQL counts where it holds them.

Only counts travel: one `GROUP BY` over the team's query for every `COLUMNS_A_QUERY` columns, all in one
read-only transaction. They are the same, to the row, as those of the rows pulled. Where that cannot be
promised (a column of an uncommon type, times that are text, rows outside the window) the rows are pulled
after all, which also says what is wrong with them. Of a column that is not counted only the type is
looked at.

Any other database's rows are pulled. SQLite runs in this very process: having it sort the rows for each
column takes longer than taking them over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from evergreen.adapters.sql_counts.columns import NotPlain
from evergreen.errors import DataUnusable
from evergreen.monitor_spec import LoggedPredictions
from evergreen.spec import Data
from evergreen.sql_session import SqlSession
from evergreen.watch_ports import LoggedRows
from evergreen.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import Profile

log = logging.getLogger(__name__)


class SqlCounts:
    """Logged rows in a database; a `watch_ports.LoggedRows`.

    Args:
        rows: The same rows, pulled.
        url: The database.
        query: The team's query.
        data: The model's; its time column and time zone are used.
        logged: Which columns hold predictions and version.
        classes: The model's; none for a regression.
        where: For messages.
    """

    def __init__(
        self,
        rows: LoggedRows,
        url: sa.URL,
        query: str,
        data: Data,
        logged: LoggedPredictions,
        classes: tuple[str, ...],
        where: str,
    ) -> None:
        self._rows = rows
        self._session = SqlSession(url, query, data.time_zone, where)
        self._data = data
        self._logged = logged
        self._classes = classes

    def read(
        self, window: Window, columns: Sequence[str] | None = None, version: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows, pulled.

        Raises:
            DataUnusable: a missing time column, prediction or table; unreadable times.
            SourceUnavailable: the database did not answer.
        """
        return self._rows.read(window, columns, version)

    def count(
        self, window: Window, layout: Layout, version: int | None = None
    ) -> Mapping[date, Profile]:
        """Return the profiles of the window's rows by UTC day; days without rows are left out.

        Raises:
            As `read`.
        """
        from evergreen.adapters.sql_counts.counting import Counting

        try:
            with self._session.open() as connection:
                counting = Counting(self._session, connection, self._data, window)
                return counting.by_day(layout, self._logged, self._classes, version)
        except (NotPlain, DataUnusable) as exc:
            log.info("the rows are pulled, not counted by their database: %s", exc)
        return self._rows.count(window, layout, version)

    def newest(self, before: datetime) -> datetime | None:
        """Return the time of the newest row before an instant, or None where there is none.

        Raises:
            As `read`.
        """
        from evergreen.adapters.sql_counts.newest import newest

        try:
            with self._session.open() as connection:
                return newest(self._session, connection, self._data, before)
        except (NotPlain, DataUnusable) as exc:
            log.info("the newest row is looked for by pulling: %s", exc)
        return self._rows.newest(before)
