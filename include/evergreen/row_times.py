"""When a row happened: reads a time column whatever it is written as, and keeps to a window.

Timestamps with a zone, timestamps without one, dates and ISO 8601 text become UTC microseconds.
Numbers are refused: nobody can tell seconds from milliseconds since 1970 for certain.
Needs pyarrow; reads nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_types import TIME, utc
from evergreen.errors import DataUnusable, bounded
from evergreen.window import Window

EXAMPLES = 5

_WITH_ZONE = r"\d{2}:\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$"
_FINER_THAN_MICROSECONDS = r"(\.\d{6})\d+"
_WRITTEN = "2013-04-01, 2013-04-01 06:00:00, 2013-04-01T06:00:00.5Z, 2013-04-01T06:00:00-04:00"


def instants(array: pa.Array, column: str, zone: str, where: str, first_row: int) -> pa.Array:
    """Return the times as UTC microseconds, none missing.

    Args:
        array: Timestamps, dates or ISO 8601 text.
        column: Its name.
        zone: The IANA zone of times that carry none; see `column_types.utc` for its odd hours.
        where: What is being read, for messages.
        first_row: The position of the array's first row, counted from 1, for messages.

    Raises:
        DataUnusable: numbers, text that is no time, or a row without a time, with examples.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.null_count:
        rows = pc.indices_nonzero(array.is_null()).slice(0, EXAMPLES).to_pylist()
        raise DataUnusable(
            f"{array.null_count} rows have no time in column {column!r}",
            where=where,
            got="rows " + ", ".join(str(first_row + row) for row in rows),
            fix="leave rows without a time out of the source",
        )
    if pa.types.is_timestamp(array.type):
        return utc(array, zone)
    if pa.types.is_date(array.type):
        return utc(array.cast(pa.timestamp("us")), zone)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return _parse(array.cast(pa.string()), column, zone, where, first_row)
    if pa.types.is_null(array.type):
        return array.cast(TIME)
    raise DataUnusable(
        f"the time column {column!r} holds no times",
        where=where,
        got=f"{array.type}, such as {array[0].as_py()!r}",
        allowed=f"timestamps, dates, or text such as {_WRITTEN}",
        fix="convert it in the source, for example datetime(x, 'unixepoch') or to_timestamp(x)",
    )


def _parse(text: pa.Array, column: str, zone: str, where: str, first_row: int) -> pa.Array:
    text = pc.replace_substring_regex(text, _FINER_THAN_MICROSECONDS, r"\1")
    zoned = pc.match_substring_regex(text, _WITH_ZONE)
    nothing = pa.scalar(None, pa.string())
    try:
        with_zone = pc.if_else(zoned, text, nothing).cast(TIME)
        without = utc(pc.if_else(zoned, nothing, text).cast(pa.timestamp("us")), zone)
    except pa.ArrowInvalid as exc:
        raise DataUnusable(
            f"the time column {column!r} holds text that is no time",
            where=where,
            got=_unreadable(text, zoned, first_row),
            allowed=_WRITTEN,
            fix="convert the column in the source",
        ) from exc
    return pc.coalesce(with_zone, without)


def _unreadable(text: pa.Array, zoned: pa.Array, first_row: int) -> str:
    found: list[str] = []
    for row, (value, has_zone) in enumerate(zip(text, zoned, strict=True)):
        try:
            value.cast(TIME if has_zone.as_py() else pa.timestamp("us"))
        except pa.ArrowInvalid:
            found.append(f"{bounded(value.as_py(), 60)!r} in row {first_row + row}")
            if len(found) == EXAMPLES:
                break
    return ", ".join(found)


def within(times: pa.Array, window: Window) -> pa.Array:
    """Return which of the UTC times lie in the half-open window, as booleans."""
    start, end = pa.scalar(window.start, TIME), pa.scalar(window.end, TIME)
    return pc.and_(pc.greater_equal(times, start), pc.less(times, end))


def wall_time(instant: datetime, zone: str) -> datetime:
    """Return the first wall-clock time of `zone` that is read as `instant` or later, without a zone.

    Comparing stored wall-clock times with it selects exactly the rows that `instants` puts at
    `instant` or later, also in the hours that daylight saving repeats or skips.

    >>> wall_time(datetime(2013, 7, 1, 4, tzinfo=UTC), "America/New_York").isoformat()
    '2013-07-01T00:00:00'
    """
    guess = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    low, high = guess - timedelta(days=1), guess + timedelta(days=1)
    if _read(guess, zone) >= instant and _read(guess - _TICK, zone) < instant:
        return guess
    while high - low > _TICK:
        middle = low + (high - low) // 2
        low, high = (low, middle) if _read(middle, zone) >= instant else (middle, high)
    return high


_TICK = timedelta(microseconds=1)


def _read(wall: datetime, zone: str) -> datetime:
    read: datetime = utc(pa.array([wall], pa.timestamp("us")), zone)[0].as_py()
    return read.astimezone(UTC)
