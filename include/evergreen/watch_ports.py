"""What scoring and the watch need from the world, beside `ports.py`.

Arrow types appear in annotations only: importing this module loads no heavy library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from evergreen.watch_results import Stored
from evergreen.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import Profile


class LoggedRows(Protocol):
    """Rows with the features that were used, the version that answered, and its predictions.

    Besides time, key and features they have the columns of `logged_rows.py`, whoever logged them. Where
    `version` is given, rows that another version answered are left out; rows that name no version stay.
    """

    def read(
        self, window: Window, columns: Sequence[str] | None = None, version: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows in bounded batches, those columns only; absent ones are left out.

        Text may come as dictionaries. Batches of different days may have different columns and types.

        Raises:
            DataUnusable: a missing time column, prediction or table; unreadable times.
            ArtefactDamaged: a partition that cannot be read.
            SourceUnavailable: the source did not answer.
        """
        ...

    def count(
        self, window: Window, layout: Layout, version: int | None = None
    ) -> Mapping[date, Profile]:
        """Return the profiles of the window's rows by UTC day; days without rows are left out.

        Raises:
            As `read`.
        """
        ...

    def newest(self, before: datetime) -> datetime | None:
        """Return the time of the newest row before an instant, or None where there is none."""
        ...


class PredictionLog(Protocol):
    """Keeps what models answered: appended by window, never doubled."""

    def replace(
        self, model: str, window: Window, batches: Iterable[pa.RecordBatch], time_column: str
    ) -> str:
        """Put these rows in the place of all rows of the window and return the log's URI.

        Killed anywhere and repeated, it ends as if never killed; a reader sees each day's old rows or
        its new ones. Memory does not grow with rows.

        Raises:
            StoreUnavailable: the store did not take the write; what stood there still stands.
            ArtefactDamaged: rows of the same day beside the window cannot be read.
        """
        ...

    def rows(self, model: str, time_column: str) -> LoggedRows:
        """Return the model's logged rows."""
        ...


class FileStore(Protocol):
    """Keeps small files under their content's digest: profiles, pictures, reports."""

    def put(self, folder: str, name: str, content: bytes) -> Stored:
        """Store a file below `folder`; the same content again is the same file.

        Raises:
            StoreUnavailable: the store did not take it; nothing half is left.
        """
        ...

    def get(self, stored: Stored) -> bytes:
        """Return a stored file, verified.

        Raises:
            ArtefactDamaged: it is missing or not what was stored.
            StoreUnavailable: the store did not answer.
        """
        ...


class NoPage(Exception):
    """Why there is no page."""


class SamplePage(Protocol):
    """Draws rows then and now for people; nothing is decided on it."""

    def __call__(
        self, before: pa.Table, after: pa.Table, columns: Sequence[str], title: str, seconds: float
    ) -> bytes:
        """Return one HTML file that needs no network, made of a bounded sample of the rows.

        Args:
            before: Rows of the baseline.
            after: Rows of the window.
            columns: The columns that matter, the foremost first; those beyond a few are left out.
            title: Stands above the page.
            seconds: How long it may take.

        Raises:
            NoPage: whoever draws it is not installed, failed or took too long, or has nothing to show.
        """
        ...
