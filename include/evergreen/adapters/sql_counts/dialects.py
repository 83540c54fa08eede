"""What PostgreSQL and SQLite each call the same thing: bins, places in a list, lengths, days.

Everything is an expression of SQLAlchemy's; edges, categories and instants are bound. Cells are
numbered as `profiles/layout.py` says, days from the window's first.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from evergreen.adapters.sql_counts.columns import BPCHAR, NUMERIC, REAL, Found
from evergreen.adapters.sql_counts.search_tree import search
from evergreen.column_types import BOOL, INT

Expression = sa.ColumnElement[Any]

_LARGEST = sys.float_info.max
# Beyond these a decimal is infinite, or nothing, as the nearest double.
_INFINITE_FROM = Decimal(2) ** 1024 - Decimal(2) ** 970
_NOTHING_UNTIL = Decimal(2) ** -1075


def thresholds(edges: Sequence[float]) -> list[float]:
    """Return what a number is compared with: as many as it reaches, the number of its cell.

    >>> thresholds((0.0, 1.0))[2:4]
    [0.0, 1.0000000000000002]
    """
    ends = [*edges[:-1], math.nextafter(edges[-1], math.inf)] if edges else [-_LARGEST]
    return [-math.inf, -_LARGEST, *ends, math.inf]


class Dialect(ABC):
    """A database that counts."""

    @abstractmethod
    def number(self, found: Found) -> Expression:
        """Return a number or boolean as a double; NULL where it is missing or NaN."""

    @abstractmethod
    def text(self, found: Found) -> Expression:
        """Return text as it is read when rows are pulled, compared byte by byte."""

    @abstractmethod
    def ordered(self, text: Expression) -> Expression:
        """Return text of a subquery so that it is ordered byte by byte."""

    @abstractmethod
    def length(self, found: Found) -> Expression:
        """Return the number of characters as a double."""

    @abstractmethod
    def reached(self, number: Expression, rising: Sequence[float]) -> Expression:
        """Return how many of the rising values a number reaches; 0 where it is NULL."""

    @abstractmethod
    def place(self, text: Expression, names: Sequence[str]) -> Expression:
        """Return a text's place among the names from 1 on; one more than there are for any other."""

    @abstractmethod
    def grouped(
        self, cells: sa.Select[Any], names: Sequence[str]
    ) -> sa.Select[Any] | sa.CompoundSelect[Any]:
        """Return how often each value of each column of `cells` stands there, one row for each.

        A row has the column's number, the value and the count.
        """


class Postgres(Dialect):
    """PostgreSQL: one pass with a grouping set a column."""

    def number(self, found: Found) -> Expression:
        """Return a number or boolean as a double; NULL where it is missing or NaN."""
        column = found.column
        if found.type == BOOL:
            return sa.case((column.is_(None), None), (column, 1.0), else_=0.0)
        if found.type == INT:
            return sa.cast(column, sa.Double)
        if found.oid == REAL:  # 0.1 is read as 0.1, not as the double nearest to the float
            column = sa.cast(sa.cast(column, sa.Text), sa.Double)
        if found.oid == NUMERIC:
            infinite, nothing = (sa.literal(end, sa.Numeric) for end in (_INFINITE_FROM, _NOTHING_UNTIL))
            column = sa.case(
                (column == sa.cast("NaN", sa.Numeric), None),
                (column >= infinite, sa.cast("Infinity", sa.Double)),
                (column <= -infinite, sa.cast("-Infinity", sa.Double)),
                (sa.and_(column <= nothing, column >= -nothing), 0.0),
                else_=sa.cast(column, sa.Double),
            )
        return sa.func.nullif(column, sa.cast("NaN", sa.Double))

    def text(self, found: Found) -> Expression:
        """Return text as it is read when rows are pulled, compared byte by byte."""
        if found.oid == BPCHAR:  # a cast would strip its blanks
            whole: Expression = sa.case((found.column.is_not(None), sa.func.concat(found.column)))
        else:
            whole = sa.cast(found.column, sa.Text)
        return self.ordered(whole)

    def ordered(self, text: Expression) -> Expression:
        """Return text of a subquery so that it is ordered byte by byte."""
        return sa.collate(text, "C")

    def length(self, found: Found) -> Expression:
        """Return the number of characters as a double."""
        return sa.cast(sa.func.char_length(self.text(found)), sa.Double)

    def reached(self, number: Expression, rising: Sequence[float]) -> Expression:
        """Return how many of the rising values a number reaches; 0 where it is NULL."""
        values = sa.literal(list(rising), postgresql.ARRAY(sa.Double))
        return sa.func.coalesce(sa.func.width_bucket(number, values), 0)

    def place(self, text: Expression, names: Sequence[str]) -> Expression:
        """Return a text's place among the names from 1 on; one more than there are for any other."""
        possible = [None if "\0" in name else name for name in names]
        known = sa.literal(possible, postgresql.ARRAY(sa.Text))
        return sa.func.coalesce(sa.func.array_position(known, text), len(names) + 1)

    def grouped(
        self, cells: sa.Select[Any], names: Sequence[str]
    ) -> sa.Select[Any] | sa.CompoundSelect[Any]:
        """Return how often each value of each column of `cells` stands there, one row for each.

        The offset keeps PostgreSQL from computing a cell once for each place it is used in, and from
        believing that there are as many cells as values.
        """
        rows = cells.offset(0).subquery("evergreen_cells")
        columns = [rows.c[name] for name in names]
        number = sa.case(
            *((column.is_not(None), position) for position, column in enumerate(columns)), else_=None
        )
        sets = sa.func.grouping_sets(*(sa.tuple_(column) for column in columns))
        return sa.select(number, sa.func.coalesce(*columns), sa.func.count()).group_by(sets)


class Sqlite(Dialect):
    """SQLite: one pass computes the cells, then each column is sorted."""

    def number(self, found: Found) -> Expression:
        """Return a number as a double; NULL where it is missing."""
        return sa.cast(found.column, sa.REAL) if found.type == INT else found.column

    def text(self, found: Found) -> Expression:
        """Return text compared byte by byte."""
        return self.ordered(found.column)

    def ordered(self, text: Expression) -> Expression:
        """Return text of a subquery so that it is ordered byte by byte."""
        return sa.collate(text, "BINARY")

    def length(self, found: Found) -> Expression:
        """Return the number of characters."""
        return sa.func.length(found.column)

    def reached(self, number: Expression, rising: Sequence[float]) -> Expression:
        """Return how many of the rising values a number reaches; 0 where it is NULL."""
        return sa.case((number.is_(None), 0), else_=search(number, rising, range(len(rising) + 1)))

    def place(self, text: Expression, names: Sequence[str]) -> Expression:
        """Return a text's place among the names from 1 on; one more than there are for any other."""
        other = sa.literal(len(names) + 1)
        if not names:
            return other
        return sa.case(
            *((text == name, position) for position, name in enumerate(names, start=1)), else_=other
        )

    def grouped(
        self, cells: sa.Select[Any], names: Sequence[str]
    ) -> sa.Select[Any] | sa.CompoundSelect[Any]:
        """Return how often each value of each column of `cells` stands there, one row for each."""
        rows = cells.cte("evergreen_cells")
        columns = [rows.c[name] for name in names]
        return sa.union_all(
            *(
                sa.select(sa.literal(position), column, sa.func.count()).group_by(column)
                for position, column in enumerate(columns)
            )
        )
