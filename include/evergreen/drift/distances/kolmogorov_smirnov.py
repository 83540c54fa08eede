"""Kolmogorov and Smirnov's distance on ordered cells: `max |G - F|` of the cumulated shares.

It sees as much of the distribution functions as the cells' ends show: at most the distance of the rows
themselves. Defined for empty cells as it stands.

Source: Smirnov, "Table for estimating the goodness of fit of empirical distributions", Ann. Math.
Statist. 19 (1948).
"""

from __future__ import annotations

import numpy as np


def distance(p: np.ndarray, q: np.ndarray, _positions: np.ndarray | None = None) -> np.ndarray:
    """Return the distance of shares `q`, shape `(..., k)`, to shares `p`, shape `(k,)`: 0 to 1.

    >>> print(distance(np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.4, 0.2])).round(4))
    0.3
    """
    found: np.ndarray = np.max(np.abs(np.cumsum(q - p, axis=-1)), axis=-1)
    return found
