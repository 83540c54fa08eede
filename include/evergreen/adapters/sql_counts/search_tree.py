"""A search among rising values as an expression: nested comparisons, as few as can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa


def search(
    value: sa.ColumnElement[Any], rising: Sequence[Any], leaves: Sequence[Any]
) -> sa.ColumnElement[Any]:
    """Return `leaves[n]`, n being how many of the rising values the value reaches; the last for NULL.

    Args:
        value: What is looked up.
        rising: Values that the database compares with it.
        leaves: One more than there are rising values.
    """
    if not rising:
        leaf = leaves[0]
        return leaf if isinstance(leaf, sa.ColumnElement) else sa.literal(leaf)
    middle = len(rising) // 2
    return sa.case(
        (value < rising[middle], search(value, rising[:middle], leaves[: middle + 1])),
        else_=search(value, rising[middle + 1 :], leaves[middle + 1 :]),
    )
