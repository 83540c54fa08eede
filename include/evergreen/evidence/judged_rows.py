"""The rows that models are judged on: rows of the test window that none of them was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


def class_codes(labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return each label's place in `classes`, `(n_rows,)`, and -1 for a label that is none of them.

    >>> class_codes(np.array(["yes", "maybe", "no"]), ["no", "yes"])
    array([ 1, -1,  0])
    """
    names = np.asarray(classes, dtype=str)
    order = np.argsort(names)
    text = labels.astype(str, copy=False)
    places = order[np.searchsorted(names, text, sorter=order).clip(max=len(names) - 1)]
    return np.where(names[places] == text, places, -1)


@dataclass(frozen=True, slots=True, eq=False)
class JudgedRows:
    """Truth, and what rows belong together. Row i of every array is the same row.

    Args:
        labels: `(n_rows,)`: text for classification, float64 for regression.
        classes: Every class that one of the models knows, sorted; predictions have a column for each,
            in this order. Empty for regression.
        clusters: `(n_rows,)` codes 0, 1, …: rows of one code may be alike.
        clustered_by: What the clusters are: "day", "row" or the name of a column.
        weights: `(n_rows,)` how much each row counts, at least 0 and not all 0; None: all alike.
        codes: `(n_rows,)` each label's `class_codes`; found from the labels where it is left out, once,
            as comparing the text of a million labels takes longer than any metric. Empty for
            regression.
    """

    labels: np.ndarray
    classes: tuple[str, ...]
    clusters: np.ndarray
    clustered_by: str
    weights: np.ndarray | None = None
    codes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if self.classes and len(self.codes) != len(self.labels):
            object.__setattr__(self, "codes", class_codes(self.labels, self.classes))

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, chosen: np.ndarray) -> JudgedRows:
        """Return the rows where `chosen`, a mask `(n_rows,)`, is true."""
        return JudgedRows(
            self.labels[chosen],
            self.classes,
            self.clusters[chosen],
            self.clustered_by,
            None if self.weights is None else self.weights[chosen],
            self.codes[chosen] if self.classes else self.codes,
        )
