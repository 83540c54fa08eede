"""A data source in memory: what the contract asks of real ones, and failures on demand."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from evergreen.column_types import ColumnsSoFar, canonical
from evergreen.errors import EvergreenError
from evergreen.row_times import instants, within
from evergreen.rows import require_columns
from evergreen.spec import Data
from evergreen.window import Window


class FakeSource:
    """Gives the rows of a table that lie in the window.

    `failure` is raised instead, as often as `failures` says (None: always).
    """

    def __init__(
        self,
        rows: pa.Table,
        data: Data,
        rows_per_batch: int = 1000,
        failure: EvergreenError | None = None,
        failures: int | None = None,
    ) -> None:
        self.rows = rows
        self.windows_read: list[Window] = []
        self._data = data
        self._rows_per_batch = rows_per_batch
        self._failure = failure
        self._failures = failures

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        self.windows_read.append(window)
        if self._failure is not None and (self._failures is None or self._failures > 0):
            self._failures = None if self._failures is None else self._failures - 1
            raise self._failure
        require_columns(self.rows.schema.names, self._data, "fake source")
        columns = ColumnsSoFar()
        for batch in self.rows.to_batches(max_chunksize=self._rows_per_batch):
            kept = self._canonical(batch)
            kept = kept.filter(within(kept.column(self._data.time_column), window))
            if len(kept):
                columns.add(kept, "fake source")
                yield kept

    def _canonical(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        time_column, zone = self._data.time_column, self._data.time_zone
        arrays = [
            instants(array, name, zone, "fake source", 1)
            if name == time_column
            else canonical(array, name, zone, "fake source")
            for name, array in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
