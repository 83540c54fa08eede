"""Wasserstein's distance of first order on ordered cells, in units of the baseline's standard deviation.

`sum(|G_j - F_j| (x_{j+1} - x_j))` of the cumulated shares, where cell j's rows stand at position `x_j`
(already divided by the baseline's standard deviation): how far a row has moved, on average. Defined for
empty cells as it stands; infinite values stand where the outermost finite ones do.

Source: Vallender, "Calculation of the Wasserstein distance between probability distributions on the
line", Theory Probab. Appl. 18 (1974).
"""

from __future__ import annotations

import numpy as np


def distance(p: np.ndarray, q: np.ndarray, positions: np.ndarray | None = None) -> np.ndarray:
    """Return the distance of shares `q`, shape `(..., k)`, to shares `p`, shape `(k,)`; unbounded.

    Raises:
        ValueError: there are no positions.

    >>> print(distance(np.array([0.5, 0.5]), np.array([0.6, 0.4]), np.array([-1.0, 1.0])).round(4))
    0.2
    """
    if positions is None:
        raise ValueError("the Wasserstein distance needs the cells' positions")
    gaps = np.maximum(np.diff(positions), 0)
    found: np.ndarray = np.abs(np.cumsum(q - p, axis=-1)[..., :-1]) @ gaps
    return found
