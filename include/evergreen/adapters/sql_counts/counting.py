"""From the cells of a layout to PostgreSQL's counts, and back to profiles by day.

Day and cell are one whole number, `day * cells + cell`, so that a column is grouped by one value; it is
NULL for a row that must be pulled to be understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from evergreen.adapters.sql_counts.answers import are_shares, logged_columns
from evergreen.adapters.sql_counts.cells import cell_of, place_of, text_of
from evergreen.adapters.sql_counts.columns import WITHOUT_ZONE, Found, NotPlain, columns_of
from evergreen.adapters.sql_counts.instants import EARLIEST, LATEST, Times, days_of, stretches
from evergreen.column_types import TIME
from evergreen.logged_rows import VERSION
from evergreen.monitor_spec import LoggedPredictions
from evergreen.profiles.count import count
from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.profile import MOST_EXAMPLES, Profile
from evergreen.profiles.tally import LONGEST_EXAMPLE
from evergreen.rows import require_columns
from evergreen.spec import Data
from evergreen.sql_session import POSTGRES_WITH_ZONE, SUBQUERY, SqlSession
from evergreen.window import Window

COLUMNS_A_QUERY = 25
"""Columns counted in one pass over the query."""
_A_DAY = timedelta(days=1)

_ODD_ROW = "a row's time is missing, outside the window or written oddly, or its prediction is no share"


@dataclass(frozen=True, slots=True)
class _Rows:
    """The window's rows in the database: their columns as logged rows have them, and their UTC day."""

    query: sa.Subquery
    columns: Mapping[str, Found]
    day: sa.ColumnElement[Any]
    kept: sa.ColumnElement[bool]
    times: Times


class Counting:
    """Counts one window's rows within an open transaction."""

    def __init__(
        self, session: SqlSession, connection: sa.Connection, data: Data, window: Window
    ) -> None:
        self._session = session
        self._connection = connection
        self._data = data
        self._window = window
        self._binds: dict[str, Any] = {}

    def by_day(
        self,
        layout: Layout,
        logged: LoggedPredictions,
        classes: tuple[str, ...],
        version: int | None,
    ) -> dict[date, Profile]:
        """Return the profiles of the days with rows.

        Raises:
            NotPlain: the rows must be pulled.
            DataUnusable: the database refused the query.
        """
        rows = self._rows(layout, logged, classes, version)
        alike = self._of_types(rows.columns, layout)
        counted = [cells for cells in layout.cells if cells.column not in alike.problems]
        days = tuple(days_of(self._window))
        profiles = _Profiles(layout, len(days))
        parts = [counted[at : at + COLUMNS_A_QUERY] for at in range(0, len(counted), COLUMNS_A_QUERY)]
        for part in parts or [[]]:
            self._count(rows, part, profiles)
        for cells in counted:
            if cells.kind == "category" and profiles.others(cells).any():
                self._look_at_others(rows, cells, profiles)
        return {
            day: replace(
                alike,
                rows=int(profiles.rows[number]),
                counts=profiles.counts[number],
                unseen=profiles.unseen.get(number, {}),
            )
            for number, day in enumerate(days)
            if profiles.rows[number]
        }

    def _rows(
        self,
        layout: Layout,
        logged: LoggedPredictions,
        classes: tuple[str, ...],
        version: int | None,
    ) -> _Rows:
        query, found = self._found()
        columns = logged_columns(found, logged, classes)
        if self._data.time_column not in columns or self._data.time_column in layout.places:
            raise NotPlain("the time column is counted or holds a prediction, too")
        low, high = (edge.replace(tzinfo=None) for edge in (self._window.start, self._window.end))
        near = Times(stretches(self._data.time_zone, low - 2 * _A_DAY, high + 2 * _A_DAY))
        day = near.day(columns[self._data.time_column], self._window)
        kept: sa.ColumnElement[bool] = sa.true()
        if version is not None and VERSION in columns:
            answered = columns[VERSION].column
            kept = sa.or_(answered.is_(None), answered == version)
        return _Rows(
            query,
            columns,
            sa.case((are_shares(columns, classes), day), else_=None),
            kept,
            self._times(query, columns, layout),
        )

    def _found(self) -> tuple[sa.Subquery, dict[str, Found]]:
        """Return the query and its columns, as they are when pulled."""
        if self._connection.dialect.name != "postgresql":
            raise NotPlain("only PostgreSQL counts faster than rows are pulled")
        quiet = sa.func.set_config("jit", "off", True)  # it would compile hundreds of comparisons
        encoding = sa.func.current_setting("server_encoding")
        _, text = self._connection.execute(sa.select(quiet, encoding)).one()
        if text != "UTF8":
            raise NotPlain(f"the database keeps text as {text}, whose bytes are in another order")
        names, oids = self._session.columns(self._connection, self._window)
        require_columns(names, self._data, self._session.where, labelled=False)
        has_zone = oids[names.index(self._data.time_column)] == POSTGRES_WITH_ZONE
        self._binds = self._session.binds("postgresql", self._window, has_zone)
        query = self._session.clause().columns(*map(sa.column, names)).subquery(SUBQUERY)
        return query, columns_of(self._connection, query, names, oids)

    def _times(self, query: sa.Subquery, columns: Mapping[str, Found], layout: Layout) -> Times:
        """Return how features' times without a zone are read, from the earliest to the latest."""
        names = [cells.column for cells in layout.cells if cells.kind == "instant"]
        walls = [
            columns[name].column
            for name in names
            if name in columns and columns[name].oid == WITHOUT_ZONE
        ]
        if not walls or self._data.time_zone == "UTC":
            return Times(stretches("UTC", EARLIEST, EARLIEST))
        readable = [
            sa.or_(wall.is_(None), wall.between(sa.literal(EARLIEST), sa.literal(LATEST)))
            for wall in walls
        ]
        asked = sa.select(sa.func.coalesce(sa.func.bool_and(sa.and_(*readable)), True))
        if not self._connection.execute(asked.select_from(query), self._binds).scalar_one():
            raise NotPlain("a time lies out of the years that are read")
        ends = [end for wall in walls for end in (sa.func.min(wall), sa.func.max(wall))]
        said = self._connection.execute(sa.select(*ends).select_from(query), self._binds).one()
        known = [end for end in said if end is not None]
        low, high = min(known, default=EARLIEST), max(known, default=EARLIEST)
        return Times(stretches(self._data.time_zone, low - _A_DAY, high + _A_DAY))

    def _of_types(self, columns: Mapping[str, Found], layout: Layout) -> Profile:
        """Return the profile of one row of these columns: it tells what cannot be counted, and why."""
        types = {name: found.type for name, found in columns.items()} | {self._data.time_column: TIME}
        nulls = [pa.nulls(1, kind) for kind in types.values()]
        return count([pa.RecordBatch.from_arrays(nulls, names=list(types))], layout)

    def _count(self, rows: _Rows, part: Sequence[Cells], profiles: _Profiles) -> None:
        """Ask for the counts of some columns, and of rows by day."""
        found = [rows.columns[cells.column] for cells in part]
        taken = [one.column.label(f"c{number}") for number, one in enumerate(found)]
        values = _computed_once(
            sa.select(rows.day.label("day"), *taken)
            .select_from(rows.query)
            .where(rows.kept | rows.day.is_(None)),
            "evergreen_values",
        )
        keys = [values.c.day.label("k0")]
        for number, (cells, one) in enumerate(zip(part, found, strict=True)):
            cell = cell_of(cells, replace(one, column=values.c[f"c{number}"]), rows.times)
            keys.append((values.c.day * len(cells) + cell).label(f"k{number + 1}"))
        asked = _grouped(_computed_once(sa.select(*keys), "evergreen_keys"))
        for number, key, counted in self._connection.execute(asked, self._binds):
            if key is None:
                raise NotPlain(_ODD_ROW)
            if number == 0:
                profiles.rows[key] = counted
            else:
                profiles.add(part[number - 1], key, counted)

    def _look_at_others(self, rows: _Rows, cells: Cells, profiles: _Profiles) -> None:
        """Ask for the first of a column's values on each day that are no known category."""
        found = rows.columns[cells.column]
        text = text_of(found)
        values = (
            sa.select(
                rows.day.label("day"),
                sa.func.substr(text, 1, LONGEST_EXAMPLE).label("value"),
            )
            .select_from(rows.query)
            .where(rows.kept, place_of(text, cells.categories) > len(cells.categories))
            .where(found.column.is_not(None))
            .distinct()
            .subquery("evergreen_values")
        )
        value = sa.collate(values.c.value, "C")
        rank = sa.func.row_number().over(partition_by=values.c.day, order_by=value)
        ranked = sa.select(values.c.day, values.c.value, rank.label("rank")).subquery("evergreen_ranked")
        first = sa.select(ranked.c.day, ranked.c.value).where(ranked.c.rank <= MOST_EXAMPLES)
        examples: dict[int, list[str]] = {}
        for day, example in self._connection.execute(first, self._binds):
            examples.setdefault(day, []).append(example)
        for day, found_examples in examples.items():
            profiles.unseen.setdefault(day, {})[cells.column] = tuple(sorted(found_examples))


def _computed_once(rows: sa.Select[Any], name: str) -> sa.Subquery:
    """Return rows whose expressions are computed once each, however often they are used.

    The offset keeps PostgreSQL from moving them, and from believing that there are as many cells as
    values; written so, it does not keep it from sharing the work among processes.
    """
    return rows.offset(sa.literal_column("'0'")).subquery(name)


def _grouped(rows: sa.Subquery) -> sa.Select[Any]:
    """Return how often each value of each column stands there: column's number, value and count."""
    columns = list(rows.c)
    number = sa.case(*((column.is_not(None), place) for place, column in enumerate(columns)), else_=None)
    sets = sa.func.grouping_sets(*(sa.tuple_(column) for column in columns))
    return sa.select(number, sa.func.coalesce(*columns), sa.func.count()).group_by(sets)


class _Profiles:
    """The counts so far, by day of the window."""

    def __init__(self, layout: Layout, days: int) -> None:
        self.rows: np.ndarray = np.zeros(days, dtype=np.int64)
        self.counts: np.ndarray = np.zeros((days, layout.size), dtype=np.int64)
        self.unseen: dict[int, dict[str, tuple[str, ...]]] = {}
        self._places = layout.places

    def add(self, cells: Cells, key: int, counted: int) -> None:
        """Add what was counted of a column under `day * cells + cell`."""
        day, cell = divmod(key, len(cells))
        self.counts[day, self._places[cells.column].start + cell] += counted

    def others(self, cells: Cells) -> np.ndarray:
        """Return the counts of values that are no known category, by day."""
        return self.counts[:, self._places[cells.column].stop - 1]
