"""Rows from a database through SQLAlchemy, streamed.

The model file's query runs as a subquery, ordered by time and key, in one read-only transaction, so
the same rows come in the same order; `sql_session.py` says what its binds stand for.

A row outside the window means that the query does not use the binds as it should. That is an error
and never filtered: such a query would as silently miss rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from evergreen.column_types import NULL, ColumnsSoFar
from evergreen.errors import DataUnusable
from evergreen.python_values import typed
from evergreen.row_times import EXAMPLES, instants, within
from evergreen.rows import require_columns
from evergreen.spec import Data
from evergreen.sql_session import POSTGRES_TYPES, POSTGRES_WITH_ZONE, SUBQUERY, SqlSession
from evergreen.window import Window

ROWS_PER_BATCH = 16_384


class SqlRows:
    """The rows that a query gives for a window; a `ports.DataSource`.

    Rows that are not `labelled` need neither the label nor excluded columns.
    """

    def __init__(
        self, url: sa.URL, query: str, data: Data, where: str, *, labelled: bool = True
    ) -> None:
        self._session = SqlSession(url, query, data.time_zone, where)
        self._data = data
        self._where = where
        self._labelled = labelled

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows, ordered by time and key. Memory does not grow with the rows.

        Raises:
            DataUnusable: the query fails, lacks a column, mixes types or gives rows outside the window.
            SourceUnavailable: the database did not answer, or broke off.
            BadConfiguration: the database's driver is not installed.
        """
        with self._session.open() as connection:
            yield from self._stream(connection, window)

    def _stream(self, connection: sa.Connection, window: Window) -> Iterator[pa.RecordBatch]:
        names, known = self._session.columns(connection, window)
        require_columns(names, self._data, self._where, labelled=self._labelled)
        has_zone = known[names.index(self._data.time_column)] == POSTGRES_WITH_ZONE
        binds = self._session.binds(connection.dialect.name, window, has_zone)
        rows = self._session.clause().columns(*map(sa.column, names)).subquery(SUBQUERY)
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
                array = array.cast(POSTGRES_TYPES.get(kind, NULL))
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
