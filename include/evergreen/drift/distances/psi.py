"""Population stability index: `sum((q - p) ln(q / p))`, the symmetric Kullback-Leibler divergence.

A cell empty on one side only counts as if it held `SMALLEST` of the rows, as is the custom (Evidently
does so, too); a cell empty on both sides says nothing.

Source: Jeffreys, "An invariant form for the prior probability in estimation problems", Proc. R. Soc.
Lond. A 186 (1946); Siddiqi, "Credit Risk Scorecards" (2006) for the rule of thumb of 0.1 and 0.25.
"""

from __future__ import annotations

import numpy as np

SMALLEST = 1e-4


def distance(p: np.ndarray, q: np.ndarray, _positions: np.ndarray | None = None) -> np.ndarray:
    """Return the index of shares `q`, shape `(..., k)`, to shares `p`, shape `(k,)`; unbounded.

    >>> print(distance(np.array([0.5, 0.5]), np.array([0.6, 0.4])).round(4))
    0.0405
    """
    none = (p <= 0) & (q <= 0)
    expected = np.where(p > 0, p, SMALLEST)
    found = np.where(q > 0, q, SMALLEST)
    index: np.ndarray = np.sum(
        np.where(none, 0.0, (found - expected) * np.log(found / expected)), axis=-1
    )
    return index


def curvature(p: np.ndarray) -> np.ndarray:
    """Return the matrix of the quadratic form that the index is near 0, for shares above 0."""
    return np.diag(1 / p)
