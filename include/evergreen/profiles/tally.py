"""Counts the batches of one column into its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.column_kinds import kind_of
from evergreen.profiles.binning import bin_counts, bin_places, bounds_of
from evergreen.profiles.layout import Cells
from evergreen.profiles.profile import MOST_EXAMPLES
from evergreen.profiles.reading import calendar_codes, lengths_of, numbers_of, plain

LONGEST_EXAMPLE = 200
"""Characters; what is longer is cut, and what is equal then is one example."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Which rows of a batch belong to which group.

    Either as few long runs of (group, first row, row after the last), or as a code for every row.
    """

    groups: int
    runs: Sequence[tuple[int, int, int]] = ()
    codes: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Counts `(groups, cells)`, and examples by group of what was counted under "other"."""

    counts: np.ndarray
    unseen: Mapping[int, tuple[str, ...]]


class ColumnTally:
    """Counts batches of a column that is readable as the one laid out."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._bounds = bounds_of(cells.edges)
        self._other = len(cells) - 1
        self._dictionary: pa.Array | None = None
        self._places = np.empty(0, dtype=np.int64)

    def count(self, column: pa.Array, cut: Cut) -> Found:
        """Return the counts of one batch."""
        match self._cells.kind:
            case "number":
                return Found(self._binned(numbers_of(column), cut), {})
            case "text":
                return Found(self._binned(lengths_of(column), cut), {})
            case "instant":
                wanted = kind_of(self._cells.type)
                assert wanted is not None
                return Found(self._by_place(calendar_codes(column, wanted) + 1, cut), {})
            case "category":
                return self._categories(column, cut)

    def _binned(self, values: np.ndarray, cut: Cut) -> np.ndarray:
        if cut.codes is not None:
            return self._by_place(bin_places(values, self._bounds), cut)
        counts = np.zeros((cut.groups, len(self._cells)), dtype=np.int64)
        for group, start, stop in cut.runs:
            counts[group] += bin_counts(values[start:stop], self._bounds)
        return counts

    def _categories(self, column: pa.Array, cut: Cut) -> Found:
        if _is_encoded_text(column.type):
            codes = self._codes(column)
            if cut.codes is None and len(self._places) <= len(codes):
                return self._encoded(codes, cut)
            places = self._places[codes]
        else:
            places = self._place_of(plain(column))
        strange = places == self._other
        unseen = _unseen(column, strange, cut) if strange.any() else {}
        return Found(self._by_place(places, cut), unseen)

    def _codes(self, column: pa.DictionaryArray) -> np.ndarray:
        """Return indices, beyond the dictionary where missing; the dictionary is looked up once."""
        if self._dictionary is None or not _same(self._dictionary, column.dictionary):
            self._dictionary = column.dictionary
            self._places = np.append(self._place_of(column.dictionary), 0)
        indices = column.indices
        if indices.null_count or pa.types.is_uint64(indices.type):
            indices = indices.cast(pa.int64()).fill_null(len(self._places) - 1)
        codes: np.ndarray = indices.to_numpy(zero_copy_only=False)
        return codes

    def _encoded(self, codes: np.ndarray, cut: Cut) -> Found:
        counts = np.zeros((cut.groups, len(self._cells)), dtype=np.int64)
        unseen: dict[int, tuple[str, ...]] = {}
        strange = self._places == self._other
        for group, start, stop in cut.runs:
            by_code = np.bincount(codes[start:stop], minlength=len(self._places))
            np.add.at(counts[group], self._places, by_code)
            met = strange & (by_code > 0)
            if met.any():
                values = self._dictionary.filter(pa.array(met[:-1]))  # type: ignore[union-attr]
                unseen[group] = first_examples((*unseen.get(group, ()), *_examples(values)))
        return Found(counts, unseen)

    def _place_of(self, column: pa.Array) -> np.ndarray:
        """Return each value's cell: 0 where it is missing, the last where it is no known category."""
        if pa.types.is_null(column.type):
            return np.zeros(len(column), dtype=np.int64)
        if pa.types.is_boolean(column.type):
            return np.asarray(np.nan_to_num(numbers_of(column) + 1, nan=0), dtype=np.int64)
        known = pa.array(self._cells.categories, column.type)
        found = pc.index_in(column, value_set=known).fill_null(len(known))
        places: np.ndarray = found.to_numpy(zero_copy_only=False).astype(np.int64) + 1
        if column.null_count:
            places[column.is_null().to_numpy(zero_copy_only=False)] = 0
        return places

    def _by_place(self, places: np.ndarray, cut: Cut) -> np.ndarray:
        size = len(self._cells)
        if cut.codes is not None:
            flat = np.bincount(cut.codes * size + places, minlength=cut.groups * size)
            return flat.reshape(cut.groups, size)
        counts = np.zeros((cut.groups, size), dtype=np.int64)
        for group, start, stop in cut.runs:
            counts[group] += np.bincount(places[start:stop], minlength=size)
        return counts


def first_examples(values: Sequence[str]) -> tuple[str, ...]:
    """Return the first `MOST_EXAMPLES` of the values in byte order, each once."""
    return tuple(sorted(set(values))[:MOST_EXAMPLES])


def _unseen(column: pa.Array, strange: np.ndarray, cut: Cut) -> dict[int, tuple[str, ...]]:
    """Return by group the first of a column's values in rows that are `strange`."""
    unseen: dict[int, tuple[str, ...]] = {}
    if cut.codes is None:
        for group, start, stop in cut.runs:
            found = _examples(plain(column[start:stop].filter(pa.array(strange[start:stop]))))
            if found:
                unseen[group] = first_examples((*unseen.get(group, ()), *found))
        return unseen
    rows = np.flatnonzero(strange)
    rows = rows[np.argsort(cut.codes[rows], kind="stable")]
    groups, starts = np.unique(cut.codes[rows], return_index=True)
    values = plain(column.take(pa.array(rows)))
    for group, start, stop in zip(groups, starts, [*starts[1:], len(rows)], strict=True):
        unseen[int(group)] = _examples(values[start:stop])
    return unseen


def _examples(values: pa.Array) -> tuple[str, ...]:
    distinct = pc.utf8_slice_codeunits(values, 0, LONGEST_EXAMPLE).unique()
    if len(distinct) > MOST_EXAMPLES:
        distinct = distinct.take(pc.bottom_k_unstable(distinct, MOST_EXAMPLES))
    return first_examples(distinct.to_pylist())


def _is_encoded_text(kind: pa.DataType) -> bool:
    return pa.types.is_dictionary(kind) and kind_of(str(kind)) == "text"


def _same(first: pa.Array, second: pa.Array) -> bool:
    """Tell whether two arrays are the same piece of memory, without reading it."""
    return (first.type, first.offset, len(first), _addresses(first)) == (
        second.type,
        second.offset,
        len(second),
        _addresses(second),
    )


def _addresses(array: pa.Array) -> list[int | None]:
    return [None if buffer is None else buffer.address for buffer in array.buffers()]
