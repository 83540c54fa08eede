"""The days of one model's prediction log: where they lie, and how they are opened and replaced.

On object storage a listing is not trusted to be whole: each day of a window is asked for by its name, as
long as they are not too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from evergreen.artefacts import sync_folder
from evergreen.errors import ArtefactDamaged, DataUnusable, bounded
from evergreen.logged_file import LoggedFile
from evergreen.objects import Objects
from evergreen.storage import local_path
from evergreen.storage_errors import store_said
from evergreen.window import Window

FILE = "rows.parquet"
MOST_ASKED = 62
"""How many days are asked for one by one; of a longer window those count that a listing names."""

_DAY = "day="
_CHANGES = ("ETag", "etag", "content_md5", "LastModified", "created", "size")
"""What object stores say of an object that differs once it was written again."""


class LogDays:
    """The days of one model: where they lie, and how they are opened and replaced."""

    def __init__(self, uri: str, options: Mapping[str, Any]) -> None:
        self.uri = uri
        self._folder = local_path(uri)
        self._objects = Objects(uri if self._folder is None else "", options)

    def within(self, window: Window) -> list[date]:
        """Return the days that are there and that the window touches, in order."""
        if self._folder is not None:
            return _touched([path.name for path in self._folder.glob(f"{_DAY}*")], window)
        if window.end - window.start > timedelta(days=MOST_ASKED):
            return _touched(self._objects.names(), window)
        first = window.start.astimezone(UTC).date()
        days = (first + timedelta(days=number) for number in range(MOST_ASKED + 2))
        return [day for day in days if _touches(day, window) and self.stamp(day) is not None]

    def file(self, day: date) -> str:
        """Return the URI of a day's file."""
        return f"{self.uri}/{_name(day)}"

    def stamp(self, day: date) -> tuple[object, ...] | None:
        """Return what changes whenever the day's file is replaced; None where there is none."""
        if self._folder is None:
            info = self._objects.info(_name(day))
            return None if info is None else tuple(str(info.get(name, "")) for name in _CHANGES)
        with suppress(FileNotFoundError):
            state = (self._folder / _name(day)).stat()
            return state.st_ino, state.st_size, state.st_mtime_ns
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
            with self._open(day) as opened:
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
            if getattr(exc, "errno", None) is not None or store_said(exc):
                raise
            raise ArtefactDamaged(
                "a day of the prediction log cannot be read",
                where=where,
                got=bounded(str(exc), 300),
                fix="score the whole day again, which replaces it; or restore a backup",
            ) from exc

    @contextmanager
    def _open(self, day: date) -> Iterator[Any | None]:
        opened = None
        if self._folder is None:
            opened = self._objects.open(_name(day))
        else:
            with suppress(FileNotFoundError):
                opened = pa.OSFile(str(self._folder / _name(day)))
        with nullcontext() if opened is None else opened:
            yield opened

    def put(self, day: date, staged: Path) -> None:
        """Let a staged file be the day's, whatever stood there."""
        if self._folder is None:
            self._objects.replace(_name(day), staged, None)
            return
        place = self._folder / _name(day)
        place.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(place)
        for folder in (place.parent, place.parent.parent, place.parent.parent.parent):
            sync_folder(folder)

    def put_in_place_of(self, stamp: tuple[object, ...] | None, day: date, staged: Path) -> bool:
        """Let a staged file be the day's, where its file still has this stamp; else return False."""
        if self.stamp(day) != stamp:
            return False
        if self._folder is not None:
            self.put(day, staged)
            return True
        if stamp is None:
            return self._objects.put_if_absent(_name(day), staged)
        return self._objects.replace(_name(day), staged, str(stamp[0]) or None)

    def remove(self, day: date) -> None:
        """Let the day have no rows."""
        if self._folder is None:
            self._objects.remove(_name(day))
            return
        place = self._folder / _name(day)
        place.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: somebody keeps something beside the rows
            place.parent.rmdir()
            sync_folder(place.parent.parent)


def whole_day(day: date) -> Window:
    """Return the window of a UTC day."""
    start = datetime.combine(day, time(), UTC)
    return Window(start, start + timedelta(days=1))


def _name(day: date) -> str:
    return f"{_DAY}{day.isoformat()}/{FILE}"


def _touched(names: list[str], window: Window) -> list[date]:
    return sorted(day for day in map(_day_of, names) if day is not None and _touches(day, window))


def _touches(day: date, window: Window) -> bool:
    whole = whole_day(day)
    return whole.start < window.end and whole.end > window.start


def _day_of(name: str) -> date | None:
    """Return the day that a name is of, in just the form in which we write it; else None."""
    try:
        day = date.fromisoformat(name.removeprefix(_DAY))
    except ValueError:
        return None
    return day if name == f"{_DAY}{day.isoformat()}" else None
