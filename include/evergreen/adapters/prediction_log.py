"""The prediction log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from evergreen.ports import LoggedRows
from evergreen.window import Window

if TYPE_CHECKING:
    import pyarrow as pa


class ParquetLog:
    """Keeps logged predictions under a URI; a `ports.PredictionLog`."""

    def __init__(self, uri: str, storage_options: Mapping[str, Any]) -> None:
        self._uri = uri.rstrip("/")
        self._options = storage_options

    def replace(
        self, model: str, window: Window, batches: Iterable[pa.RecordBatch], time_column: str
    ) -> str:
        """Put these rows in the place of all rows of the window and return the log's URI."""
        raise NotImplementedError

    def rows(self, model: str, time_column: str) -> LoggedRows:
        """Return the model's logged rows."""
        raise NotImplementedError
