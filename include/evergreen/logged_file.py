"""One day of the prediction log as a Parquet file: how it is written, and read again.

Text is kept as dictionaries. Pages carry checksums, and the footer a digest, which stands before it.
Rows of one day may come of several runs, and their columns may differ: a column that one of them lacks
is missing there, and one whose types do not go together is text for that day. Needs pyarrow.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evergreen.column_types import TEXT, wider
from evergreen.logged_rows import VERSION
from evergreen.row_times import within
from evergreen.window import Window

ROWS_PER_GROUP = 65_536

_SEAL = b"EVGL"
_SEALED = len(_SEAL) + hashlib.sha256().digest_size
_TAIL = 8  # the footer's length and PAR1


def unified(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Return the schema that rows of all these schemas fit into: every column, in its widest type."""
    types: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            types[field.name] = wider(types.get(field.name, kind), kind) or TEXT
    return pa.schema(list(types.items()))


def write_logged(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write rows in the columns and types of `schema`, made to last. Memory does not grow with rows.

    Raises:
        OSError: the disk is full or broken; a part of the file may be left over.
    """
    text = [field.name for field in schema if field.type == TEXT]
    with pa.OSFile(str(path), "wb") as file:
        writer = pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=text or False,
            write_page_checksum=True,
        )
        try:
            for rows in _in_groups(_fitted(batch, schema) for batch in batches):
                writer.write_table(rows, row_group_size=ROWS_PER_GROUP)
            writer.close()
        except BaseException:
            with suppress(OSError, pa.ArrowException):  # it may fail for the same reason
                writer.close()
            raise
    _seal_footer(path)


class LoggedFile:
    """An open file of the log, its page checksums verified on the way.

    Raises:
        pa.ArrowException: or an `OSError` without a number, here and in all methods: it is damaged.
    """

    def __init__(self, file: Any, time_column: str) -> None:
        metadata = pq.read_metadata(pa.BufferReader(_verified_footer(file)))
        schema = metadata.schema.to_arrow_schema()
        text = [field.name for field in schema if field.type == TEXT]
        self._reader = pq.ParquetFile(
            file, metadata=metadata, read_dictionary=text, page_checksum_verification=True
        )
        self._time_column = time_column
        self._metadata = metadata
        self.schema: pa.Schema = schema

    def rows(
        self, window: Window, columns: Sequence[str] | None = None, version: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows of a version, or of any; a row group at most at a time.

        Groups whose statistics rule the window or the version out are not read.
        """
        names = self.schema.names if columns is None else [c for c in columns if c in self.schema.names]
        for group in range(self._metadata.num_row_groups):
            timely = self._timely(group, window)
            rightly = self._rightly(group, version)
            if timely is False or rightly is False:
                continue
            needed = [*names]
            if timely is None and self._time_column not in needed:
                needed.append(self._time_column)
            if rightly is None and VERSION not in needed:
                needed.append(VERSION)
            for batch in self._batches(group, needed):
                kept = batch
                if timely is None:
                    kept = kept.filter(within(kept.column(self._time_column), window))
                if rightly is None:
                    kept = kept.filter(_answered_by(kept.column(VERSION), version))
                if len(kept):
                    yield kept.select(names)

    def rows_beside(self, window: Window) -> Iterator[pa.RecordBatch]:
        """Yield the rows outside the window."""
        for group in range(self._metadata.num_row_groups):
            inside = self._timely(group, window)
            if inside is True:
                continue
            for batch in self._batches(group):
                kept = batch
                if inside is None:
                    kept = batch.filter(pc.invert(within(batch.column(self._time_column), window)))
                if len(kept):
                    yield kept

    def newest(self, before: datetime) -> datetime | None:
        """Return the time of the newest row before an instant, or None."""
        found: datetime | None = None
        for group in range(self._metadata.num_row_groups):
            times = self._statistics(group, self._time_column)
            if times is None or (times.min < before and (found is None or times.max > found)):
                newest = times.max if times is not None and times.max < before else None
                newest = newest or self._read_newest(group, before)
                found = max(filter(None, (found, newest)), default=None)
        return found

    def _read_newest(self, group: int, before: datetime) -> datetime | None:
        newest: datetime | None = None
        for batch in self._batches(group, [self._time_column]):
            times = batch.column(self._time_column)
            early = pc.max(times.filter(pc.less(times, pa.scalar(before, times.type)))).as_py()
            newest = max(filter(None, (newest, early)), default=None)
        return newest

    def _batches(self, group: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield a group's rows, as many as its footer says."""
        missing = self._metadata.row_group(group).num_rows
        for batch in self._reader.iter_batches(ROWS_PER_GROUP, row_groups=[group], columns=columns):
            missing -= len(batch)
            yield batch
        if missing:
            raise pa.ArrowInvalid(f"row group {group} differs by {missing} rows from what was written")

    def _timely(self, group: int, window: Window) -> bool | None:
        """Return whether a group's rows all lie in the window, None where that must be looked at."""
        times = self._statistics(group, self._time_column)
        if times is None:
            return None
        if times.max < window.start or times.min >= window.end:
            return False
        return True if times.min >= window.start and times.max < window.end else None

    def _rightly(self, group: int, version: int | None) -> bool | None:
        """Return whether a group's rows are all of the version, None where that must be looked at."""
        if version is None or VERSION not in self.schema.names:
            return True
        versions = self._statistics(group, VERSION)
        if versions is None or versions.null_count:
            return None
        if not versions.min <= version <= versions.max:
            return False
        return True if versions.min == versions.max else None

    def _statistics(self, group: int, column: str) -> Any | None:
        found = self._metadata.row_group(group).column(self.schema.names.index(column))
        if not found.is_stats_set or not found.statistics.has_min_max:
            return None
        return found.statistics


def _seal_footer(path: Path) -> None:
    """Put the footer's digest before it, where no Parquet reader looks."""
    with path.open("r+b") as file:
        start = file.seek(-_TAIL, os.SEEK_END) - _length(file.read(_TAIL))
        file.seek(start)
        footer = file.read()
        file.seek(start)
        file.write(_SEAL + hashlib.sha256(footer).digest() + footer)
        file.flush()
        os.fsync(file.fileno())


def _verified_footer(file: Any) -> bytes:
    """Return the footer, as a Parquet file without rows; a damaged one can crash who parses it.

    Raises:
        pa.ArrowInvalid: it is not what was written.
    """
    size = file.seek(0, os.SEEK_END)
    if size >= _TAIL + _SEALED:
        file.seek(size - _TAIL)
        start = size - _TAIL - _length(file.read(_TAIL)) - _SEALED
        if start > 0:
            file.seek(start)
            sealed = file.read(size - start)
            seal, footer = sealed[:_SEALED], sealed[_SEALED:]
            if seal == _SEAL + hashlib.sha256(footer).digest():
                return b"PAR1" + bytes(footer)
    raise pa.ArrowInvalid("the footer is not what was written")


def _length(tail: bytes) -> int:
    return int.from_bytes(tail[:4], "little")


def _answered_by(versions: pa.Array, version: int | None) -> pa.Array:
    """Return which rows are of the version, or of none that is known."""
    return pc.fill_null(pc.equal(versions, version), True)


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    found = set(batch.schema.names)
    arrays = [
        _as(batch.column(field.name), field.type)
        if field.name in found
        else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(kind, safe=False)


def _in_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield tables of `ROWS_PER_GROUP` rows, but the last."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        pending.append(batch)
        count += len(batch)
        while count >= ROWS_PER_GROUP:
            table = pa.Table.from_batches(pending)
            yield table.slice(0, ROWS_PER_GROUP)
            pending, count = table.slice(ROWS_PER_GROUP).to_batches(), count - ROWS_PER_GROUP
    if count:
        yield pa.Table.from_batches(pending)
