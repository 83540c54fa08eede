"""The columns that a logged prediction has besides time, key and features, and which rows' labels join.

The prefix is Evergreen's: a data source may not have columns of these names.
"""

from __future__ import annotations

PREFIX = "evergreen__"
VERSION = f"{PREFIX}version"
"""The version that answered: int64."""
VALUE = f"{PREFIX}prediction"
"""The predicted value of a regression: float64."""


def probability(name: str) -> str:
    """Return the column of a class's probability: float64."""
    return f"{PREFIX}p__{name}"


def prediction_columns(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the prediction's columns: one of each class in their order, or the value's."""
    return tuple(map(probability, classes)) if classes else (VALUE,)


def watched_columns(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the prediction columns that say everything: with two classes the second's is enough.

    >>> watched_columns(("False", "True"))
    ('evergreen__p__True',)
    """
    return prediction_columns(classes)[1:] if len(classes) == 2 else prediction_columns(classes)


def shown(column: str) -> str:
    """Return what people call a column.

    >>> shown("evergreen__p__True"), shown("evergreen__prediction"), shown("fare")
    ('probability of True', 'predicted value', 'fare')
    """
    if column == VALUE:
        return "predicted value"
    head = probability("")
    return f"probability of {column.removeprefix(head)}" if column.startswith(head) else column
