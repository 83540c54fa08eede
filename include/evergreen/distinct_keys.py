"""Passes rows on and refuses, once all came by, keys that are missing or stand twice.

Whoever takes the rows may publish them only after the last: a key that stands twice is known no sooner.
Keys wait in a temporary file, so memory does not grow with the rows. Needs pyarrow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_types import ColumnsSoFar
from evergreen.duplicate_keys import EXAMPLES, find_duplicates
from evergreen.errors import DataUnusable, bounded

_KEY = "key"


def distinct_keys(
    batches: Iterable[pa.RecordBatch], key: str, where: str, source: str
) -> Iterator[pa.RecordBatch]:
    """Yield the batches as they are.

    Args:
        batches: All have the column `key`.
        key: The key column.
        where: What is being read, for messages.
        source: The part of the model file that names the rows' source, for messages.

    Raises:
        DataUnusable: a key is missing, of mixed types, or stands more than once, with examples.
        OSError: the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="evergreen-keys-") as name:
        keys = _Keys(Path(name))
        for batch in batches:
            keys.add(batch.column(key), key, where, source)
            yield batch
        found = find_duplicates(keys.read, Path(name))
    if found:
        raise DataUnusable(
            f"the key column {key!r} holds values that stand more than once",
            where=where,
            got=", ".join(f"{bounded(value, 80)} ({count} times)" for value, count in found),
            allowed="one row per key in a window",
            fix=f"deduplicate {source}, or name a column that identifies a row in data.key",
        )


class _Keys:
    """Keys on disk, a file for each type that their column had while it widened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._columns = ColumnsSoFar()
        self._rows = 0
        self._files: list[Path] = []
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._schema: pa.Schema | None = None

    def add(self, keys: pa.Array, column: str, where: str, source: str) -> None:
        if keys.null_count:
            rows = pc.indices_nonzero(keys.is_null()).slice(0, EXAMPLES).to_pylist()
            raise DataUnusable(
                f"{keys.null_count} rows have no value in the key column {column!r}",
                where=where,
                got="rows " + ", ".join(str(self._rows + 1 + row) for row in rows),
                fix=f"leave rows without a key out of {source}, or name another column in data.key",
            )
        self._rows += len(keys)
        batch = pa.RecordBatch.from_arrays([keys], names=[_KEY])
        self._columns.add(batch, where)
        if self._writer is None or batch.schema != self._schema:
            self._close()
            self._schema = batch.schema
            self._files.append(self._folder / f"{len(self._files)}.arrows")
            self._writer = pa.ipc.new_stream(str(self._files[-1]), batch.schema)
        self._writer.write_batch(batch)

    def read(self) -> Iterator[pa.Array]:
        self._close()
        for path in self._files:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
                for batch in reader:
                    yield batch.column(0).cast(self._schema.field(0).type)  # type: ignore[union-attr]

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
