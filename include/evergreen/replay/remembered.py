"""A data source that is asked for each window once; read again, its rows come from a scratch file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.canonical import digest_of
from evergreen.ports import DataSource
from evergreen.window import Window

if TYPE_CHECKING:
    import pyarrow as pa


class RememberedSource:
    """The rows of a source, window by window, as the source gave them first.

    Windows are read as they are asked for and not cut out of a longer one: a query may count within its
    window. A window whose reading fails is not remembered.

    Args:
        source: Where rows come from.
        folder: Where windows are kept; those of one source only.
    """

    def __init__(self, source: DataSource, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows; see `ports.DataSource.read`."""
        name = digest_of([window.start.isoformat(), window.end.isoformat()])
        kept = self._folder / f"{name}.streams"
        if not kept.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = kept.with_suffix(".unfinished")
            self._write(window, unfinished)
            unfinished.rename(kept)
        yield from _streams(kept)

    def _write(self, window: Window, path: Path) -> None:
        """Write each batch as a stream of its own, for a column's type may widen from batch to batch."""
        import pyarrow as pa

        with pa.OSFile(str(path), "wb") as sink:
            for batch in self._source.read(window):
                with pa.ipc.new_stream(sink, batch.schema) as writer:
                    writer.write_batch(batch)


def _streams(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    with pa.OSFile(str(path), "rb") as stored:
        while stored.tell() < stored.size():
            with pa.ipc.open_stream(stored) as reader:
                yield from reader
