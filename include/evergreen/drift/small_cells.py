"""What few rows in rare cells do to a distance that adds up over cells: more than normal variables do.

A cell that held y of the baseline's N rows gets X of the window's n, and X is beta-binomial with
`a = y + 1/2`, `b = N - y + 1/2` (Jeffreys' prior): that is the sampling of both sides at once. What the
cell adds to the distance is a known function of X, so its cumulant generating function is a short sum.
It stands in for the cell's share of the normal approximation. A line is taken out of each cell's
function first, and lines are reckoned for all cells together: as rows add up to n, they partly cancel.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import betaln, gammaln

from evergreen.drift.saddlepoint import Generating, linear

SMALL = 60.0
"""Cells that expect fewer rows are reckoned exactly."""
Terms = Callable[[np.ndarray, np.ndarray], np.ndarray]


def beta_binomial(counts: np.ndarray, size: float, a: float, b: float) -> np.ndarray:
    """Return the chance of so many of `size` rows, from logarithms (scipy's takes 20 times as long)."""
    choose = gammaln(size + 1) - gammaln(counts + 1) - gammaln(size - counts + 1)
    found: np.ndarray = np.exp(choose + betaln(counts + a, size - counts + b) - betaln(a, b))
    return found


def correction(
    counts: np.ndarray, rows: int, terms: Terms, eigenvalue: float, s: np.ndarray
) -> Generating | None:
    """Return what to add to the generating function of the normal approximation; None for nothing.

    Args:
        counts: `(k,)`, the baseline's.
        rows: The window's.
        terms: What each cell adds, from both shares.
        eigenvalue: The one of the normal approximation, which is the same for all its directions.
        s: `(n_points,)`.
    """
    total = float(counts.sum())
    small = np.flatnonzero((counts + 0.5) * rows / total < SMALL)
    if not len(small):
        return None
    slopes = np.zeros(len(counts))
    value, first, second = np.zeros_like(s), np.zeros_like(s), np.zeros_like(s)
    for cell in small:
        added, slopes[cell] = _cell(float(counts[cell]), total, rows, terms, s)
        value, first, second = value + added[0], first + added[1], second + added[2]
        if counts[cell]:
            lam = eigenvalue * (1 - counts[cell] / total)
            left = 1 - 2 * s * lam
            value += 0.5 * np.log(left)
            first -= lam / left
            second -= 2 * (lam / left) ** 2
    shares = counts / total
    variance = float((1 / rows + 1 / total) * (shares @ slopes**2 - (shares @ slopes) ** 2))
    return Generating(s, value, first, second).plus(linear(variance, eigenvalue, s))


def _cell(
    count: float, total: float, rows: int, terms: Terms, s: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], float]:
    """Return a cell's function and its derivatives, less a line, and the line's slope by share."""
    expected = (count + 0.5) * rows / total
    reach = expected + 12 * np.sqrt(expected * (1 + rows / total)) + 25 * (1 + rows / total)
    found = np.arange(min(int(reach), rows) + 1, dtype=float)
    chance = beta_binomial(found, rows, count + 0.5, total - count + 0.5)
    chance /= chance.sum()
    added = terms(np.asarray(count / total), found / rows)
    away = found - chance @ found
    slope = (chance @ (added * away)) / (chance @ away**2)
    added = added - slope * away
    weights = chance * np.exp(s[:, None] * added)
    mass = weights.sum(axis=1)
    mean = weights @ added / mass
    return (np.log(mass), mean, weights @ added**2 / mass - mean**2), float(slope * rows)
