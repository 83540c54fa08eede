"""Rows from CSV and Parquet files, on this machine or on object storage, streamed.

Local globs are relative to the model file's folder and stay in it. Files are read in sorted order,
rows in theirs. Only rows of the window decide a column's type, so a file of another month cannot
change a snapshot. CSV is comma-separated UTF-8 with a header, and may be compressed (.gz, .bz2, .xz).
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from evergreen.column_types import ColumnsSoFar, canonical
from evergreen.errors import (
    BadConfiguration,
    DataUnusable,
    EvergreenError,
    SourceUnavailable,
    bounded,
)
from evergreen.paths import contained
from evergreen.redaction import redact
from evergreen.row_times import instants, within
from evergreen.rows import require_columns
from evergreen.source_spec import FilesSource
from evergreen.spec import Data
from evergreen.storage import open_remote
from evergreen.storage_errors import explained, storage_errors, store_gave_a_code
from evergreen.text_values import as_text, typed
from evergreen.window import Window

ROWS_PER_BATCH = 16_384
CSV_BLOCK_BYTES = 1 << 20
READ_AHEAD_BYTES = 1 << 20

# How far a clock without a zone may be from UTC, generously: for leaving whole row groups out.
_FARTHEST_ZONE = timedelta(days=1)
# Readers report damaged bytes as OSError too, but then no system call failed: there is no errno.
_ABOUT_CONTENT = (OSError, gzip.BadGzipFile)

_FIX_FILE = "mend the file, or leave it out of the source's paths"


@dataclass(frozen=True, slots=True)
class _File:
    system: Any
    path: str
    shown: str


class FileRows:
    """The rows of a window in files that globs name; a `ports.DataSource`.

    `section` is the part of the model file that names the files. Rows that are not `labelled` need
    neither the label nor excluded columns.
    """

    def __init__(
        self,
        source: FilesSource,
        folder: Path,
        data: Data,
        storage_options: Mapping[str, Any],
        *,
        section: str = "data.source",
        labelled: bool = True,
    ) -> None:
        self._source = source
        self._folder = folder
        self._data = data
        self._options = storage_options
        self._section = section
        self._labelled = labelled

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows, file by file. Memory does not grow with the rows.

        Raises:
            DataUnusable: a glob without a file, an unreadable file, a missing column, mixed types.
            SourceUnavailable: the storage did not answer, or may be able to later.
            BadConfiguration: a kind of storage that is not known, or one that will not be able to until
                somebody mends its login, its bucket or its names.
        """
        columns = ColumnsSoFar()
        names: list[str] | None = None
        for file in self._files():
            for batch in self._translated(self._rows(file, window), file.shown):
                columns.add(batch, file.shown)
                names = names or batch.schema.names
                yield batch.select(names)

    def _files(self) -> list[_File]:
        found: dict[str, _File] = {}
        for pattern in self._source.paths:
            matches = self._remote(pattern) if "://" in pattern else self._local(pattern)
            found.update({file.shown: file for file in matches})
        return [found[shown] for shown in sorted(found)]

    def _local(self, pattern: str) -> list[_File]:
        root = self._folder.resolve()
        try:
            contained(root, pattern)
            matches = [path for path in root.glob(pattern) if path.is_file()]
            for path in matches:
                contained(root, path.relative_to(root).as_posix())
        except ValueError as exc:
            raise BadConfiguration(str(exc), where=f"{self._section}.paths", got=pattern) from exc
        system = fsspec.filesystem("file")
        files = [_File(system, str(path), path.relative_to(root).as_posix()) for path in matches]
        return files or self._nothing(pattern, f"{root}/{pattern}")

    def _remote(self, pattern: str) -> list[_File]:
        def matches() -> Iterator[str]:
            found = system.glob(path, detail=True)
            yield from sorted(name for name, info in found.items() if info["type"] == "file")

        system, path = open_remote(pattern, self._options, f"{self._section}.paths")
        names = list(self._translated(matches(), pattern))
        files = [_File(system, name, system.unstrip_protocol(name)) for name in names]
        return files or self._nothing(pattern, pattern)

    def _nothing(self, pattern: str, looked: str) -> list[_File]:
        raise DataUnusable(
            "no file matches",
            where=f"{self._section}.paths",
            got=pattern,
            allowed=f"looked for {looked}",
            fix="paths are relative to the model file's folder; * stays within a folder, ** does not",
        )

    def _rows(self, file: _File, window: Window) -> Iterator[pa.RecordBatch]:
        batches = self._csv(file) if self._source.format == "csv" else self._parquet(file, window)
        first_row = 1
        time_column, zone = self._data.time_column, self._data.time_zone
        for batch in batches:
            times = batch.column(time_column)
            if self._source.format == "csv":
                times = as_text(times)
            times = instants(times, time_column, zone, file.shown, first_row)
            first_row += len(batch)
            inside = within(times, window)
            kept = batch.filter(inside)
            if len(kept):
                yield self._typed(kept, times.filter(inside), file)

    def _typed(self, batch: pa.RecordBatch, times: pa.Array, file: _File) -> pa.RecordBatch:
        arrays = []
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            if name == self._data.time_column:
                arrays.append(times)
            elif self._source.format == "parquet":
                arrays.append(canonical(array, name, self._data.time_zone, file.shown))
            elif name in self._source.text:
                arrays.append(as_text(array))
            else:
                arrays.append(typed(array, name, self._data.time_zone, file.shown))
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)

    def _csv(self, file: _File) -> Iterator[pa.RecordBatch]:
        with file.system.open(file.path, "rb", compression="infer") as opened:
            names = _header(opened, file.shown)
            require_columns(names, self._data, file.shown, labelled=self._labelled)
            opened.seek(0)
            with pa_csv.open_csv(
                opened,
                read_options=pa_csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            ) as reader:
                yield from reader

    def _parquet(self, file: _File, window: Window) -> Iterator[pa.RecordBatch]:
        with _open_parquet(file) as opened:
            reader = pq.ParquetFile(
                opened, buffer_size=READ_AHEAD_BYTES, page_checksum_verification=True
            )
            require_columns(reader.schema_arrow.names, self._data, file.shown, labelled=self._labelled)
            # One row group a call: a call over many keeps what it read of each until its end.
            for group in _groups_within(reader.metadata, self._data.time_column, window):
                yield from reader.iter_batches(ROWS_PER_BATCH, row_groups=[group])

    def _translated(self, items: Iterator[Any], where: str) -> Iterator[Any]:
        """Yield the items; say what the storage's and the readers' errors mean."""
        try:
            yield from items
        except (pa.ArrowException, UnicodeDecodeError, csv.Error, EOFError, zlib.error) as exc:
            raise self._unreadable(exc, where) from exc
        except storage_errors() as exc:
            raise self._failed(exc, where) from exc

    def _failed(self, exc: Exception, where: str) -> EvergreenError:
        """Return what it means that a file could not be read: its content's fault, or the storage's."""
        if type(exc) in _ABOUT_CONTENT and getattr(exc, "errno", None) is None:
            return self._unreadable(exc, where)
        if not store_gave_a_code(exc):
            if isinstance(exc, PermissionError):
                return BadConfiguration(
                    "reading is not allowed",
                    where=where,
                    got=redact(str(exc)),
                    fix=f"check the login of {self._section}.connection, or the file's permissions",
                )
            if isinstance(exc, FileNotFoundError):
                return DataUnusable(
                    "there is no such file or bucket", where=where, fix=f"mend {self._section}.paths"
                )
        if "://" in where:
            return explained(exc, where, SourceUnavailable, "the storage did not give the file")
        return SourceUnavailable(
            "the disk did not answer", where=where, got=redact(str(exc)), fix="is it mounted, and whole?"
        )

    def _unreadable(self, exc: Exception, where: str) -> DataUnusable:
        return DataUnusable(
            f"the file cannot be read as {self._source.format}",
            where=where,
            got=bounded(str(exc), 300),
            fix=_FIX_FILE,
        )


@contextmanager
def _open_parquet(file: _File) -> Iterator[Any]:
    if "file" in file.system.protocol:
        with pa.OSFile(file.path) as opened:  # bypasses Python for every page read
            yield opened
    else:
        with file.system.open(file.path, "rb") as opened:
            yield opened


def _header(opened: Any, shown: str) -> list[str]:
    text = io.TextIOWrapper(opened, "utf-8-sig", newline="")
    try:
        return next(csv.reader(text))
    except StopIteration:
        raise DataUnusable(
            "the file is empty, without even a header", where=shown, fix=_FIX_FILE
        ) from None
    finally:
        text.detach()


def _groups_within(metadata: Any, time_column: str, window: Window) -> list[int]:
    """Return the row groups whose statistics do not rule the window out."""
    kept = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = (group.column(index) for index in range(group.num_columns))
        column = next((c for c in columns if c.path_in_schema == time_column), None)
        low, high = _bounds(column)
        if low is None or high is None or (low < window.end and high >= window.start):
            kept.append(number)
    return kept


def _bounds(column: Any) -> tuple[datetime | None, datetime | None]:
    statistics = column.statistics if column is not None and column.is_stats_set else None
    if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, datetime):
        return None, None
    low, high = statistics.min, statistics.max
    if low.tzinfo is None:
        return (low - _FARTHEST_ZONE).replace(tzinfo=UTC), (high + _FARTHEST_ZONE).replace(tzinfo=UTC)
    return low, high
