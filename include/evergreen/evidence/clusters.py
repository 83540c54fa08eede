"""Which rows may be alike, and how much each counts: what a comparison needs to know of its rows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from evergreen.errors import DataUnusable
from evergreen.gate_spec import ByColumn, Gate
from evergreen.spec import Data

if TYPE_CHECKING:
    import pyarrow as pa

DAY_MICROSECONDS = 24 * 60 * 60 * 1_000_000
_WEIGHTS = "mend the column in the query, or leave data.weight out: then all rows count alike"


def clusters_of(rule: Gate, data: Data, rows: pa.Table, start: datetime) -> tuple[np.ndarray, str]:
    """Return the code of each row's cluster, `(n_rows,)`, and what the clusters are.

    A day is 24 hours counted from `start`, the test window's, so that a window of whole days holds
    whole days. Rows without a value in the column that clusters share one cluster.

    Raises:
        DataUnusable: the rows lack the column.
    """
    if isinstance(rule.cluster, ByColumn):
        column = rule.cluster.column
        return _codes(_need(rows, column, "gate.cluster")), column
    if rule.cluster == "row":
        return np.arange(rows.num_rows), "row"
    times = rows.column(data.time_column).to_numpy().astype("datetime64[us]").astype(np.int64)
    begun = np.datetime64(start.replace(tzinfo=None), "us").astype(np.int64)
    _, codes = np.unique((times - begun) // DAY_MICROSECONDS, return_inverse=True)
    return codes, "day"


def weights_of(data: Data, rows: pa.Table) -> np.ndarray | None:
    """Return how much each row counts, `(n_rows,)`; None where all count alike.

    Raises:
        DataUnusable: the rows lack the column, or it holds something else than numbers of at least 0.
    """
    if data.weight is None:
        return None
    import pyarrow as pa

    column = _need(rows, data.weight, "data.weight")
    try:
        weights = np.asarray(column.cast(pa.float64()).to_numpy(), dtype=float)
    except pa.ArrowInvalid as exc:
        raise DataUnusable(
            "the weights are no numbers",
            where=f"data.weight, column {data.weight!r}",
            got=str(column.type),
            fix=_WEIGHTS,
        ) from exc
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any() or not weights.sum():
        raise DataUnusable(
            "weights that are missing, negative or not finite" if bad.any() else "all weights are 0",
            where=f"data.weight, column {data.weight!r}",
            got=f"{int(bad.sum())} of {len(weights)} rows" if bad.any() else None,
            allowed="numbers of at least 0, not all of them 0",
            fix=_WEIGHTS,
        )
    return weights


def _need(rows: pa.Table, column: str, where: str) -> pa.ChunkedArray:
    if column not in rows.column_names:
        raise DataUnusable(
            "the data lacks a column that the model file names",
            where=where,
            got=column,
            allowed=", ".join(rows.column_names),
            fix="let the query return it",
        )
    return rows.column(column)


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    joined = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.unify_dictionaries().combine_chunks()
    codes: np.ndarray = pc.fill_null(joined.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    _, codes = np.unique(codes, return_inverse=True)
    return codes
