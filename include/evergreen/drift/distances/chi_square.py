"""Pearson's divergence: `sum((q - p)^2 / p)`. Times the window's rows it is the chi-square statistic.

A cell that was empty in the baseline counts as if it had held `SMALLEST` of its rows, so that a single
row there does not decide alone; a cell empty on both sides says nothing.

Source: Pearson, "On the criterion that a given system of deviations ...", Phil. Mag. 50 (1900).
"""

from __future__ import annotations

import numpy as np

SMALLEST = 1e-4


def distance(p: np.ndarray, q: np.ndarray, _positions: np.ndarray | None = None) -> np.ndarray:
    """Return the divergence of shares `q`, shape `(..., k)`, from shares `p`, shape `(k,)`; unbounded.

    >>> print(distance(np.array([0.5, 0.5]), np.array([0.6, 0.4])).round(4))
    0.04
    """
    found: np.ndarray = np.sum((q - p) ** 2 / np.where(p > 0, p, SMALLEST), axis=-1)
    return found


def curvature(p: np.ndarray) -> np.ndarray:
    """Return the matrix of the quadratic form that the divergence is, for shares above 0."""
    return np.diag(1 / p)
