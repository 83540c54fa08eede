"""A model file's query on its database: one read-only transaction, and what its binds stand for.

`:start` and `:end` are bound, never formatted:

- SQLite has no time type, so they are text, as short as says it all ("2013-04-01", "2013-04-01 06:30"):
  that compares rightly with times written YYYY-MM-DD and YYYY-MM-DD HH:MM[:SS[.ffffff]], and at
  midnight also with those that have a T. They are wall-clock times of `data.time_zone`.
- PostgreSQL gets instants where the time column has a zone, and the session's zone is
  `data.time_zone`.
- All else gets wall-clock times of `data.time_zone`.

Needs SQLAlchemy and pyarrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, StatementError

from evergreen.column_types import BOOL, DATE, FLOAT, INT, TEXT, TIME
from evergreen.errors import BadConfiguration, DataUnusable, SourceUnavailable, bounded
from evergreen.network import LIBPQ_DRIVERS, postgres_limits
from evergreen.query import flaws
from evergreen.redaction import redact
from evergreen.row_times import wall_time
from evergreen.window import Window

CONNECT_SECONDS = 30
SUBQUERY = "evergreen_rows"
POSTGRES_WITH_ZONE = 1184
POSTGRES_TYPES: dict[int, pa.DataType] = {
    16: BOOL,
    **dict.fromkeys((20, 21, 23), INT),
    **dict.fromkeys((700, 701, 1700), FLOAT),
    **dict.fromkeys((19, 25, 1042, 1043, 2950), TEXT),
    **dict.fromkeys((1114, POSTGRES_WITH_ZONE), TIME),
    1082: DATE,
}
"""What PostgreSQL's type numbers come down to: a column without a value has no other type."""

_PASSING_SQLITE = ("BUSY", "LOCKED", "IOERR", "CANTOPEN", "FULL", "NOMEM", "INTERRUPT", "PROTOCOL")
# SQLSTATE classes: connection, transaction rollback, resources, operator intervention, system.
_PASSING_SQLSTATE = ("08", "40", "53", "55", "57", "58")
_FIX_QUERY = "run the query by hand with a start and an end"


@dataclass(frozen=True, slots=True)
class SqlSession:
    """A query, the database that answers it, and the zone of its times that carry none."""

    url: sa.URL
    query: str
    time_zone: str
    where: str

    @contextmanager
    def open(self) -> Iterator[sa.Connection]:
        """Connect for one read-only transaction; what the database refuses comes out in our words.

        Raises:
            DataUnusable: the query cannot be run, or fails.
            SourceUnavailable: the database did not answer, or broke off.
            BadConfiguration: the database's driver is not installed.
        """
        wrong = flaws(self.query)
        if wrong:
            raise DataUnusable(
                "; ".join(flaw.what for flaw in wrong),
                where=self.where,
                got=", ".join(flaw.got for flaw in wrong if flaw.got) or None,
                fix="; ".join(dict.fromkeys(flaw.fix for flaw in wrong if flaw.fix)),
            )
        engine = self.engine()
        try:
            with engine.connect() as connection:
                self._prepare(connection)
                yield connection
        except DBAPIError as exc:
            raise self._translated(exc) from exc
        except StatementError as exc:
            raise DataUnusable("the query cannot be run", where=self.where, got=str(exc.orig)) from exc
        finally:
            engine.dispose()

    def clause(self) -> sa.TextClause:
        """Return the query as it may stand within another."""
        return sa.text(self.query.strip().rstrip(";") + "\n")

    def columns(self, connection: sa.Connection, window: Window) -> tuple[list[str], list[int | None]]:
        """Return the query's columns as the database itself names and, for PostgreSQL, types them."""
        nothing: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(
            self.clause().columns().subquery(SUBQUERY)
        )
        binds = self.binds(connection.dialect.name, window, has_zone=True)
        with connection.execute(nothing.where(sa.false()), binds) as result:
            names = [str(name) for name in result.keys()]  # noqa: SIM118
            description = result.cursor.description if result.cursor else []
        if connection.dialect.name != "postgresql":
            return names, [None] * len(names)
        return names, [cast("int", column[1]) for column in description]

    def binds(self, dialect: str, window: Window, has_zone: bool) -> dict[str, Any]:
        """Return what `:start` and `:end` stand for; `has_zone` is whether the time column does."""
        ends = {"start": window.start, "end": window.end}
        if dialect == "postgresql" and has_zone:
            return dict(ends)
        walls = {name: wall_time(instant, self.time_zone) for name, instant in ends.items()}
        if dialect != "sqlite":
            return dict(walls)
        return {name: shortest_text(wall) for name, wall in walls.items()}

    def engine(self) -> sa.Engine:
        """Return an engine that makes one connection and keeps none.

        Raises:
            DataUnusable: a SQLite file that is not there.
            BadConfiguration: the database's driver is not installed.
        """
        backend = self.url.get_backend_name()
        database = self.url.database
        if backend == "sqlite" and database and ":memory:" not in database:
            path = Path(database.removeprefix("file:"))
            if not path.is_file() and "uri" not in self.url.query:
                raise DataUnusable(
                    "there is no such database file",
                    where=self.where,
                    got=str(path.absolute()),
                    fix="create it, or mend the path in the model file or connection",
                )
        try:
            libpq = backend == "postgresql" and self.url.get_driver_name() in LIBPQ_DRIVERS
            connect_args = postgres_limits(CONNECT_SECONDS) if libpq else {}
            return sa.create_engine(self.url, poolclass=sa.NullPool, connect_args=connect_args)
        except (NoSuchModuleError, ImportError, ArgumentError) as exc:
            raise BadConfiguration(
                "the database's driver is not installed",
                where=self.where,
                got=redact(str(exc)),
                fix=f"install a driver for {self.url.drivername}",
            ) from exc

    def _prepare(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        elif connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            zone = sa.func.set_config("TimeZone", self.time_zone, True)
            connection.execute(sa.select(zone))

    def _translated(self, exc: DBAPIError) -> DataUnusable | SourceUnavailable:
        said = redact(bounded(str(exc.orig), 400))
        if _may_pass(exc):
            return SourceUnavailable(
                "the database did not answer",
                where=self.where,
                got=said,
                fix="is it up, reachable from here, and is the login right?",
            )
        return DataUnusable(
            "the database refused the query or its data", where=self.where, got=said, fix=_FIX_QUERY
        )


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
