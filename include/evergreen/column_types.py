"""The few types a snapshot's column may have, and when two of them are one column.

Every source brings its vendor's types down to these, so that what a model sees does not depend on
the database, the file format or the size of a chunk:

    null   bool   int64   float64   string   timestamp[us, UTC]   date32

A column's type may only widen while rows come in: null to anything, int64 to float64. Anything else
in one column is mixed types, an error. NaN means missing and becomes null; infinities stay, for the
expectations and the trainer to judge. Decimals become float64. Needs pyarrow; reads nothing.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.errors import DataUnusable, bounded

NULL = pa.null()
BOOL = pa.bool_()
INT = pa.int64()
FLOAT = pa.float64()
TEXT = pa.string()
TIME = pa.timestamp("us", "UTC")
DATE = pa.date32()
CANONICAL = (NULL, BOOL, INT, FLOAT, TEXT, TIME, DATE)

_NONE_YET = "(none yet)"
_FIX_TYPE = "convert the column to a number, text, date or time, or leave it out"


def wider(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both, or None where they are mixed types."""
    if left == right or right == NULL:
        return left
    if left == NULL:
        return right
    return FLOAT if {left, right} == {INT, FLOAT} else None


def canonical(array: pa.Array, column: str, zone: str, where: str) -> pa.Array:
    """Return the array in its canonical type; times without a zone are times of `zone`.

    Raises:
        DataUnusable: a type that no model can use, or a value that its canonical type cannot hold.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    try:
        if kind in (NULL, BOOL, TEXT, DATE, INT):
            return array
        if pa.types.is_integer(kind):
            return array.cast(INT)
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return _without_nan(array.cast(FLOAT))
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return array.cast(TEXT)
        if pa.types.is_timestamp(kind):
            return utc(array, zone)
        if pa.types.is_date(kind):
            return array.cast(DATE)
    except pa.ArrowInvalid as exc:
        raise DataUnusable(
            f"column {column!r} holds a value that its type here cannot: {bounded(str(exc), 200)}",
            where=where,
            got=str(kind),
            fix=_FIX_TYPE,
        ) from exc
    raise DataUnusable(
        f"column {column!r} has a type that no model can use",
        where=where,
        got=str(kind),
        allowed="booleans, integers, decimals, floats, text, dates, times",
        fix=_FIX_TYPE,
    )


def utc(array: pa.Array, zone: str) -> pa.Array:
    """Return timestamps of any unit and zone as UTC microseconds; finer digits are cut off.

    Times without a zone are wall-clock times of `zone`. One that the clock showed twice (the end of
    daylight saving) is the first of the two; one that it skipped (its start) is the instant at which
    the clock jumped.
    """
    finer = array.type.unit == "ns"
    array = array.cast(pa.timestamp("us", array.type.tz), safe=not finer)
    if array.type.tz is None:
        array = pc.assume_timezone(array, zone, ambiguous="earliest", nonexistent="latest")
    return array.cast(TIME)


def _without_nan(array: pa.Array) -> pa.Array:
    nan = pc.is_nan(array)
    return pc.if_else(nan, pa.scalar(None, FLOAT), array) if pc.any(nan).as_py() else array


class ColumnsSoFar:
    """The schema of a stream of batches, as far as it came."""

    def __init__(self) -> None:
        self._types: dict[str, pa.DataType] = {}
        self._examples: dict[str, str] = {}

    def add(self, batch: pa.RecordBatch, where: str) -> pa.Schema:
        """Return the schema that holds this batch and all before it.

        Raises:
            DataUnusable: a column is new, lost or of mixed types, with an example of each type.
        """
        self._check_names(batch.schema.names, where)
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            before = self._types.get(name, NULL)
            both = wider(before, array.type)
            if both is None:
                example = self._examples.get(name, _NONE_YET)
                raise DataUnusable(
                    f"column {name!r} holds mixed types: {before}, such as {example}, "
                    f"and {array.type}, such as {_example(array)}",
                    where=where,
                    fix="give the column one type in the source",
                )
            self._types[name] = both
            if name not in self._examples and array.null_count < len(array):
                self._examples[name] = _example(array)
        return pa.schema(list(self._types.items()))

    def _check_names(self, names: list[str], where: str) -> None:
        if self._types and set(names) != set(self._types):
            lost, new = sorted(self._types.keys() - set(names)), sorted(set(names) - self._types.keys())
            raise DataUnusable(
                "the columns are not those of the rows before",
                where=where,
                got=f"without {lost}, with {new}",
                allowed=", ".join(self._types),
                fix="read rows of one shape, or leave the odd file out",
            )


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch with the columns of `schema`, in its order and its wider types.

    Raises:
        DataUnusable: an integer that no float64 equals, in a column that also holds fractions.
    """
    arrays = []
    for field in schema:
        try:
            arrays.append(batch.column(field.name).cast(field.type))
        except pa.ArrowInvalid as exc:
            raise DataUnusable(
                f"column {field.name!r} holds both fractions and integers beyond 2**53, "
                f"which no float64 equals: {bounded(str(exc), 200)}",
                fix="round the column or make it text in the source",
            ) from exc
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _example(array: pa.Array) -> str:
    known = array.drop_null()
    return bounded(known[0].as_py(), 100) if len(known) else _NONE_YET
