"""A profile: how many rows fell into each cell of a layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from evergreen.profiles.layout import Layout
from evergreen.results import ColumnType

MOST_EXAMPLES = 10


@dataclass(frozen=True, eq=False)
class Profile:
    """Counts of some rows.

    Attributes:
        layout: The cells.
        rows: How many rows were counted.
        counts: `(layout.size,)` int64, the cells of all columns one after another.
        problems: Columns that could not be counted and why (lost, changed type); their cells are 0.
        unseen: Up to `MOST_EXAMPLES` values counted under "other", by column: the first in byte order,
            so that merging is exact.
        columns: The rows' own columns and types, the widest seen.
    """

    layout: Layout
    rows: int
    counts: np.ndarray
    problems: Mapping[str, str] = field(default_factory=dict)
    unseen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: tuple[ColumnType, ...] = ()

    def of(self, column: str) -> np.ndarray:
        """Return the counts of one column's cells."""
        return self.counts[self.layout.places[column]]


def empty(layout: Layout) -> Profile:
    """Return the profile of no rows."""
    return Profile(layout, 0, np.zeros(layout.size, dtype=np.int64))


def merge(first: Profile, second: Profile) -> Profile:
    """Return the profile of the rows of both: exact, associative, commutative.

    A column that could not be counted in one of them is not counted in the sum.

    Raises:
        ValueError: profiles of different layouts.
    """
    return merged((first, second), first.layout)


def merged(profiles: Iterable[Profile], layout: Layout) -> Profile:
    """Return the profile of the rows of all.

    Raises:
        ValueError: profiles of different layouts.
    """
    parts = [profile for profile in profiles if profile.rows or profile.problems or profile.columns]
    if any(part.layout is not layout and part.layout.digest != layout.digest for part in parts):
        raise ValueError("profiles of different layouts cannot be merged")
    if not parts:
        return empty(layout)
    counts: np.ndarray = np.stack([part.counts for part in parts]).sum(axis=0)
    problems: dict[str, str] = {}
    unseen: dict[str, set[str]] = {}
    for part in parts:
        for name, why in part.problems.items():
            problems[name] = min(why, problems.get(name, why))
        for name, values in part.unseen.items():
            unseen.setdefault(name, set()).update(values)
    for name in problems:
        counts[layout.places[name]] = 0
        unseen.pop(name, None)
    return Profile(
        layout,
        sum(part.rows for part in parts),
        counts,
        dict(sorted(problems.items())),
        {name: tuple(sorted(values)[:MOST_EXAMPLES]) for name, values in sorted(unseen.items())},
        widest(part.columns for part in parts),
    )


def replaced(profile: Profile, part: Profile) -> Profile:
    """Return a profile with the columns of `part` counted as there, and as many rows as that."""
    counts = profile.counts.copy()
    for cells in part.layout.cells:
        counts[profile.layout.places[cells.column]] = part.of(cells.column)
    names = {cells.column for cells in part.layout.cells}
    problems = {name: why for name, why in profile.problems.items() if name not in names}
    unseen = {name: values for name, values in profile.unseen.items() if name not in names}
    return Profile(
        profile.layout,
        part.rows,
        counts,
        problems | dict(part.problems),
        unseen | dict(part.unseen),
        part.columns,
    )


def restricted(profile: Profile, layout: Layout) -> Profile:
    """Return the part of a profile that a layout of some of its columns counts."""
    counts: np.ndarray = np.concatenate(
        [np.zeros(0, dtype=np.int64), *(profile.of(cells.column) for cells in layout.cells)]
    )
    names = {cells.column for cells in layout.cells}
    return Profile(
        layout,
        profile.rows,
        counts,
        {name: why for name, why in profile.problems.items() if name in names},
        {name: values for name, values in profile.unseen.items() if name in names},
        profile.columns,
    )


def widest(schemas: Iterable[tuple[ColumnType, ...]]) -> tuple[ColumnType, ...]:
    """Return the columns of all, by name; of several types of one name the first that is not null."""
    types: dict[str, set[str]] = {}
    for schema in {id(each): each for each in schemas}.values():
        for column in schema:
            types.setdefault(column.name, set()).add(column.type)
    return tuple(
        ColumnType(name, min(kinds - {"null"} or kinds)) for name, kinds in sorted(types.items())
    )
