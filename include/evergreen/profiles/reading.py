"""From an Arrow column to what its cells are of: numbers, lengths of text, calendar cells.

Times are read in UTC, those without a zone as if they were; a duration counts in microseconds. What a
model can still read in the place of what it was trained on (`column_kinds.readable_as`) is counted.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_kinds import Kind, kind_of
from evergreen.profiles.layout import WEEKDAYS

HOURS_A_PART = 4
PARTS = tuple(f"{hour:02d}-{hour + HOURS_A_PART:02d}" for hour in range(0, 24, HOURS_A_PART))
CALENDARS: dict[Kind, tuple[str, ...]] = {
    "instant": tuple(f"{day} {part}" for day in WEEKDAYS for part in PARTS),
    "date": WEEKDAYS,
    "time": tuple(f"{hour:02d}:00" for hour in range(24)),
}
_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = WEEKDAYS.index("Thu")  # 1970-01-01


def numbers_of(array: pa.Array) -> np.ndarray:
    """Return a column of numbers, booleans or durations as float64, missing ones as NaN."""
    array = plain(array)
    kind = array.type
    if pa.types.is_duration(kind):
        return numbers_of(array.cast(pa.int64())) * 1e6 / _A_SECOND[kind.unit]
    if not pa.types.is_float64(kind):
        array = array.cast(pa.float64(), safe=False)
    values: np.ndarray = array.to_numpy(zero_copy_only=False)
    return values


def lengths_of(array: pa.Array) -> np.ndarray:
    """Return how many characters each text has, as float64; missing ones as NaN."""
    if pa.types.is_dictionary(array.type):
        lengths = lengths_of(array.dictionary)
        indices, missing = indices_of(array)
        return np.append(lengths, np.nan)[np.where(missing, len(lengths), indices)]
    return numbers_of(array if pa.types.is_null(array.type) else pc.utf8_length(array))


def calendar_codes(array: pa.Array, wanted: Kind) -> np.ndarray:
    """Return the place of each time in `CALENDARS[wanted]`, `(n_rows,)`; -1 where it is missing."""
    array = plain(array)
    if pa.types.is_null(array.type):
        return np.full(len(array), -1, dtype=np.int64)
    ticks, a_day = _ticks(array)
    if wanted == "time":
        codes = ticks // (a_day // 24)
    else:
        codes = (ticks // a_day + _EPOCH) % 7
        if wanted == "instant":
            part = (ticks % a_day) * len(PARTS) // a_day if a_day > 1 else 0
            codes = codes * len(PARTS) + part
    if array.null_count:
        codes[array.is_null().to_numpy(zero_copy_only=False)] = -1
    return codes


def days_of(array: pa.Array) -> np.ndarray:
    """Return each time's UTC day as datetime64[D], missing ones as NaT."""
    array = plain(array)
    if pa.types.is_null(array.type):
        return np.full(len(array), np.datetime64("NaT", "D"))
    ticks, a_day = _ticks(array)
    days = (ticks // a_day).astype("datetime64[D]")
    if array.null_count:
        days[array.is_null().to_numpy(zero_copy_only=False)] = np.datetime64("NaT")
    return days


def indices_of(array: pa.DictionaryArray) -> tuple[np.ndarray, np.ndarray]:
    """Return a dictionary array's indices, 0 where missing, and which ones are missing."""
    indices = array.indices
    missing = np.zeros(len(array), dtype=bool)
    if indices.null_count:
        missing = indices.is_null().to_numpy(zero_copy_only=False)
        indices = indices.fill_null(0)
    return indices.to_numpy(zero_copy_only=False), missing


def plain(array: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return the array without a dictionary."""
    return array if not pa.types.is_dictionary(array.type) else array.cast(array.type.value_type)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of what a column holds, whether a dictionary encodes it or not."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _ticks(array: pa.Array) -> tuple[np.ndarray, int]:
    """Return times in the column's own unit, 0 where missing, and how many of it make a day."""
    kind = array.type
    if pa.types.is_date32(kind):
        unit, wide = 1, pa.int32()
    elif pa.types.is_date64(kind):
        unit, wide = 86_400_000, pa.int64()
    else:
        unit, wide = 86_400 * _A_SECOND[kind.unit], pa.int32() if kind.bit_width == 32 else pa.int64()
    ticks = array.view(wide).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return ticks, unit


def calendar_of(type_text: str) -> tuple[str, ...]:
    """Return the calendar cells of a type, none where it is no time."""
    kind = kind_of(type_text)
    return () if kind is None else CALENDARS.get(kind, ())
