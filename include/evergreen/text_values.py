"""What a column of text means: CSV has no types, so the values themselves decide.

Each value is missing, an integer, a number, true or false, a date, a time, or text. A column has the
type that holds all its values (`column_types.wider`); numbers among text are mixed types, an error,
because one misprint must not turn a number into ten thousand categories. Digits after a leading zero
are text: they are a code, and as a number it would lose the zero. Since every value is
judged alone, the type does not depend on how the rows are chunked. Needs pyarrow; reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_types import BOOL, DATE, FLOAT, INT, NULL, TEXT, TIME, canonical, wider
from evergreen.errors import DataUnusable, bounded
from evergreen.row_times import instants

MISSING = ("", "#N/A", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")

_PATTERNS = (
    (INT, r"^-?(?:0|[1-9][0-9]*)$"),
    (
        FLOAT,
        r"^-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$|^-?(?i:inf|infinity)$",
    ),
    (BOOL, r"^(?i:true|false)$"),
    (DATE, r"^\d{4}-\d{2}-\d{2}$"),
    (TIME, r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?$"),
)


def typed(text: pa.Array, column: str, zone: str, where: str) -> pa.Array:
    """Return the column's values in the canonical type that they all have.

    Raises:
        DataUnusable: values of different types, an integer beyond 64 bits, or a date that is none.
    """
    known = pc.if_else(pc.is_in(text, pa.array(MISSING)), pa.scalar(None, TEXT), text)
    kind = _kind(known.drop_null().unique(), column, where)
    try:
        return canonical(_CONVERT[kind](known, column, zone, where), column, zone, where)
    except pa.ArrowInvalid as exc:
        raise DataUnusable(
            f"column {column!r} holds a value that cannot be read as {kind}: {bounded(str(exc), 200)}",
            where=where,
            fix="mend the value, or list the column under data.source.text",
        ) from exc


def as_text(text: pa.Array) -> pa.Array:
    """Return the values as the text that they are; only an empty one is missing."""
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, TEXT), text)


def _kind(distinct: pa.Array, column: str, where: str) -> pa.DataType:
    kind, example = NULL, ""
    for found, value in _kinds(distinct):
        both = wider(kind, found)
        if both is None:
            raise DataUnusable(
                f"column {column!r} holds mixed types: {kind}, such as {example!r}, "
                f"and {found}, such as {value!r}",
                where=where,
                fix="mend the values, or list the column under data.source.text if all of it is text",
            )
        kind, example = both, value
    return kind


def _kinds(distinct: pa.Array) -> list[tuple[pa.DataType, str]]:
    """Return each type that some of the values have, with the first such value."""
    found = []
    for kind, pattern in _PATTERNS:
        if not len(distinct):
            break
        matches = pc.match_substring_regex(distinct, pattern)
        if pc.any(matches).as_py():
            first = distinct.filter(matches)[0].as_py()
            found.append((kind, bounded(first, 100)))
            distinct = distinct.filter(pc.invert(matches))
    if len(distinct):
        found.append((TEXT, bounded(distinct[0].as_py(), 100)))
    return found


def _times(array: pa.Array, column: str, zone: str, where: str) -> pa.Array:
    there = array.is_valid()
    read = instants(array.filter(there), column, zone, where, 1)
    return pc.replace_with_mask(pa.nulls(len(array), TIME), there, read)


_CONVERT: dict[pa.DataType, Callable[[pa.Array, str, str, str], pa.Array]] = {
    NULL: lambda array, *_: pa.nulls(len(array), NULL),
    INT: lambda array, *_: array.cast(INT),
    FLOAT: lambda array, *_: array.cast(FLOAT),
    BOOL: lambda array, *_: pc.equal(pc.ascii_lower(array), "true"),
    DATE: lambda array, *_: array.cast(DATE),
    TIME: _times,
    TEXT: lambda array, *_: array,
}
