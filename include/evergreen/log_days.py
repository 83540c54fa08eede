"""The days of one model's prediction log: where they lie, and how they are opened and replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from evergreen.artefacts import sync_folder
from evergreen.errors import ArtefactDamaged, DataUnusable, bounded
from evergreen.logged_file import LoggedFile
from evergreen.storage import local_path, open_remote
from evergreen.window import Window

FILE = "rows.parquet"

_DAY = "day="
_CHANGES = ("ETag", "etag", "content_md5", "LastModified", "created", "size")
"""What object stores say of an object that differs once it was written again."""


class LogDays:
    """The days of one model: where they lie, and how they are opened and replaced."""

    def __init__(self, uri: str, options: Mapping[str, Any]) -> None:
        self.uri = uri
        self._options = options
        self._folder = local_path(uri)

    def within(self, window: Window) -> list[date]:
        """Return the days that are there and that the window touches, in order."""
        if self._folder is not None:
            names = [path.name for path in self._folder.glob(f"{_DAY}*")]
        else:
            system, path = self._remote()
            system.invalidate_cache()
            try:
                names = [name.rstrip("/").rpartition("/")[2] for name in system.ls(path, detail=False)]
            except FileNotFoundError:
                names = []
        found = sorted(day for day in map(_day_of, names) if day is not None)
        return [
            day
            for day in found
            if whole_day(day).start < window.end and whole_day(day).end > window.start
        ]

    def file(self, day: date) -> str:
        """Return the URI of a day's file."""
        return f"{self.uri}/{_DAY}{day.isoformat()}/{FILE}"

    def stamp(self, day: date) -> tuple[object, ...] | None:
        """Return what changes whenever the day's file is replaced; None where there is none."""
        with suppress(FileNotFoundError):
            if self._folder is not None:
                state = (self._folder / f"{_DAY}{day.isoformat()}" / FILE).stat()
                return state.st_ino, state.st_size, state.st_mtime_ns
            system, path = self._remote(self.file(day))
            system.invalidate_cache()
            info = system.info(path)
            return tuple(str(info.get(name)) for name in _CHANGES)
        return None

    @contextmanager
    def opened(self, day: date, time_column: str) -> Iterator[LoggedFile | None]:
        """Open a day's file; None where it is gone.

        Raises:
            ArtefactDamaged: it cannot be read, now or while it is open.
            DataUnusable: it has no such time column.
        """
        where = self.file(day)
        try:
            with self._open(where) as opened:
                file = LoggedFile(opened, time_column) if opened is not None else None
                if file is not None and time_column not in file.schema.names:
                    raise DataUnusable(
                        f"the logged rows have no time column {time_column!r}",
                        where=where,
                        allowed=", ".join(file.schema.names),
                        fix="was data.time_column renamed? Score the whole day again",
                    )
                yield file
        except (OSError, pa.ArrowException) as exc:
            if getattr(exc, "errno", None) is not None:
                raise
            raise ArtefactDamaged(
                "a day of the prediction log cannot be read",
                where=where,
                got=bounded(str(exc), 300),
                fix="score the whole day again, which replaces it; or restore a backup",
            ) from exc

    @contextmanager
    def _open(self, uri: str) -> Iterator[Any | None]:
        place = local_path(uri)
        try:
            if place is not None:
                opened = pa.OSFile(str(place))
            else:
                system, path = self._remote(uri)
                opened = system.open(path, "rb")
        except FileNotFoundError:
            yield None
            return
        with opened:
            yield opened

    def put(self, day: date, staged: Path) -> None:
        """Let a staged file be the day's."""
        place = local_path(self.file(day))
        if place is None:
            system, path = self._remote(self.file(day))
            system.put_file(str(staged), path)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(place)
        for folder in (place.parent, place.parent.parent, place.parent.parent.parent):
            sync_folder(folder)

    def remove(self, day: date) -> None:
        """Let the day have no rows."""
        place = local_path(self.file(day))
        if place is None:
            system, path = self._remote(self.file(day))
            with suppress(FileNotFoundError):
                system.rm_file(path)
            return
        place.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: somebody keeps something beside the rows
            place.parent.rmdir()
            sync_folder(place.parent.parent)

    def _remote(self, uri: str | None = None) -> tuple[Any, str]:
        return open_remote(uri or self.uri, self._options, "the prediction log")


def whole_day(day: date) -> Window:
    """Return the window of a UTC day."""
    start = datetime.combine(day, time(), UTC)
    return Window(start, start + timedelta(days=1))


def _day_of(name: str) -> date | None:
    try:
        return date.fromisoformat(name.removeprefix(_DAY)) if name.startswith(_DAY) else None
    except ValueError:
        return None
