"""The null distribution of a column with two filled cells, or one: exact, as only one count varies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evergreen.drift.small_cells import beta_binomial

_FAR = 14.0
_MOST_POINTS = 4000


def spread(
    counts: np.ndarray,
    rows: int,
    measure: Callable[[np.ndarray], np.ndarray],
    natural_variances: np.ndarray,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values that the distance may take, rising, and the chance of each.

    The rows of the second cell are beta-binomial with Jeffreys' prior for its share; natural variation
    makes them vary more.

    Args:
        counts: `(2,)`, the baseline's.
        rows: The window's.
        measure: Gives the distances of windows' shares, `(n, 2)`.
        natural_variances: `(n_ratios,)`, of the second cell's share.
        weights: `(n_ratios,)`, how likely each is.
    """
    a, b = counts[1] + 0.5, counts[0] + 0.5
    share = a / (a + b)
    alike = 1 / (a + b + 1) + natural_variances / (share * (1 - share))
    alike = np.minimum(alike, 0.99)
    found = _counts(share, rows, float(alike.max()))
    chance = np.zeros(len(found))
    for weight, correlation in zip(weights, alike, strict=True):
        size = 1 / correlation - 1
        each = beta_binomial(found, rows, share * size, (1 - share) * size)
        chance += weight * each / each.sum()
    values = measure(np.column_stack([1 - found / rows, found / rows]))
    order = np.argsort(values)
    return values[order], chance[order]


def _counts(share: float, rows: int, correlation: float) -> np.ndarray:
    """Return the counts worth looking at: all, or where they are too many, evenly spread ones."""
    reach = _FAR * np.sqrt(rows * share * (1 - share) * (1 + rows * correlation)) + _FAR
    low, high = max(0.0, rows * share - reach), min(float(rows), rows * share + reach)
    step = max(1, int((high - low) / _MOST_POINTS))
    return np.arange(np.floor(low), np.ceil(high) + 1, step)
