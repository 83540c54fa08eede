"""The prediction log as Parquet files, on this machine or on object storage.

A day (in UTC) of a model lies at LOG/MODEL/day=2013-04-01/rows.parquet. Putting rows in the place of a
window's rewrites the days that it touches, keeping the rows beside it, so rows never double whatever
windows are scored again. A day's file is staged whole and then takes the place of the old one by one
rename, or one upload. Whoever reads meanwhile sees either.

Should somebody else have rewritten a day after its old rows were read, it is staged anew; object storage
refuses it itself (`If-None-Match`, `If-Match`), for files that go in one request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from evergreen.day_spool import DaySpool
from evergreen.errors import SourceUnavailable, StoreUnavailable
from evergreen.failpoints import failpoint
from evergreen.log_days import LogDays, whole_day
from evergreen.logged_file import unified, write_logged
from evergreen.names import name_problem
from evergreen.staging import staging_in
from evergreen.storage import local_path
from evergreen.storage_errors import store_answers
from evergreen.watch_ports import LoggedRows
from evergreen.window import Window

if TYPE_CHECKING:
    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import Profile

MOST_TRIES = 5

_STAGING = ".staging"


class ParquetLog:
    """Keeps logged predictions under a URI; a `watch_ports.PredictionLog`."""

    def __init__(self, uri: str, storage_options: Mapping[str, Any]) -> None:
        self._uri = uri.rstrip("/")
        self._options = storage_options

    def replace(
        self, model: str, window: Window, batches: Iterable[pa.RecordBatch], time_column: str
    ) -> str:
        """Put the rows in the place of all rows of the window and return the log's URI.

        Nothing is published before the last batch came. Memory does not grow with the rows.

        Raises:
            DataUnusable: a row outside the window; a day whose other rows have no such time column.
            StoreUnavailable: the store did not take the write; each day's old or new rows stand.
            BadConfiguration: the store refuses the login, the bucket or the name.
            ArtefactDamaged: rows of the same day beside the window cannot be read.
        """
        days = self._days(model)
        with _errors_as(StoreUnavailable, days.uri), self._staging() as folder:
            spool = DaySpool(folder, window, time_column)
            for batch in batches:
                spool.add(batch)
            spool.flush()
            failpoint("score.spooled")
            touched = sorted({*spool.days, *days.within(window)})
            staged = [_Staged(days, day, window, spool, folder, time_column) for day in touched]
            failpoint("score.staged")
            for one in staged:
                one.publish()
                failpoint("score.published")
        return days.uri

    def rows(self, model: str, time_column: str) -> LoggedRows:
        """Return the model's logged rows."""
        return LoggedDays(self._days(model), time_column)

    def _days(self, model: str) -> LogDays:
        problem = name_problem(model)
        if problem:
            raise ValueError(problem)
        return LogDays(f"{self._uri}/{model}", self._options)

    def _staging(self) -> AbstractContextManager[Path]:
        folder = local_path(self._uri)
        return staging_in(folder / _STAGING if folder else None)


class LoggedDays:
    """The rows of a model's days; a `watch_ports.LoggedRows`."""

    def __init__(self, days: LogDays, time_column: str) -> None:
        self._days = days
        self._time_column = time_column

    def read(
        self, window: Window, columns: Sequence[str] | None = None, version: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows, day by day; text comes as dictionaries.

        Raises:
            DataUnusable: a day without the time column.
            ArtefactDamaged: a day that cannot be read.
            SourceUnavailable: the store did not answer.
        """
        with _errors_as(SourceUnavailable, self._days.uri):
            for day in self._days.within(window):
                with self._days.opened(day, self._time_column) as file:
                    yield from file.rows(window, columns, version) if file else ()

    def count(
        self, window: Window, layout: Layout, version: int | None = None
    ) -> Mapping[date, Profile]:
        """Return the profiles of the window's rows by UTC day; only the layout's columns are read.

        Raises:
            As `read`.
        """
        from evergreen.profiles.count import count_by_day

        columns = [self._time_column, *(cells.column for cells in layout.cells)]
        batches = self.read(window, list(dict.fromkeys(columns)), version)
        return count_by_day(batches, layout, self._time_column)

    def newest(self, before: datetime) -> datetime | None:
        """Return the time of the newest row before an instant, or None where there is none."""
        before = before.astimezone(UTC)
        first = datetime(1, 1, 1, tzinfo=UTC)
        with _errors_as(SourceUnavailable, self._days.uri):
            for day in reversed(self._days.within(Window(first, before))):
                with self._days.opened(day, self._time_column) as file:
                    found = file.newest(before) if file else None
                if found is not None:
                    return found.astimezone(UTC)
        return None


class _Staged:
    """A day's new file in the making: the old rows beside the window, and the new ones."""

    def __init__(
        self, days: LogDays, day: date, window: Window, spool: DaySpool, folder: Path, time_column: str
    ) -> None:
        self._days = days
        self._day = day
        self._window = window
        self._spool = spool
        self._path = folder / f"{day.isoformat()}.parquet"
        self._time_column = time_column
        self._stage()

    def publish(self) -> None:
        """Put the file in the place of the old one, staged anew where that is another by now.

        Raises:
            StoreUnavailable: it is another each time.
        """
        for _ in range(MOST_TRIES):
            if self._published():
                return
            self._stage()
        raise StoreUnavailable(
            "others rewrite this day of the prediction log again and again",
            where=self._days.file(self._day),
            fix="let one run of this model score at a time",
        )

    def _published(self) -> bool:
        if self._stamp is not None:
            (stamp,) = self._stamp
            if not self._empty:
                return self._days.put_in_place_of(stamp, self._day, self._path)
            if self._days.stamp(self._day) != stamp:
                return False
        if self._empty:
            self._days.remove(self._day)
        else:
            self._days.put(self._day, self._path)
        return True

    def _stage(self) -> None:
        whole = whole_day(self._day)
        replaced = self._window.start <= whole.start and whole.end <= self._window.end
        self._stamp = None if replaced else (self._days.stamp(self._day),)
        schemas, rows = self._spool.schemas(self._day), self._spool.rows(self._day)
        if replaced:
            self._write(schemas, rows)
            return
        with self._days.opened(self._day, self._time_column) as old:
            beside = old.rows_beside(self._window) if old else iter(())
            first = next(beside, None)
            if old is None or first is None:
                self._write(schemas, rows)
            else:
                self._write([*schemas, old.schema], _chained([first], beside, rows))

    def _write(self, schemas: list[pa.Schema], rows: Iterable[pa.RecordBatch]) -> None:
        self._empty = not schemas
        if schemas:
            write_logged(self._path, unified(schemas), rows)


def _chained(*parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        yield from part


def _errors_as(
    kind: type[StoreUnavailable] | type[SourceUnavailable], where: str
) -> AbstractContextManager[None]:
    return store_answers(where, "the prediction log did not take or give a file", kind)
