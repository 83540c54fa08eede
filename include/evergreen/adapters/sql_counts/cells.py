"""The number of the cell that a column's value is counted in, as an expression for PostgreSQL.

Edges and categories are bound. Numbers are searched for among rising thresholds and text among the
categories, byte by byte, whatever the column's collation.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from evergreen.adapters.sql_counts.columns import BPCHAR, NUMERIC, REAL, Found
from evergreen.adapters.sql_counts.instants import Times
from evergreen.column_kinds import kind_of
from evergreen.column_types import BOOL, INT, NULL
from evergreen.profiles.layout import Cells

Expression = sa.ColumnElement[Any]

_LARGEST = sys.float_info.max
# Beyond these a decimal is infinite, or nothing, as the nearest double.
_INFINITE_FROM = Decimal(2) ** 1024 - Decimal(2) ** 970
_NOTHING_UNTIL = Decimal(2) ** -1075


def cell_of(cells: Cells, found: Found, times: Times) -> Expression:
    """Return the number of the cell, NULL for a value that is not read at all.

    Args:
        cells: The column's cells.
        found: The column, of a type that is readable as theirs.
        times: How times are read.
    """
    if found.type == NULL:
        return sa.literal(0)
    match cells.kind:
        case "number":
            return _reached(number_of(found), thresholds(cells.edges))
        case "text":
            length = sa.cast(sa.func.char_length(text_of(found)), sa.Double)
            return _reached(length, thresholds(cells.edges))
        case "instant":
            parts = len(cells.calendar) // 7 if kind_of(cells.type) == "instant" else 1
            return times.cell(found, parts)
        case "category" if found.type == BOOL:
            return sa.case((found.column.is_(None), 0), (found.column, 2), else_=1)
        case "category":
            text = text_of(found)
            return sa.case((text.is_(None), 0), else_=place_of(text, cells.categories))


def thresholds(edges: Sequence[float]) -> list[float]:
    """Return what a number is compared with: as many as it reaches, the number of its cell.

    >>> thresholds((0.0, 1.0))[2:4]
    [0.0, 1.0000000000000002]
    """
    ends = [*edges[:-1], math.nextafter(edges[-1], math.inf)] if edges else [-_LARGEST]
    return [-math.inf, -_LARGEST, *ends, math.inf]


def number_of(found: Found) -> Expression:
    """Return a number or boolean as the double that it is read as; NULL where it is missing or NaN."""
    column = found.column
    if found.type == NULL:
        return sa.cast(None, sa.Double)
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


def text_of(found: Found) -> Expression:
    """Return text as it is read, compared and ordered byte by byte."""
    whole: Expression = sa.cast(found.column, sa.Text)
    if found.oid == BPCHAR:  # a cast would strip its blanks
        whole = sa.case((found.column.is_not(None), sa.func.concat(found.column)))
    return sa.collate(whole, "C")


def place_of(text: Expression, names: Sequence[str]) -> Expression:
    """Return a text's place among the names from 1 on; one more than there are for any other."""
    possible = [None if "\0" in name else name for name in names]
    known = sa.literal(possible, postgresql.ARRAY(sa.Text))
    return sa.func.coalesce(sa.func.array_position(known, text), len(names) + 1)


def _reached(number: Expression, rising: Sequence[float]) -> Expression:
    """Return how many of the rising values a number reaches; 0 where it is NULL."""
    values = sa.literal(list(rising), postgresql.ARRAY(sa.Double))
    return sa.func.coalesce(sa.func.width_bucket(number, values), 0)
