"""Hellinger's distance: `sqrt(sum((sqrt(q) - sqrt(p))^2) / 2)`. Defined for empty cells as it stands.

Source: Hellinger, "Neue Begründung der Theorie quadratischer Formen von unendlichvielen
Veränderlichen", J. reine angew. Math. 136 (1909).
"""

from __future__ import annotations

import numpy as np


def distance(p: np.ndarray, q: np.ndarray, _positions: np.ndarray | None = None) -> np.ndarray:
    """Return the distance of shares `q`, shape `(..., k)`, to shares `p`, shape `(k,)`: 0 to 1.

    >>> print(distance(np.array([0.5, 0.5]), np.array([0.6, 0.4])).round(4))
    0.0712
    """
    found: np.ndarray = np.sqrt(np.sum((np.sqrt(q) - np.sqrt(p)) ** 2, axis=-1) / 2)
    return found


def curvature(p: np.ndarray) -> np.ndarray:
    """Return the matrix of the form that the distance's square is near 0, for shares above 0."""
    return np.diag(1 / (8 * p))
