"""Sorts a stream of rows by their UTC day, on disk, in memory that does not grow with the rows.

Rows come in any order. Every so many, they are written as one Arrow file with a batch for each day;
a day's rows are then gathered from all files. Needs pyarrow; writes only below the folder it is given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_types import TIME
from evergreen.errors import DataUnusable
from evergreen.window import Window

ROWS_PER_FILE = 131_072

_DAY_US = 86_400_000_000


class DaySpool:
    """Takes batches, then gives each day's rows."""

    def __init__(self, folder: Path, window: Window, time_column: str) -> None:
        self._folder = folder
        self._window = window
        self._time_column = time_column
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._files = 0
        self._places: dict[date, list[tuple[Path, int]]] = defaultdict(list)
        self._schemas: dict[date, list[pa.Schema]] = defaultdict(list)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows.

        Raises:
            DataUnusable: rows outside the window.
            OSError: the disk is full.
        """
        if not len(batch):
            return
        if self._pending and batch.schema != self._pending[0].schema:
            self.flush()
        self._pending.append(batch)
        self._pending_rows += len(batch)
        if self._pending_rows >= ROWS_PER_FILE:
            self.flush()

    def flush(self) -> None:
        """Write what is pending, a batch for each day."""
        if not self._pending:
            return
        table = pa.Table.from_batches(self._pending).combine_chunks()
        self._pending, self._pending_rows = [], 0
        path = self._folder / f"spool-{self._files}.arrow"
        self._files += 1
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            for number, (day, rows) in enumerate(self._by_day(table)):
                (batch,) = rows.combine_chunks().to_batches()
                writer.write_batch(batch)
                self._places[day].append((path, number))
                if table.schema not in self._schemas[day]:
                    self._schemas[day].append(table.schema)

    @property
    def days(self) -> list[date]:
        """The days that rows came of, in order."""
        return sorted(self._places)

    def schemas(self, day: date) -> list[pa.Schema]:
        """Return the schemas of a day's rows, in the order in which they came."""
        return self._schemas.get(day, [])

    def rows(self, day: date) -> Iterator[pa.RecordBatch]:
        """Yield a day's rows, in the order in which they came."""
        for path, number in self._places.get(day, []):
            with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
                yield reader.get_batch(number)

    def _by_day(self, table: pa.Table) -> Iterator[tuple[date, pa.Table]]:
        column = table.column(self._time_column)
        self._check(column)
        days = column.cast(pa.int64()).to_numpy() // _DAY_US
        if days[0] == days[-1] and (days == days[0]).all():
            yield _date(days[0]), table
            return
        if (np.diff(days) < 0).any():
            order = np.argsort(days, kind="stable")
            table, days = table.take(pa.array(order)), days[order]
        starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
        ends = [*starts[1:], len(days)]
        for start, end in zip(starts.tolist(), map(int, ends), strict=True):
            yield _date(days[start]), table.slice(start, end - start)

    def _check(self, times: pa.ChunkedArray) -> None:
        ends = pc.min_max(times.cast(TIME)).as_py()
        if ends["min"] < self._window.start or ends["max"] >= self._window.end:
            raise DataUnusable(
                "rows lie outside the window",
                where=f"column {self._time_column!r}",
                got=f"{ends['min'].isoformat()} to {ends['max'].isoformat()}",
                allowed=str(self._window),
                fix="leave them out of the source",
            )


def _date(day: np.int64) -> date:
    found: date = np.datetime64(int(day), "D").item()
    return found
