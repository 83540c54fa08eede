"""What rows must have, whatever source they come from: the columns that the model file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evergreen.errors import DataUnusable
from evergreen.names import did_you_mean
from evergreen.spec import Data


def require_columns(found: Sequence[str], data: Data, where: str, *, labelled: bool = True) -> None:
    """Check that every column that the model file names is there, and that no name stands twice.

    An excluded column that is not there may be a misspelt one, which would then be a feature. Rows that
    are not `labelled` are not trained on: they need time and key only.

    Raises:
        DataUnusable: a column is missing (with the columns found) or ambiguous.
    """
    wanted = {
        "data.time_column": data.time_column,
        "data.key": data.key,
    }
    if labelled:
        wanted["data.label.column"] = data.label.column
        wanted |= {f"data.exclude[{place}]": column for place, column in enumerate(data.exclude)}
    for field, column in wanted.items():
        if column not in found:
            raise DataUnusable(
                f"there is no column {column!r}, which {field} names",
                where=where,
                allowed=", ".join(found),
                fix=did_you_mean(column, found) or f"name a column of the data in {field}",
            )
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        raise DataUnusable(
            f"column {twice[0]!r} stands twice",
            where=where,
            allowed="distinct column names",
            fix="rename or leave out one of them",
        )
