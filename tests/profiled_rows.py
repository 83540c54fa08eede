"""Rows of every kind of column, drawn by Hypothesis, and a count of them in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.profile import Profile
from evergreen.results import ColumnType

BEFORE_EPOCH, AFTER_EPOCH = date(1969, 12, 27), date(1970, 1, 9)
words = st.sampled_from(["", "a", "b", "ä", "日本", "late", "x" * 300, "x" * 299 + "y"]) | st.text(
    st.characters(codec="utf-8"), max_size=3
)
numbers = st.sampled_from([0.0, -0.0, 1.0, 2.0, 2.5, -1.0, 1e300, math.nan, math.inf, -math.inf])
instants = st.builds(
    datetime.combine, st.dates(BEFORE_EPOCH, AFTER_EPOCH), st.times(), tzinfo=st.just(UTC)
)
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "number": (pa.float64(), numbers | st.floats()),
    "whole": (pa.int64(), st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1)),
    "flag": (pa.bool_(), st.booleans()),
    "word": (pa.string(), words),
    "instant": (pa.timestamp("us", "UTC"), instants),
    "day": (pa.date32(), st.dates(BEFORE_EPOCH, AFTER_EPOCH)),
    "clock": (pa.time64("us"), st.times()),
    "span": (pa.duration("us"), st.timedeltas(timedelta(days=-2), timedelta(days=2))),
}
FEATURES = tuple(ColumnType(name, str(kind)) for name, (kind, _) in KINDS.items())
SCHEMA = pa.schema(
    [("at", pa.timestamp("us", "UTC")), *((name, kind) for name, (kind, _) in KINDS.items())]
)


@st.composite
def tables(draw: st.DrawFn, most: int = 20) -> pa.Table:
    """Draw rows with a time and a column of each kind, any of which may be missing."""
    rows = draw(st.integers(0, most))
    columns = {"at": draw(st.lists(instants, min_size=rows, max_size=rows))}
    for name, (_, values) in KINDS.items():
        columns[name] = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
    return pa.table(columns, schema=SCHEMA)


@st.composite
def splits(draw: st.DrawFn, table: pa.Table) -> list[pa.RecordBatch]:
    """Draw a way of cutting the rows into batches, some of which encode text in a dictionary."""
    cuts = sorted(draw(st.sets(st.integers(0, table.num_rows))))
    batches = []
    for start, stop in zip([0, *cuts], [*cuts, table.num_rows], strict=True):
        batch = table.slice(start, stop - start).combine_chunks()
        if draw(st.booleans()):
            place = batch.column_names.index("word")
            batch = batch.set_column(place, "word", batch.column("word").dictionary_encode())
        batches.extend(batch.to_batches())
    return batches


def counted_by_hand(table: pa.Table, layout: Layout) -> list[int]:
    """Return the counts of all cells, one value after the other."""
    counts: list[int] = []
    for cells in layout.cells:
        found = Counter(cell_of(value, cells) for value in table.column(cells.column).to_pylist())
        counts.extend(found[place] for place in range(len(cells)))
    return counts


def cell_of(value: Any, cells: Cells) -> int:
    """Return the place of the cell that a value belongs to."""
    if value is None or value != value:
        return 0
    rules: dict[str, Callable[[Any, Cells], int]] = {
        "number": lambda value, cells: _bin_of(_as_number(value), cells.edges),
        "text": lambda value, cells: _bin_of(float(len(value)), cells.edges),
        "category": _category_of,
        "instant": lambda value, cells: 1 + cells.calendar.index(_moment(value)),
    }
    return rules[cells.kind](value, cells)


def same(first: Profile, second: Profile) -> bool:
    """Tell whether two profiles say the same."""
    return (
        first.counts.tolist() == second.counts.tolist()
        and first.rows == second.rows
        and first.problems == second.problems
        and first.unseen == second.unseen
        and first.columns == second.columns
    )


def _as_number(value: Any) -> float:
    return value / timedelta(microseconds=1) if isinstance(value, timedelta) else float(value)


def _bin_of(value: float, edges: tuple[float, ...]) -> int:
    bins = max(len(edges) - 1, 0)
    if math.isinf(value):
        return 1 if value < 0 else 4 + bins
    if not edges or value > edges[-1]:
        return 3 + bins
    if value < edges[0]:
        return 2
    reached = [place for place in range(bins) if value >= edges[place]]
    return 3 + reached[-1]


def _category_of(value: Any, cells: Cells) -> int:
    name = str(value).lower() if isinstance(value, bool) else value
    return 1 + (cells.categories.index(name) if name in cells.categories else len(cells.categories))


def _moment(value: datetime | date | time) -> str:
    if isinstance(value, time):
        return f"{value.hour:02d}:00"
    weekday = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[value.weekday()]
    if not isinstance(value, datetime):
        return weekday
    part = value.hour // 4 * 4
    return f"{weekday} {part:02d}-{part + 4:02d}"
