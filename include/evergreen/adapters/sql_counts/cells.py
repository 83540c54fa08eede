"""The number of the cell that a column's value is counted in, as an expression."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from evergreen.adapters.sql_counts.columns import Found
from evergreen.adapters.sql_counts.dialects import Dialect, thresholds
from evergreen.adapters.sql_counts.instants import Times
from evergreen.column_kinds import kind_of
from evergreen.column_types import BOOL, NULL
from evergreen.profiles.layout import Cells

Expression = sa.ColumnElement[Any]


def cell_of(cells: Cells, found: Found, dialect: Dialect, times: Times) -> Expression:
    """Return the number of the cell, NULL for a value that is not read at all.

    Args:
        cells: The column's cells.
        found: The column, of a type that is readable as theirs.
        dialect: The database.
        times: How it reads times.
    """
    if found.type == NULL:
        return sa.literal(0)
    match cells.kind:
        case "number":
            return dialect.reached(dialect.number(found), thresholds(cells.edges))
        case "text":
            return dialect.reached(dialect.length(found), thresholds(cells.edges))
        case "instant":
            parts = len(cells.calendar) // 7 if kind_of(cells.type) == "instant" else 1
            return times.cell(found, parts)
        case "category" if found.type == BOOL:
            column = found.column
            return sa.case((column.is_(None), 0), (column, 2), else_=1)
        case "category":
            text = dialect.text(found)
            return sa.case((text.is_(None), 0), else_=dialect.place(text, cells.categories))
