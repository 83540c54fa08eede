"""How each column of the training rows will be counted from now on.

Numbers get about as many bins as asked for, of equal frequency; where one value is so frequent that it
would fill bins of its own, it has one to itself. Text is counted by category, unless nearly every row
has another: then by length. Needs all rows of a column at once, one column at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_kinds import kind_of
from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.reading import calendar_of, lengths_of, numbers_of, plain
from evergreen.results import ColumnType
from evergreen.watch_results import CellKind

ROWS_A_BIN = 5
"""Fewer rows than this in a bin say nothing, so that few rows have few bins."""
FEW_CATEGORIES = 20
"""So many categories are counted one by one, however few rows there are."""
COVERED = 0.2
"""The share of rows that the most frequent categories must cover for the others to be one cell."""


def lay_out(
    rows: pa.Table, features: Sequence[ColumnType], *, bins: int = 20, most_categories: int = 100
) -> Layout:
    """Return the cells of the features; the same values in any order give the same cells.

    Args:
        rows: The baseline's rows, with a column for each feature.
        features: What to count, and its Arrow type.
        bins: How many bins numbers and lengths get where their values allow it; at least 1.
        most_categories: How many categories of one column are counted one by one at most.
    """
    return Layout(
        tuple(_cells(rows.column(feature.name), feature, bins, most_categories) for feature in features)
    )


def _cells(column: pa.ChunkedArray, feature: ColumnType, bins: int, most: int) -> Cells:
    calendar = calendar_of(feature.type)
    if calendar:
        return Cells(feature.name, "instant", feature.type, calendar=calendar)
    match kind_of(feature.type):
        case "flag":
            return Cells(feature.name, "category", feature.type, categories=("false", "true"))
        case "text":
            return _text(column, feature, bins, most)
        case _:
            return _binned(feature, "number", _joined(column, numbers_of), bins)


def _text(column: pa.ChunkedArray, feature: ColumnType, bins: int, most: int) -> Cells:
    found = pc.value_counts(plain(column).drop_null())
    counts = found.field("counts").to_numpy()
    rows, distinct = int(counts.sum()), len(counts)
    falling = -np.sort(-counts)
    if distinct > max(FEW_CATEGORIES, rows / 2) or falling[:most].sum() < COVERED * rows:
        return _binned(feature, "text", _joined(column, lengths_of), bins)
    # Equals at the cut go by their name, so all that are as frequent as the last one are looked at.
    frequent = found.filter(pa.array(counts >= falling[:most].min(initial=rows)))
    ranked = sorted(
        zip(frequent.field("values").to_pylist(), frequent.field("counts").to_pylist(), strict=True),
        key=lambda each: (-each[1], each[0]),
    )
    names = tuple(name for name, _ in ranked[:most])
    return Cells(feature.name, "category", feature.type, categories=names, whole=distinct <= most)


def _binned(feature: ColumnType, kind: CellKind, values: np.ndarray, bins: int) -> Cells:
    """Return bins for values `(n_rows,)`; there are none where no value is finite."""
    values = np.sort(values[np.isfinite(values)]) + 0.0  # -0.0 and 0.0 are one value
    if not len(values):
        return Cells(feature.name, kind, feature.type, centres=(0.0, 0.0))
    starts = _starts(values, max(1, min(bins, len(values) // ROWS_A_BIN)))
    low, high = float(values[0]), float(values[-1])
    ends = np.append(starts[1:], len(values))
    within = [_mean(values[start:end]) for start, end in zip(starts, ends, strict=True)]
    return Cells(
        feature.name,
        kind,
        feature.type,
        edges=(*map(float, values[starts]), high),
        centres=(low, *within, high),
        scale=_deviation(values),
    )


def _starts(values: np.ndarray, bins: int) -> np.ndarray:
    """Return where in the sorted values each bin begins, so that equal values share a bin.

    A quantile that falls among equal values goes to the nearer end of them.
    """
    ranks = np.arange(1, bins) * len(values) // bins
    first = np.searchsorted(values, values[ranks], "left")
    last = np.searchsorted(values, values[ranks], "right")
    nearer = np.where(ranks - first <= last - ranks, first, last)
    few = _distinct_starts(values, bins)
    starts = np.unique(np.append(0, nearer)) if few is None else few
    return starts[starts < len(values)]


def _distinct_starts(values: np.ndarray, most: int) -> np.ndarray | None:
    """Return where each distinct value begins, None where there are more than so many."""
    starts = [0]
    while len(starts) <= most:
        after = int(np.searchsorted(values, values[starts[-1]], "right"))
        if after == len(values):
            return np.array(starts)
        starts.append(after)
    return None


def _joined(column: pa.ChunkedArray, read: Callable[[pa.Array], np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0), *(read(chunk) for chunk in column.chunks)])


def _mean(values: np.ndarray) -> float:
    """Return the mean, which lies between the least and the greatest even where their sum overflows."""
    low, high = float(values[0]), float(values[-1])
    with np.errstate(over="ignore"):
        mean = float(values.mean())
        if not np.isfinite(mean):
            mean = float((values / len(values)).sum())
    return min(max(mean, low), high)


def _deviation(values: np.ndarray) -> float:
    """Return the standard deviation; at most the greatest float."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = float(values.std())
        if not np.isfinite(found):
            largest = float(np.abs(values).max())
            found = float((values / largest).std() * largest)
    return min(found, float(np.finfo(float).max)) if values[0] < values[-1] else 0.0
