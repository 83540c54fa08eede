"""Labels as the models and the gate see them: classes by their text, or numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evergreen.column_kinds import Kind, kind_of
from evergreen.errors import DataUnusable
from evergreen.metric_spec import Task
from evergreen.window import Window

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_CLASSES = 1000
LARGEST_UNLABELLED_SHARE = 0.5

_ALLOWED: Mapping[Task, str] = {
    "classification": "boolean, integer or text",
    "regression": "a number or a boolean",
}


def labelled(rows: pa.Table, column: str) -> pa.Table:
    """Return the rows whose label is known: neither null nor NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    label = rows.column(column)
    known = pc.is_valid(label)
    if pa.types.is_floating(label.type):
        known = pc.and_(known, pc.invert(pc.fill_null(pc.is_nan(label), True)))
    return rows.filter(known)


def in_window(rows: pa.Table, time_column: str, window: Window) -> pa.Table:
    """Return the rows whose time lies in the window."""
    import pyarrow as pa
    import pyarrow.compute as pc

    time = rows.column(time_column)
    start, end = (pa.scalar(edge, time.type) for edge in (window.start, window.end))
    return rows.filter(pc.and_(pc.greater_equal(time, start), pc.less(time, end)))


def labels_of(rows: pa.Table, column: str, task: Task) -> np.ndarray:
    """Return the labels, shape `(n_rows,)`: text for classification, float64 for regression.

    The text of a label is what `str` gives: `True`, `1`, `late`.

    Raises:
        DataUnusable: labels that are missing, infinite or of a type the task cannot learn from.
    """
    import numpy as np
    import pyarrow as pa

    values = rows.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    _check(values, column, task)
    if task == "regression":
        numbers: np.ndarray = values.cast(pa.float64(), safe=False).to_numpy()
        if not np.isfinite(numbers).all():
            raise DataUnusable(
                "labels that are not finite",
                where=f"label {column!r}",
                got=f"{int((~np.isfinite(numbers)).sum())} of {len(numbers)}",
                fix="leave these rows out of the query",
            )
        return numbers
    return np.array([str(value) for value in values.to_pylist()], dtype=str)


def classes_of(labels: np.ndarray, column: str) -> tuple[str, ...]:
    """Return the sorted classes of text labels.

    Raises:
        DataUnusable: fewer than two classes, or so many that the label looks like an identifier.
    """
    import numpy as np

    classes = tuple(str(name) for name in np.unique(labels))
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DataUnusable(
            "the label has one class only" if len(classes) < 2 else "the label has too many classes",
            where=f"train window, label {column!r}",
            got=", ".join(map(repr, classes)) if len(classes) < 2 else len(classes),
            allowed=f"2 to {MOST_CLASSES} classes",
            fix="a longer train window may hold more classes" if len(classes) < 2 else None,
        )
    return classes


def _check(values: pa.ChunkedArray, column: str, task: Task) -> None:
    import pyarrow as pa

    kind = kind_of(str(values.type))
    fits: set[Kind | None] = {"flag", "text"} if task == "classification" else {"flag", "number"}
    if kind not in fits and not (task == "classification" and pa.types.is_integer(values.type)):
        raise DataUnusable(
            f"the label is of a type that {task} cannot learn from",
            where=f"label {column!r}",
            got=str(values.type),
            allowed=_ALLOWED[task],
            fix="convert it in the query, or choose a gate.metric for the other task",
        )
    if values.null_count:
        raise DataUnusable("labels are missing", where=f"label {column!r}", got=values.null_count)
