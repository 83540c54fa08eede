"""Counting rows into profiles in one pass over batches; memory does not grow with rows.

While the columns of a batch are counted on a few threads, the next batch is being read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa

from evergreen.column_kinds import readable_as
from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.profile import Profile, widest
from evergreen.profiles.reading import days_of, plain_type
from evergreen.profiles.tally import ColumnTally, Cut, first_examples
from evergreen.results import ColumnType

MOST_THREADS = 4
_FEW_ROWS = 20_000
"""A batch of fewer is counted at once: handing it to threads takes longer."""
_LONG_RUN = 8_192
"""Rows of one day in a row that are worth being counted by themselves."""


def count(batches: Iterable[pa.RecordBatch], layout: Layout) -> Profile:
    """Return the profile of all rows.

    Args:
        batches: Rows; their columns need neither be those of the layout nor be the same in each. Text
            that is dictionary-encoded is counted as it is, which is fastest.
        layout: The cells.
    """
    found = _Sum(layout)
    _count_all(batches, layout, lambda batch: ([found], batch, Cut(1, ((0, 0, batch.num_rows),))))
    return found.profile()


def count_by_day(
    batches: Iterable[pa.RecordBatch], layout: Layout, time_column: str
) -> dict[date, Profile]:
    """Return the profiles of the rows of each UTC day, in order; rows without a time are left out.

    Each is what `count` gives for the rows of that day. It is fastest where rows come day by day.
    """
    found: dict[date, _Sum] = {}

    def cut(batch: pa.RecordBatch) -> tuple[Sequence[_Sum], pa.RecordBatch, Cut]:
        days = days_of(batch.column(time_column))
        known = ~np.isnat(days)
        if not known.all():
            batch, days = batch.filter(pa.array(known)), days[known]
        distinct, by_day = _cut(days)
        return [found.setdefault(day, _Sum(layout)) for day in distinct], batch, by_day

    _count_all(batches, layout, cut)
    return {day: found[day].profile() for day in sorted(found)}


class _Sum:
    """The counts of rows so far."""

    def __init__(self, layout: Layout) -> None:
        self.rows = 0
        self.counts = np.zeros(layout.size, dtype=np.int64)
        self.problems: dict[str, str] = {}
        self.unseen: dict[str, tuple[str, ...]] = {}
        self.schemas: list[pa.Schema] = []
        self._layout = layout

    def meet(self, schema: pa.Schema, rows: int) -> None:
        self.rows += rows
        if schema not in self.schemas:
            self.schemas.append(schema)

    def add(self, column: str, counts: np.ndarray, unseen: Sequence[str]) -> None:
        self.counts[self._layout.places[column]] += counts
        if unseen:
            self.unseen[column] = first_examples((*self.unseen.get(column, ()), *unseen))

    def refuse(self, column: str, why: str) -> None:
        self.problems[column] = min(why, self.problems.get(column, why))

    def profile(self) -> Profile:
        for column in self.problems:
            self.counts[self._layout.places[column]] = 0
            self.unseen.pop(column, None)
        columns = [_columns_of(schema) for schema in self.schemas]
        return Profile(
            self._layout,
            self.rows,
            self.counts,
            dict(sorted(self.problems.items())),
            dict(sorted(self.unseen.items())),
            widest(columns),
        )


Parted = tuple[Sequence[_Sum], pa.RecordBatch, Cut]


def _count_all(
    batches: Iterable[pa.RecordBatch], layout: Layout, part: Callable[[pa.RecordBatch], Parted]
) -> None:
    """Count every batch into the sums of its groups."""
    tallies = [(cells, ColumnTally(cells)) for cells in layout.cells]
    with _threads() as run:
        for batch in batches:
            if not batch.num_rows:
                continue
            sums, rows, cut = part(batch)
            if not rows.num_rows:
                continue
            for group, number in enumerate(_rows_of(cut)):
                sums[group].meet(rows.schema, int(number))
            run(
                [partial(_count_column, cells, tally, rows, cut, sums) for cells, tally in tallies],
                rows.num_rows < _FEW_ROWS,
            )


def _count_column(
    cells: Cells, tally: ColumnTally, rows: pa.RecordBatch, cut: Cut, sums: Sequence[_Sum]
) -> None:
    places = rows.schema.get_all_field_indices(cells.column)
    problem = _problem(cells, [rows.schema.field(place).type for place in places])
    if problem is not None:
        for each in sums:
            each.refuse(cells.column, problem)
        return
    found = tally.count(rows.column(places[0]), cut)
    for group, each in enumerate(sums):
        each.add(cells.column, found.counts[group], found.unseen.get(group, ()))


def _problem(cells: Cells, types: Sequence[pa.DataType]) -> str | None:
    if not types:
        return "lost: the rows have no such column"
    if len(types) > 1:
        return f"the rows have {len(types)} columns of this name"
    if not readable_as(cells.type, str(types[0])):
        return f"changed its type from {cells.type} to {plain_type(types[0])}"
    return None


@contextmanager
def _threads() -> Iterator[Callable[[Sequence[Callable[[], None]], bool], None]]:
    """Give a function that does work on threads, once the work that it was given before is done.

    Little work it does at once. What goes wrong on a thread is raised by the next call or at the end.
    """
    waiting: list[Future[None]] = []

    def run(work: Sequence[Callable[[], None]], little: bool) -> None:
        _finish(waiting)
        if little:
            for each in work:
                each()
        else:
            waiting.extend(pool.submit(each) for each in work)

    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        yield run
        _finish(waiting)


def _finish(waiting: list[Future[None]]) -> None:
    for each in waiting:
        each.result()
    waiting.clear()


def _cut(days: np.ndarray) -> tuple[list[date], Cut]:
    """Return the days there are, and which row is of which."""
    if not len(days):
        return [], Cut(0)
    ends = np.append(np.flatnonzero(days[1:] != days[:-1]) + 1, len(days))
    starts = np.append(0, ends[:-1])
    if len(days) < _LONG_RUN * len(ends) and len(ends) > 1:
        distinct, codes = np.unique(days, return_inverse=True)
        return distinct.tolist(), Cut(len(distinct), codes=codes)
    distinct, groups = np.unique(days[starts], return_inverse=True)
    runs = zip(groups.tolist(), starts.tolist(), ends.tolist(), strict=True)
    return distinct.tolist(), Cut(len(distinct), tuple(runs))


def _rows_of(cut: Cut) -> np.ndarray:
    """Return how many rows each group has."""
    if cut.codes is not None:
        return np.bincount(cut.codes, minlength=cut.groups)
    numbers = np.zeros(cut.groups, dtype=np.int64)
    for group, start, stop in cut.runs:
        numbers[group] += stop - start
    return numbers


def _columns_of(schema: pa.Schema) -> tuple[ColumnType, ...]:
    return tuple(ColumnType(field.name, str(plain_type(field.type))) for field in schema)
