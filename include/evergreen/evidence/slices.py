"""The parts of the test rows that must not be harmed, each with its own paired difference.

A column is encoded once and its rows are put in order once: each slice is a run of that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from evergreen.comparison import Difference, Slice
from evergreen.evidence.column_codes import (
    MISSING,
    ColumnCodes,
    distinct_values,
    encoded,
    plain_values,
    shown,
)
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.paired import difference, relative_margin
from evergreen.gate_spec import BinnedColumn, Gate

MOST_SINGLE_NUMBERS = 20
"""Numbers of more distinct values than this are cut into bins."""
DEFAULT_BINS = 4
MOST_TEXTS = 1000
MOST_JUDGED = 200
"""How many slices of one column are judged: each stands in the ledger for good."""
MOST_SMALL = 50
"""How many slices that are too small are listed by name."""


class _NotSliced(Exception):
    """The column cannot be cut into slices; the message is a sentence that says why."""


def judged_slices(
    gate: Gate,
    rows: JudgedRows,
    columns: Mapping[str, pa.ChunkedArray],
    challenger: np.ndarray,
    champion: np.ndarray | None,
) -> tuple[tuple[Slice, ...], tuple[str, ...]]:
    """Return the slices of each column of `gate.slices`, and the columns that cannot be sliced.

    Text, booleans and numbers of at most 20 distinct values give a slice per value, with null as a
    value of its own ("missing"). Other numbers are cut into bins of equally many rows, four unless the
    gate says otherwise; there are fewer where equal values would have to be torn apart. A slice of
    fewer rows than `slice_rule.min_rows` has no difference; the 50 largest of those are listed for each
    column, and one more entry holds the rest.

    The differences allow for the noise of a relative margin, as the gate's own does.

    Args:
        gate: Columns, margin, confidence and least sizes.
        rows: Truth, clusters and weights.
        columns: The columns' values for exactly these rows, as far as the data has them.
        challenger: Predictions `(n_rows, n_classes)` or `(n_rows,)`.
        champion: The same of the champion; None: nothing is compared, and columns are looked at only.

    Returns:
        The slices, without verdicts, and a sentence for each column that could not be sliced.
    """
    slices: list[Slice] = []
    problems: list[str] = []
    pair = None if champion is None else _Pair(gate, rows, challenger, champion)
    for chosen in gate.slices:
        name, bins = (chosen.column, chosen.bins) if isinstance(chosen, BinnedColumn) else (chosen, None)
        try:
            parts = _cut(name, columns, bins)
            _check_number(name, parts, gate.slice_rule.min_rows)
        except _NotSliced as why:
            problems.append(str(why))
        else:
            slices += [] if pair is None else _slices(name, parts, pair)
    return tuple(slices), tuple(problems)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """What is compared within each slice."""

    gate: Gate
    rows: JudgedRows
    challenger: np.ndarray
    champion: np.ndarray

    def difference(self, chosen: np.ndarray) -> Difference:
        """Return the difference on the rows of these positions."""
        gate = self.gate
        return difference(
            gate.metric,
            self.rows.only(chosen),
            self.challenger[chosen],
            self.champion[chosen],
            confidence=gate.confidence,
            min_clusters=gate.min_clusters,
            relative=relative_margin(gate, gate.slice_rule.margin or gate.margin, "non_inferiority"),
        )


def _slices(column: str, parts: ColumnCodes, pair: _Pair) -> Iterator[Slice]:
    """Yield the slices that are judged, in the order of values, then the small ones, largest first."""
    counts = parts.rows
    order = np.argsort(parts.codes, kind="stable")
    ends = np.cumsum(counts)
    large = counts >= pair.gate.slice_rule.min_rows
    for part in np.flatnonzero(large):
        chosen = order[ends[part] - counts[part] : ends[part]]
        yield Slice(column, parts.names[part], int(counts[part]), pair.difference(chosen))
    small = sorted(np.flatnonzero(~large & (counts > 0)), key=lambda part: -counts[part])
    for part in small[:MOST_SMALL]:
        yield Slice(column, parts.names[part], int(counts[part]), difference=None)
    rest = small[MOST_SMALL:]
    if rest:
        more = f"and {len(rest):,} more value{'s' if len(rest) > 1 else ''}"
        yield Slice(column, more, int(counts[rest].sum()), difference=None)


def _check_number(name: str, parts: ColumnCodes, min_rows: int) -> None:
    large = int((parts.rows >= min_rows).sum())
    if large > MOST_JUDGED:
        raise _NotSliced(
            f"gate.slices names {name!r}, of which {large:,} values are large enough to be judged; at "
            f"most {MOST_JUDGED} are: choose a coarser column, or raise gate.slice_rule.min_rows."
        )


def _cut(name: str, columns: Mapping[str, pa.ChunkedArray], bins: int | None) -> ColumnCodes:
    """Return each row's slice.

    Raises:
        _NotSliced: the data lacks the column, or it is of a kind or of so many values that no slices
            can be made of it.
    """
    where = f"gate.slices names {name!r}"
    if name not in columns:
        raise _NotSliced(
            f"{where}, which the data does not have: let the query return it, or leave it out."
        )
    column = plain_values(columns[name])
    kind = column.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (number or text or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise _NotSliced(
            f"{where}, which is of type {kind} and neither text nor booleans nor numbers: let the query "
            "return such a column, such as the weekday of a time."
        )
    if bins is not None and (text or pa.types.is_boolean(kind)):
        raise _NotSliced(
            f"{where} with bins, but it holds {'text' if text else 'booleans'}; only numbers can be cut "
            "into bins: name the column alone."
        )
    distinct = distinct_values(column)
    if number and (bins is not None or distinct > MOST_SINGLE_NUMBERS):
        return _binned(column, bins or DEFAULT_BINS)
    if distinct > MOST_TEXTS:
        raise _NotSliced(
            f"{where}, which has {distinct:,} distinct values, and at most {MOST_TEXTS:,} can be judged "
            "one by one: choose a coarser column."
        )
    return encoded(column)


def _binned(column: pa.ChunkedArray, bins: int) -> ColumnCodes:
    """Cut numbers into half-open bins [from, to) of equally many rows; null is "missing"."""
    there = np.asarray(column.is_valid())
    numbers = column.drop_null().to_numpy()
    cuts = _cuts(np.sort(numbers), bins)
    codes = np.full(len(column), len(cuts) + 1, dtype=np.int64)
    codes[there] = np.searchsorted(cuts, numbers, side="right")
    names = _bin_names(cuts)
    return ColumnCodes(codes, names if there.all() else (*names, MISSING))


def _cuts(ordered: np.ndarray, bins: int) -> np.ndarray:
    """Return where bins begin: values that occur, rounded as far as that moves few rows.

    A cut is the first value of its bin, so the rows of one value share a bin.
    """
    if not len(ordered):
        return np.asarray(ordered)
    places = -(-np.arange(1, bins) * len(ordered) // bins)
    cuts: np.ndarray = np.unique(ordered[np.minimum(places, len(ordered) - 1)])
    cuts = cuts[cuts > ordered[0]]
    if not np.issubdtype(cuts.dtype, np.floating) or not np.isfinite(cuts).all():
        return cuts
    exact = np.searchsorted(ordered, cuts)
    for digits in range(2, 17):
        rounded = np.array([float(f"{cut:.{digits}g}") for cut in cuts], dtype=cuts.dtype)
        moved = np.abs(np.searchsorted(ordered, rounded) - exact).max(initial=0)
        if moved * 100 <= len(ordered) / bins and len(np.unique(rounded)) == len(cuts):
            return rounded
    return cuts


def _bin_names(cuts: np.ndarray) -> tuple[str, ...]:
    """Return the names of the bins between cuts.

    >>> _bin_names(np.array([200, 500]))
    ('below 200', '200 to 500', '500 and more')
    """
    if not len(cuts):
        return ("all values",)
    edges = [shown(cut.item()) for cut in cuts]
    between = [f"{low} to {high}" for low, high in pairwise(edges)]
    return (f"below {edges[0]}", *between, f"{edges[-1]} and more")
