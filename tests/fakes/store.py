"""A snapshot store in memory: what the contract asks of real ones, and failures on demand."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa

from evergreen.column_types import ColumnsSoFar, conform
from evergreen.errors import ArtefactDamaged, DataUnusable, StoreUnavailable
from evergreen.results import Artefact, ColumnType, Snapshot
from evergreen.row_digest import RowDigest
from evergreen.row_times import within
from evergreen.rows import require_columns
from evergreen.spec import Data
from evergreen.window import Window


class FakeStore:
    """Keeps tables by URI. While `full` is set, it takes no write."""

    def __init__(self) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.full = False

    def write(
        self, model: str, window: Window, batches: Iterable[pa.RecordBatch], data: Data
    ) -> Snapshot:
        columns = ColumnsSoFar()
        kept = []
        schema = None
        for batch in batches:
            require_columns(batch.schema.names, data, model)
            schema = columns.add(batch, model)
            kept.append(batch)
        if schema is None or not sum(map(len, kept)):
            raise DataUnusable("the window holds no rows", where=f"model {model}, window {window}")
        table = pa.Table.from_batches([conform(batch, schema) for batch in kept])
        keys = Counter(table.column(data.key).to_pylist())
        twice = [f"{key!r} ({count} times)" for key, count in keys.most_common(5) if count > 1]
        if twice:
            raise DataUnusable("keys stand more than once", where=model, got=", ".join(twice))
        if None in keys:
            raise DataUnusable("rows have no value in the key column", where=model)
        if self.full:
            raise StoreUnavailable("the store did not take a file", where=model)
        digest = _digest(table)
        uri = f"memory://snapshots/{model}/{digest}"
        self.tables.setdefault(uri, table)
        if _digest(self.tables[uri]) != digest:
            raise ArtefactDamaged("a snapshot of these rows is not what it was", where=uri)
        types = tuple(ColumnType(field.name, str(field.type)) for field in schema)
        artefact = Artefact("part-0.parquet", hashlib.sha256(digest.encode()).hexdigest(), len(digest))
        return Snapshot(uri, digest, window, len(table), types, (artefact,))

    def read(self, snapshot: Snapshot, window: Window, time_column: str) -> pa.Table:
        table = self.tables.get(snapshot.uri)
        if table is None or _digest(table) != snapshot.digest:
            raise ArtefactDamaged("the file is missing or altered", where=snapshot.uri)
        if time_column not in table.column_names:
            raise DataUnusable(f"the snapshot has no column {time_column!r}", where=snapshot.uri)
        return table.filter(within(table.column(time_column), window))

    def damage(self, snapshot: Snapshot) -> None:
        """Change what stands at the snapshot's URI."""
        table = self.tables[snapshot.uri]
        self.tables[snapshot.uri] = table.slice(0, max(0, len(table) - 1))


def _digest(table: pa.Table) -> str:
    digest = RowDigest(table.schema)
    for batch in table.to_batches():
        digest.update(batch)
    return digest.hexdigest()
