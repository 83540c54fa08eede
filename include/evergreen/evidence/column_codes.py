"""A column as codes: each distinct value gets a number once, so that nobody compares rows again.

Needs pyarrow; decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.text import plain

MISSING = "missing"
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, eq=False)
class ColumnCodes:
    """A column's values as codes `(n_rows,)` into `names`, which are sorted; "missing" is the last.

    `names` hold each value that occurs, as shown to people; nulls and NaN are one value, "missing".
    """

    codes: np.ndarray
    names: tuple[str, ...]

    @property
    def rows(self) -> np.ndarray:
        """How many rows each value has, `(n_names,)`."""
        return np.bincount(self.codes, minlength=len(self.names))


def plain_values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the column without dictionary encoding, decimals as float64 and NaN as null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column


def distinct_values(column: pa.ChunkedArray) -> int:
    """Return how many distinct values a plain column has, null being one."""
    if pa.types.is_null(column.type):
        return min(1, len(column))
    return int(pc.count_distinct(column, mode="all").as_py())


def encoded(column: pa.ChunkedArray) -> ColumnCodes:
    """Encode a column of `plain_values`; values keep their own order, numbers that of numbers.

    >>> column = pa.chunked_array([[10, None, 9]])
    >>> encoded(column).names, encoded(column).codes
    (('9', '10', 'missing'), array([1, 2, 0]))
    """
    codes, values = codes_of(column)
    names = tuple(shown(value) for value in values.to_pylist())
    return ColumnCodes(codes, (*names, MISSING) if column.null_count else names)


def codes_of(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Return codes `(n_rows,)` of a column of `plain_values`, and the sorted values they stand for.

    Null is the code after the last.
    """
    if pa.types.is_null(column.type) or not len(column):
        return np.zeros(len(column), dtype=np.int64), pa.array([], column.type)
    whole = pa.chunked_array(column.chunks, type=column.type).combine_chunks().dictionary_encode()
    if isinstance(whole, pa.ChunkedArray):  # too long for one array
        whole = whole.unify_dictionaries().combine_chunks()
    found = whole.dictionary
    order = np.asarray(pc.sort_indices(found))
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order] = np.arange(len(order))
    rank[-1] = len(order)
    codes = rank[np.asarray(whole.indices.fill_null(len(order)).cast(pa.int64()))]
    return codes, found.take(pa.array(order))


def shown(value: object) -> str:
    """Return a value as people read it; text that could be taken for something else is quoted.

    >>> [shown(value) for value in (None, "missing", "", 1.0, True, "JFK")]
    ['missing', '"missing"', '""', '1', 'True', 'JFK']
    """
    if value is None:
        return MISSING
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    name = plain(value, LONGEST_NAME)
    return f'"{name}"' if isinstance(value, str) and name in ("", MISSING) else name
