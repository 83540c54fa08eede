"""Place and spread of ordered cells together: Anderson-Darling, and half of it from the middle outwards.

`AD(p, q) + AD(p', q') / 2`, where `p'` and `q'` are the same shares with the cells taken in the order of
their distance from the baseline's median. Anderson-Darling sees that values moved to one side; from the
middle outwards it sees that they drew apart or together, to which it is nearly blind otherwise. Both are
quadratic forms near 0, and so is their sum. It runs from 0 to 6.

Source: Lepage, "A combination of Wilcoxon's and Ansari-Bradley's statistics", Biometrika 58 (1971), for
the sum of a test of place and one of spread.
"""

from __future__ import annotations

import numpy as np

from evergreen.drift.distances import anderson_darling

SPREAD = 0.5
"""What spread weighs beside place: more would cost power where values only move."""


def distance(p: np.ndarray, q: np.ndarray, _positions: np.ndarray | None = None) -> np.ndarray:
    """Return the distance of shares `q`, shape `(..., k)`, to shares `p`, shape `(k,)`.

    >>> print(distance(np.array([0.2, 0.3, 0.3, 0.2]), np.array([0.3, 0.2, 0.2, 0.3])).round(4))
    0.08
    """
    outwards = _outwards(p)
    place = anderson_darling.distance(p, q)
    return place + SPREAD * anderson_darling.distance(p[outwards], q[..., outwards])


def curvature(p: np.ndarray) -> np.ndarray:
    """Return the matrix of the quadratic form that the distance is near 0, for shares above 0."""
    outwards = _outwards(p)
    spread = np.empty((len(p), len(p)))
    spread[np.ix_(outwards, outwards)] = anderson_darling.curvature(p[outwards])
    return anderson_darling.curvature(p) + SPREAD * spread


def _outwards(p: np.ndarray) -> np.ndarray:
    """Return the cells' places by the distance of their middle from the median, the nearest first."""
    order: np.ndarray = np.argsort(np.abs(np.cumsum(p) - p / 2 - p.sum() / 2).round(12), kind="stable")
    return order
