"""Rows from a database through SQLAlchemy, streamed.

The model file's query runs as a subquery, ordered by time and key, in one read-only transaction, so
the same rows come in the same order. `:start` and `:end` are bound, never formatted:

- SQLite has no time type, so they are text, as short as says it all ("2013-04-01", "2013-04-01 06:30"):
  that compares rightly with times written YYYY-MM-DD and YYYY-MM-DD HH:MM[:SS[.ffffff]], and at
  midnight also with those that have a T. They are wall-clock times of `data.time_zone`.
- PostgreSQL gets instants where the time column has a zone, and the session's zone is
  `data.time_zone`.
- All else gets wall-clock times of `data.time_zone`.

A row outside the window means that the query does not use the binds as it should. That is an error
and never filtered: such a query would as silently miss rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, StatementError

from evergreen.column_types import BOOL, DATE, FLOAT, INT, NULL, TEXT, TIME, ColumnsSoFar
from evergreen.errors import BadConfiguration, DataUnusable, SourceUnavailable, bounded
from evergreen.network import LIBPQ_DRIVERS, postgres_limits
from evergreen.python_values import typed
from evergreen.query import flaws
from evergreen.redaction import redact
from evergreen.row_times import EXAMPLES, instants, wall_time, within
from evergreen.rows import require_columns
from evergreen.spec import Data
from evergreen.window import Window

ROWS_PER_BATCH = 16_384
CONNECT_SECONDS = 30

_SUBQUERY = "evergreen_rows"
# A column without a value has no type but its database's: PostgreSQL's type numbers.
_WITH_ZONE = 1184
_POSTGRES_TYPES: dict[int, pa.DataType] = {
    16: BOOL,
    **dict.fromkeys((20, 21, 23), INT),
    **dict.fromkeys((700, 701, 1700), FLOAT),
    **dict.fromkeys((19, 25, 1042, 1043, 2950), TEXT),
    **dict.fromkeys((1114, _WITH_ZONE), TIME),
    1082: DATE,
}
_PASSING_SQLITE = ("BUSY", "LOCKED", "IOERR", "CANTOPEN", "FULL", "NOMEM", "INTERRUPT", "PROTOCOL")
# SQLSTATE classes: connection, transaction rollback, resources, operator intervention, system.
_PASSING_SQLSTATE = ("08", "40", "53", "55", "57", "58")


class SqlRows:
    """The rows that a query gives for a window; a `ports.DataSource`."""

    def __init__(self, url: sa.URL, query: str, data: Data, where: str) -> None:
        self._url = url
        self._query = query
        self._data = data
        self._where = where

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows, ordered by time and key. Memory does not grow with the rows.

        Raises:
            DataUnusable: the query fails, lacks a column, mixes types or gives rows outside the window.
            SourceUnavailable: the database did not answer, or broke off.
            BadConfiguration: the database's driver is not installed.
        """
        wrong = flaws(self._query)
        if wrong:
            raise DataUnusable(
                "; ".join(flaw.what for flaw in wrong),
                where=self._where,
                got=", ".join(flaw.got for flaw in wrong if flaw.got) or None,
                fix="; ".join(dict.fromkeys(flaw.fix for flaw in wrong if flaw.fix)),
            )
        engine = self._engine()
        try:
            with engine.connect() as connection:
                self._prepare(connection)
                yield from self._stream(connection, window)
        except DBAPIError as exc:
            raise self._translated(exc) from exc
        except StatementError as exc:
            raise DataUnusable("the query cannot be run", where=self._where, got=str(exc.orig)) from exc
        finally:
            engine.dispose()

    def _engine(self) -> sa.Engine:
        backend = self._url.get_backend_name()
        database = self._url.database
        if backend == "sqlite" and database and ":memory:" not in database:
            path = Path(database.removeprefix("file:"))
            if not path.is_file() and "uri" not in self._url.query:
                raise DataUnusable(
                    "there is no such database file",
                    where=self._where,
                    got=str(path.absolute()),
                    fix="create it, or mend the path in the model file or connection",
                )
        try:
            libpq = backend == "postgresql" and self._url.get_driver_name() in LIBPQ_DRIVERS
            connect_args = postgres_limits(CONNECT_SECONDS) if libpq else {}
            return sa.create_engine(self._url, poolclass=sa.NullPool, connect_args=connect_args)
        except (NoSuchModuleError, ImportError, ArgumentError) as exc:
            raise BadConfiguration(
                "the database's driver is not installed",
                where=self._where,
                got=redact(str(exc)),
                fix=f"install a driver for {self._url.drivername}",
            ) from exc

    def _prepare(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        elif connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            zone = sa.func.set_config("TimeZone", self._data.time_zone, True)
            connection.execute(sa.select(zone))

    def _stream(self, connection: sa.Connection, window: Window) -> Iterator[pa.RecordBatch]:
        query = sa.text(self._query.strip().rstrip(";") + "\n")
        names, known = self._columns(connection, query, window)
        require_columns(names, self._data, self._where)
        has_zone = known[names.index(self._data.time_column)] == _WITH_ZONE
        binds = self._binds(connection.dialect.name, window, has_zone)
        rows = query.columns(*map(sa.column, names)).subquery(_SUBQUERY)
        ordered = sa.select(rows).order_by(rows.c[self._data.time_column], rows.c[self._data.key])
        streaming = connection.execution_options(stream_results=True, max_row_buffer=ROWS_PER_BATCH)
        columns = ColumnsSoFar()
        first_row = 1
        with streaming.execute(ordered, binds) as result:
            for chunk in result.partitions(ROWS_PER_BATCH):
                batch = self._batch(names, known, chunk, first_row)
                self._check_window(batch, window, first_row)
                columns.add(batch, self._where)
                first_row += len(batch)
                yield batch

    def _columns(
        self, connection: sa.Connection, query: sa.TextClause, window: Window
    ) -> tuple[list[str], list[int | None]]:
        """Return the query's columns as the database itself names and, for PostgreSQL, types them."""
        nothing: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(
            query.columns().subquery(_SUBQUERY)
        )
        binds = self._binds(connection.dialect.name, window, has_zone=True)
        with connection.execute(nothing.where(sa.false()), binds) as result:
            names = [str(name) for name in result.keys()]  # noqa: SIM118
            description = result.cursor.description if result.cursor else []
        if connection.dialect.name != "postgresql":
            return names, [None] * len(names)
        return names, [cast("int", column[1]) for column in description]

    def _binds(self, dialect: str, window: Window, has_zone: bool) -> dict[str, Any]:
        ends = {"start": window.start, "end": window.end}
        if dialect == "postgresql" and has_zone:
            return dict(ends)
        walls = {name: wall_time(instant, self._data.time_zone) for name, instant in ends.items()}
        if dialect != "sqlite":
            return dict(walls)
        return {name: shortest_text(wall) for name, wall in walls.items()}

    def _batch(
        self,
        names: Sequence[str],
        known: Sequence[int | None],
        chunk: Sequence[sa.Row[Any]],
        first_row: int,
    ) -> pa.RecordBatch:
        zone = self._data.time_zone
        arrays = []
        for name, kind, values in zip(names, known, zip(*chunk, strict=True), strict=True):
            array = typed(values, name, zone, self._where, first_row)
            if name == self._data.time_column:
                array = instants(array, name, zone, self._where, first_row)
            if array.type == NULL and kind is not None:
                array = array.cast(_POSTGRES_TYPES.get(kind, NULL))
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, names=list(names))

    def _check_window(self, batch: pa.RecordBatch, window: Window, first_row: int) -> None:
        times = batch.column(self._data.time_column)
        outside = pc.invert(within(times, window))
        if pc.any(outside).as_py():
            rows = pc.indices_nonzero(outside).slice(0, EXAMPLES).to_pylist()
            shown = ", ".join(f"{times[row].as_py():%Y-%m-%dT%H:%M:%SZ}" for row in rows)
            raise DataUnusable(
                f"the query gives rows outside the window {window}",
                where=self._where,
                got=f"{shown} in column {self._data.time_column!r} (from row {first_row + rows[0]} on)",
                fix=f"select rows with {self._data.time_column} >= :start AND "
                f"{self._data.time_column} < :end; for SQLite write times as YYYY-MM-DD HH:MM:SS "
                "(datetime(x) does) and mind data.time_zone",
            )

    def _translated(self, exc: DBAPIError) -> DataUnusable | SourceUnavailable:
        said = redact(bounded(str(exc.orig), 400))
        if _may_pass(exc):
            return SourceUnavailable(
                "the database did not answer",
                where=self._where,
                got=said,
                fix="is it up, reachable from here, and is the login right?",
            )
        return DataUnusable(
            "the database refused the query or its data", where=self._where, got=said, fix=_FIX_QUERY
        )


_FIX_QUERY = "run the query by hand with a start and an end"


def shortest_text(wall: datetime) -> str:
    """Return a wall-clock time as the shortest text that compares rightly with longer ones.

    >>> shortest_text(datetime(2013, 4, 1)), shortest_text(datetime(2013, 4, 1, 6, 30))
    ('2013-04-01', '2013-04-01 06:30')
    """
    if (wall.hour, wall.minute, wall.second, wall.microsecond) == (0, 0, 0, 0):
        return f"{wall:%Y-%m-%d}"
    if (wall.second, wall.microsecond) == (0, 0):
        return f"{wall:%Y-%m-%d %H:%M}"
    return wall.isoformat(" ")


def _may_pass(exc: DBAPIError) -> bool:
    sqlite_name = getattr(exc.orig, "sqlite_errorname", None)
    if sqlite_name:
        return str(sqlite_name).removeprefix("SQLITE_").startswith(_PASSING_SQLITE)
    sqlstate = getattr(exc.orig, "sqlstate", None)
    if sqlstate:
        return str(sqlstate).startswith(_PASSING_SQLSTATE)
    return exc.connection_invalidated or isinstance(
        exc, (sa.exc.OperationalError, sa.exc.InterfaceError)
    )
