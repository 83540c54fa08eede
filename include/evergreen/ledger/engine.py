"""The connection to the ledger's database: durable, bounded in time, one writer at a time.

Everything that differs between SQLite and PostgreSQL is here, but what their errors mean, which is in
`faults.py`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, exc, select, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    stop_all,
    wait_exponential,
    wait_random,
)

from evergreen.errors import BadConfiguration, ChainBroken, LedgerError
from evergreen.failpoints import failpoint
from evergreen.ledger import migrations
from evergreen.ledger.chain import Head
from evergreen.ledger.faults import (
    connection_was_lost,
    may_write,
    opened_for_reading_only,
    translation,
)
from evergreen.ledger.schema import head as head_table
from evergreen.network import postgres_limits
from evergreen.redaction import hide, redact

_T = TypeVar("_T")

_NOW = {
    "sqlite": text("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'"),
    "postgresql": text(
        """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    ),
}
_MIGRATION_LOCK = 0x65766772_6C656467
_STATEMENT_WAITS = 3
_IDLE_WAITS = 6


class Database:
    """A pool of connections to one ledger. Not to be used across a fork."""

    def __init__(self, url: str, wait_seconds: float) -> None:
        self.url = _checked(url)
        self.where = self.url.render_as_string(hide_password=True)
        self._wait_seconds = wait_seconds
        self._pid = os.getpid()
        with self._translated():
            self._engine = _engine(self.url, wait_seconds)
        self._now = _NOW[self._engine.dialect.name]

    def migrate(self) -> None:
        """Make the ledger, or bring it up to date, while other processes may be doing the same."""
        with self.reading() as connection:
            if migrations.is_current(connection):
                return
        if self._engine.dialect.name == "sqlite":
            self._use_write_ahead_log()
        with self._transaction(begin="EXCLUSIVE") as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
                )
                # An index over millions of entries takes its time; only other statements are bounded.
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            if not migrations.is_current(connection):
                migrations.upgrade(connection)
                failpoint("ledger.before_migrated")

    @contextmanager
    def reading(self, **options: Any) -> Iterator[Connection]:
        """Open a read transaction: one consistent state of the ledger on SQLite."""
        with self._transaction(begin="DEFERRED", **options) as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a read transaction that sees one state of the ledger and streams long results."""
        options: dict[str, Any] = {"stream_results": True, "yield_per": 1000}
        if self._engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
        with self.reading(**options) as connection, _any_bytes_as_text(connection):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[tuple[Connection, Head]]:
        """Open the ledger's one write transaction and give its head; it commits when left whole.

        Writers follow one another: SQLite locks the file, PostgreSQL the row of the head.
        """
        with self._transaction(begin="IMMEDIATE") as connection:
            found = connection.execute(select(head_table).with_for_update()).one_or_none()
            if found is None:
                raise ChainBroken(
                    "the row of the head is missing",
                    where=self.where,
                    fix="nothing was written; restore the ledger from a backup",
                )
            yield connection, Head(found.seq, found.hash)

    def now(self, connection: Connection) -> str:
        """Return the database's clock as it is stored; after a lock, so later than what it follows."""
        return str(connection.execute(self._now).scalar_one())

    def retried(self, call: Callable[[], _T]) -> _T:
        """Call again, for a bounded time, what a lost connection broke.

        For calls that are safe to repeat: a transaction whose commit was sent and never answered
        may have been committed.
        """
        retrying = Retrying(
            retry=retry_if_exception(connection_was_lost),
            wait=wait_exponential(multiplier=0.1, max=1.0) + wait_random(0, 0.1),
            # At least twice: the first try may have been stopped for longer than we wait.
            stop=stop_all(stop_after_attempt(2), stop_after_delay(self._wait_seconds)),
            reraise=True,
        )
        return retrying(call)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _use_write_ahead_log(self) -> None:
        """Let readers and the writer not wait for one another; the file keeps the mode."""
        # SQLite does not wait for its busy timeout here, so several openers of a new file collide.
        retrying = Retrying(
            retry=retry_if_exception(lambda error: "locked" in str(error)),
            wait=wait_random(0.01, 0.05),
            stop=stop_after_delay(self._wait_seconds),
            reraise=True,
        )
        with self._translated(), self._engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            retrying(raw.execute, "PRAGMA journal_mode = WAL")

    @contextmanager
    def _transaction(self, begin: str, **options: Any) -> Iterator[Connection]:
        if os.getpid() != self._pid:
            raise LedgerError(
                "the ledger was opened in another process",
                where=self.where,
                fix="call open_ledger in the process that uses it",
            )
        with self._translated(), self._engine.connect() as connection:
            connection = connection.execution_options(evergreen_begin=begin, **options)
            with connection.begin():
                yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (exc.SQLAlchemyError, sqlite3.Error) as error:
            raise translation(error, self.where) from error


def _checked(url: str) -> URL:
    """Return the URL where it can name a ledger, with our driver in it and its password hidden."""
    fix = "set EVERGREEN_LEDGER to sqlite:////path/ledger.db or postgresql://user@host/database"
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        # What cannot be parsed cannot be redacted, so it is not shown, nor is the parser's error.
        raise BadConfiguration("the ledger's URL cannot be read", fix=fix) from None
    backend = parsed.drivername.partition("+")[0]
    if parsed.password:
        hide(parsed.password)
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise BadConfiguration(
            "no ledger can be kept in this database", got=backend, allowed="sqlite, postgresql", fix=fix
        )
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise BadConfiguration(
            "a ledger needs a file", got=redact(url), allowed="a file's path", fix=fix
        )
    path = Path(parsed.database).expanduser().absolute()
    return parsed.set(drivername="sqlite+pysqlite", database=str(path))


def _engine(url: URL, wait_seconds: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, wait_seconds)
    return _postgres_engine(url, wait_seconds)


def _sqlite_engine(url: URL, wait_seconds: float) -> Engine:
    try:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            "the ledger's folder cannot be made",
            where=str(url.database),
            got=error.strerror,
            fix="make the folder, or let EVERGREEN_LEDGER name another",
        ) from error
    engine = create_engine(
        url, hide_parameters=True, pool_timeout=wait_seconds, connect_args={"timeout": wait_seconds}
    )

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _record: Any) -> None:
        # Transactions begin when we say so (`_begin`), not when the driver sees fit.
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("evergreen_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    @event.listens_for(engine, "handle_error")
    def _open_anew(context: ExceptionContext) -> None:
        said = str(context.original_exception)
        if opened_for_reading_only(said) and may_write(str(url)):
            context.is_disconnect = True  # a new connection may be one to write with

    return engine


def _postgres_engine(url: URL, wait_seconds: float) -> Engine:
    wait = max(round(wait_seconds * 1000), 1)
    limits = {
        "lock_timeout": wait,
        "statement_timeout": _STATEMENT_WAITS * wait,
        # A process stopped inside a transaction would keep the write lock for ever.
        "idle_in_transaction_session_timeout": _IDLE_WAITS * wait,
        "synchronous_commit": "on",
    }
    own = url.query.get("options", "")
    options = " ".join([*(f"-c {name}={value}" for name, value in limits.items()), str(own)])
    try:
        return create_engine(
            url,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_timeout=wait_seconds,
            connect_args={"options": options.strip(), **postgres_limits(wait_seconds)},
        )
    except ImportError as error:
        raise BadConfiguration(
            "a ledger in PostgreSQL needs psycopg",
            fix='pip install "airflow-provider-evergreen[postgres]"',
        ) from error


@contextmanager
def _any_bytes_as_text(connection: Connection) -> Iterator[None]:
    """Let SQLite return text that is not UTF-8, so that an audit can say which row holds it."""
    raw = connection.connection.driver_connection
    if connection.dialect.name != "sqlite" or raw is None:
        yield
        return
    raw.text_factory = lambda stored: stored.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        raw.text_factory = str
