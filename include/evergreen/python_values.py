"""What a column of Python values means: databases hand rows over as those, and some have no types.

SQLite keeps any value in any column, so every value's type is looked at; Arrow's own inference would
let a boolean pass for a number and cut the hours off a time among dates. Needs pyarrow; reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_types import BOOL, DATE, FLOAT, INT, NULL, TEXT, TIME, canonical, utc, wider
from evergreen.errors import DataUnusable, bounded

_KINDS: dict[type, pa.DataType] = {
    bool: BOOL,
    int: INT,
    float: FLOAT,
    Decimal: FLOAT,
    str: TEXT,
    UUID: TEXT,
    datetime: TIME,
    date: DATE,
}


def typed(values: Sequence[Any], column: str, zone: str, where: str, first_row: int) -> pa.Array:
    """Return a chunk of one column in the canonical type that all its values have.

    Args:
        values: The chunk's values; None is missing.
        column: Its name.
        zone: The IANA zone of times that carry none.
        where: What is being read, for messages.
        first_row: The position of the first value, counted from 1, for messages.

    Raises:
        DataUnusable: values of different types, or of a type that no model can use.
    """
    kinds = set(map(type, values)) - {type(None)}
    kind = NULL
    for python in sorted(kinds, key=lambda kind: kind.__name__):
        both = wider(kind, _KINDS[python]) if python in _KINDS else None
        if both is None:
            raise _unusable(values, kinds, column, where, first_row)
        kind = both
    try:
        return canonical(_converted(values, kind, kinds, zone), column, zone, where)
    except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError) as exc:
        raise DataUnusable(
            f"column {column!r} holds a value that {kind} cannot: {bounded(str(exc), 200)}",
            where=where,
            fix="convert the column in the query",
        ) from exc


def _converted(values: Sequence[Any], kind: pa.DataType, kinds: set[type], zone: str) -> pa.Array:
    if Decimal in kinds:
        values = [float(value) if isinstance(value, Decimal) else value for value in values]
    elif UUID in kinds:
        values = [str(value) if isinstance(value, UUID) else value for value in values]
    elif kind == TIME:
        aware = [value if value is not None and value.tzinfo is not None else None for value in values]
        naive = [value if value is not None and value.tzinfo is None else None for value in values]
        return pc.coalesce(pa.array(aware, TIME), utc(pa.array(naive, pa.timestamp("us")), zone))
    return pa.array(values, kind)


def _unusable(
    values: Sequence[Any], kinds: set[type], column: str, where: str, first_row: int
) -> DataUnusable:
    examples = []
    for kind in sorted(kinds, key=lambda kind: kind.__name__):
        row = next(i for i, value in enumerate(values) if type(value) is kind)
        examples.append(f"{kind.__name__} {bounded(values[row], 60)} in row {first_row + row}")
    mixed = kinds <= _KINDS.keys()
    return DataUnusable(
        f"column {column!r} holds " + ("mixed types" if mixed else "what no model can use"),
        where=where,
        got=", ".join(examples),
        allowed="one of: integers, numbers, booleans, text, dates, times",
        fix="convert it in the query, for example CAST(x AS REAL)",
    )
