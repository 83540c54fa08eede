"""The rows that models are judged on: rows of the test window that none of them was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    """

    labels: np.ndarray
    classes: tuple[str, ...]
    clusters: np.ndarray
    clustered_by: str
    weights: np.ndarray | None = None

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
        )
