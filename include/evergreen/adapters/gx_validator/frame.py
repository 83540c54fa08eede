"""Turns Arrow rows into the pandas frame that Great Expectations judges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_LARGEST_EXACT_FLOAT = 2**53


def to_frame(rows: pa.Table) -> pd.DataFrame:
    """Return the rows as pandas, `(n_rows, n_columns)`, numbered from 0.

    Whole numbers with nulls become floats, or Python integers where a float would round them:
    pandas' own nullable integers break the library's comparisons. Dictionaries become their values.

    Raises:
        pyarrow.ArrowException: values that pandas cannot hold.
    """
    import pandas as pd

    series = {number: _series(column) for number, column in enumerate(rows.columns)}
    frame = pd.DataFrame(series, index=pd.RangeIndex(rows.num_rows), copy=False)
    frame.columns = pd.Index(rows.column_names)
    return frame


def _series(column: pa.ChunkedArray) -> pd.Series[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    exact = False
    if pa.types.is_integer(column.type) and column.null_count:
        ends = pc.min_max(column).as_py()
        exact = any(end is not None and abs(end) > _LARGEST_EXACT_FLOAT for end in ends.values())
    series: pd.Series[Any] = column.to_pandas(integer_object_nulls=exact)
    return series
