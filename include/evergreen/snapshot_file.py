"""Makes one Parquet file of a stream of batches: the same rows give the same bytes and digest.

Rows are cut into row groups of a fixed size whatever batches they came in. A column whose type widens
on the way begins a new file; if there were several, they are written anew as one in their final
types, so memory never grows with the rows. Pages carry checksums. Needs pyarrow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evergreen.column_types import ColumnsSoFar, conform
from evergreen.duplicate_keys import EXAMPLES, find_duplicates
from evergreen.errors import DataUnusable, bounded
from evergreen.row_digest import RowDigest
from evergreen.rows import require_columns
from evergreen.spec import Data

ROWS_PER_GROUP = 65_536


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A finished Parquet file and what it holds."""

    path: Path
    digest: str
    rows: int
    schema: pa.Schema


def write_snapshot_file(
    batches: Iterable[pa.RecordBatch], data: Data, path: Path, where: str
) -> SnapshotFile | None:
    """Write the batches to `path`, checked; None where there are no rows.

    Raises:
        DataUnusable: a missing column, mixed types, or a key that is missing or stands twice.
        OSError: the disk is full or broken; files beside `path` may be left over.
    """
    files = list(_write_widening(batches, data, path, where))
    if not files:
        return None
    whole = files[0] if len(files) == 1 else _rewritten(files, path)
    whole.path.replace(path)
    _refuse_duplicates(path, data.key, where)
    return SnapshotFile(path, whole.digest, whole.rows, whole.schema)


def read_batches(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield a Parquet file's rows, a row group at most at a time, page checksums verified."""
    with pa.OSFile(str(path)) as opened:
        reader = pq.ParquetFile(opened, page_checksum_verification=True)
        for group in range(reader.num_row_groups):  # see files_source: many in one call would add up
            yield from reader.iter_batches(ROWS_PER_GROUP, row_groups=[group], columns=columns)


def digest_of_file(path: Path) -> str:
    """Return the content digest of the rows in a Parquet file.

    Raises:
        OSError: or `pa.ArrowException`: the file is damaged.
    """
    digest: RowDigest | None = None
    for batch in read_batches(path):
        digest = digest or RowDigest(batch.schema)
        digest.update(batch)
    return digest.hexdigest() if digest else ""


def _write_widening(
    batches: Iterable[pa.RecordBatch], data: Data, path: Path, where: str
) -> Iterator[SnapshotFile]:
    columns = ColumnsSoFar()
    writer: _Writer | None = None
    first_row = 1
    try:
        for number, batch in enumerate(batches):
            if number == 0:
                require_columns(batch.schema.names, data, where)
            if not len(batch):
                continue
            _refuse_null_keys(batch.column(data.key), data.key, first_row, where)
            first_row += len(batch)
            schema = columns.add(batch, where)
            if writer is None or writer.schema != schema:
                if writer is not None:
                    yield writer.finish()
                writer = _Writer(path.with_name(f"{path.name}.{number}"), schema)
            writer.add(conform(batch, schema))
        if writer is not None:
            yield writer.finish()
    except BaseException:
        if writer is not None:
            writer.give_up()
        raise


def _rewritten(files: list[SnapshotFile], path: Path) -> SnapshotFile:
    writer = _Writer(path.with_name(f"{path.name}.whole"), files[-1].schema)
    try:
        for file in files:
            for batch in read_batches(file.path):
                writer.add(conform(batch, writer.schema))
            file.path.unlink()
        return writer.finish()
    except BaseException:
        writer.give_up()
        raise


class _Writer:
    """Writes batches of one schema as row groups of a fixed size, digesting them."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self._path = path
        self._digest = RowDigest(schema)
        self._rows = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._file = pa.OSFile(str(path), "wb")
        self._parquet = pq.ParquetWriter(
            self._file, schema, compression="zstd", compression_level=1, write_page_checksum=True
        )

    def add(self, batch: pa.RecordBatch) -> None:
        self._digest.update(batch)
        self._rows += len(batch)
        self._pending.append(batch)
        self._pending_rows += len(batch)
        while self._pending_rows >= ROWS_PER_GROUP:
            self._write_group(ROWS_PER_GROUP)

    def finish(self) -> SnapshotFile:
        if self._pending_rows:
            self._write_group(self._pending_rows)
        self._parquet.close()
        self._file.close()
        handle = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return SnapshotFile(self._path, self._digest.hexdigest(), self._rows, self.schema)

    def give_up(self) -> None:
        """Close the file after a failure; closing may fail for the same reason, and adds nothing."""
        for closing in (self._parquet.close, self._file.close):
            with suppress(OSError, pa.ArrowException):
                closing()

    def _write_group(self, rows: int) -> None:
        # Combined, so that page bounds do not depend on the batches the rows came in.
        pending = pa.Table.from_batches(self._pending).combine_chunks()
        self._parquet.write_table(pending.slice(0, rows), row_group_size=rows)
        self._pending = pending.slice(rows).to_batches()
        self._pending_rows -= rows


def _refuse_null_keys(keys: pa.Array, column: str, first_row: int, where: str) -> None:
    if keys.null_count:
        rows = pc.indices_nonzero(keys.is_null()).slice(0, EXAMPLES).to_pylist()
        raise DataUnusable(
            f"{keys.null_count} rows have no value in the key column {column!r}",
            where=where,
            got="rows " + ", ".join(str(first_row + row) for row in rows),
            fix="leave rows without a key out of the source, or name another column in data.key",
        )


def _refuse_duplicates(path: Path, key: str, where: str) -> None:
    found = find_duplicates(
        lambda: (batch.column(0) for batch in read_batches(path, [key])), path.parent
    )
    if found:
        raise DataUnusable(
            f"the key column {key!r} holds values that stand more than once",
            where=where,
            got=", ".join(f"{bounded(value, 80)} ({count} times)" for value, count in found),
            allowed="one row per key in a window",
            fix="deduplicate the source, or name a column that identifies a row in data.key",
        )
