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
LARGEST_UNKNOWN_SHARE = 0.05
_WEIGHTS = "mend the column in the query, or leave data.weight out: then all rows count alike"


def clusters_of(rule: Gate, data: Data, rows: pa.Table, start: datetime) -> tuple[np.ndarray, str]:
    """Return the code of each row's cluster, `(n_rows,)`, and what the clusters are.

    A day is 24 hours counted from `start`, the test window's, so that a window of whole days holds
    whole days. Rows without a value in the column that clusters share one cluster: nobody knows which
    of them are alike.

    Raises:
        DataUnusable: the rows lack the column, or more than 1 in 20 have no value in it.
    """
    if isinstance(rule.cluster, ByColumn):
        return _codes(rows, rule.cluster.column), rule.cluster.column
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


def _codes(rows: pa.Table, name: str) -> np.ndarray:
    from evergreen.evidence.column_codes import codes_of, plain_values  # imports pyarrow

    column = plain_values(_need(rows, name, "gate.cluster"))
    if column.null_count > LARGEST_UNKNOWN_SHARE * len(column):
        raise DataUnusable(
            "too many rows have no value in the column that says which rows may be alike",
            where=f"gate.cluster, column {name!r}",
            got=f"{column.null_count} of {len(column)} rows without one",
            allowed=f"at most {LARGEST_UNKNOWN_SHARE:.0%}",
            fix="fill the column in the query, or cluster by another column or by day",
        )
    return codes_of(column)[0]
