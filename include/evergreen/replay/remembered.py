"""What a replay reads again and again comes from where it was read first, with the same rows.

Checks look back over the same days each time. A source is asked for a day once, and a log that nobody
else writes need not be decoded anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.canonical import digest_of
from evergreen.ports import DataSource
from evergreen.replay.kept import KeptRows
from evergreen.watch_ports import LoggedRows, PredictionLog
from evergreen.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import Profile


@dataclass(slots=True)
class RememberedSource:
    """The rows of a source as it gave them first. Safe to make again for the same folder.

    A window that lies within one that was read is cut out of that. A window whose reading fails is not
    remembered.

    Attributes:
        source: Where rows come from.
        folder: Where windows are kept; those of one source only.
        time_column: By which windows are cut.
        known: The windows that lie in the folder.
        kept: Those of them that are in memory, too.
    """

    source: DataSource
    folder: Path
    time_column: str
    known: dict[Window, Path] = field(default_factory=dict)
    kept: KeptRows = field(default_factory=KeptRows)

    def read(self, window: Window) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows; see `ports.DataSource.read`."""
        from evergreen.row_times import within

        around = self._around(window)
        for batch in self._rows(around):
            kept = batch
            if around != window:
                kept = batch.filter(within(batch.column(self.time_column), window))
            if len(kept):
                yield kept

    def _around(self, window: Window) -> Window:
        """Return the shortest known window that holds this one; it is read where there is none."""
        wider = [one for one in self.known if one.start <= window.start and window.end <= one.end]
        if wider:
            return min(wider, key=lambda one: one.end - one.start)
        self.folder.mkdir(parents=True, exist_ok=True)
        name = digest_of([window.start.isoformat(), window.end.isoformat()])
        self._write(window, self.folder / name)
        self.known[window] = self.folder / name
        return window

    def _write(self, window: Window, path: Path) -> None:
        """Write each batch as a stream of its own, for a column's type may widen from batch to batch."""
        import pyarrow as pa

        with pa.OSFile(str(path), "wb") as sink:
            for batch in self.source.read(window):
                with pa.ipc.new_stream(sink, batch.schema) as writer:
                    writer.write_batch(batch)

    def _rows(self, window: Window) -> Iterable[pa.RecordBatch]:
        found = self.kept.get(window)
        if found is None:
            found = tuple(_streams(self.known[window]))
            self.kept.put(window, found)
        return found


def _streams(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    with pa.OSFile(str(path), "rb") as stored:
        while stored.tell() < stored.size():
            with pa.ipc.open_stream(stored) as reader:
                yield from reader


class RememberedLog:
    """A prediction log that one process writes and reads; a `watch_ports.PredictionLog`."""

    def __init__(self, log: PredictionLog) -> None:
        self._log = log
        self._kept = KeptRows()

    def replace(
        self, model: str, window: Window, batches: Iterable[pa.RecordBatch], time_column: str
    ) -> str:
        """Put these rows in the place of the window's; see `watch_ports.PredictionLog.replace`."""
        self._kept.drop(lambda key: _overlap(key[0], window))  # type: ignore[index]
        return self._log.replace(model, window, batches, time_column)

    def rows(self, model: str, time_column: str) -> LoggedRows:
        """Return the model's logged rows."""
        return RememberedRows(self._log.rows(model, time_column), self._kept)


@dataclass(frozen=True, slots=True)
class RememberedRows:
    """The logged rows of one model; a `watch_ports.LoggedRows`."""

    rows: LoggedRows
    kept: KeptRows

    def read(
        self, window: Window, columns: Sequence[str] | None = None, version: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows; see `watch_ports.LoggedRows.read`."""
        key = (window, None if columns is None else tuple(columns), version)
        found = self.kept.get(key)
        if found is None:
            found = tuple(self.rows.read(window, columns, version))
            self.kept.put(key, found)
        yield from found

    def count(
        self, window: Window, layout: Layout, version: int | None = None
    ) -> Mapping[date, Profile]:
        """Return the profiles of the window's rows by UTC day."""
        return self.rows.count(window, layout, version)

    def newest(self, before: datetime) -> datetime | None:
        """Return the time of the newest row before an instant, or None."""
        return self.rows.newest(before)


def _overlap(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end
