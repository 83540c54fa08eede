"""Anderson and Darling's distance on ordered cells, as of two samples of one size with ties.

`sum(m_j (G_j - F_j)^2 / (H_j (1 - H_j) - m_j / 4))` with `m = (p + q) / 2` and the distribution
functions `F`, `G`, `H` of `p`, `q`, `m` taken at the middle of each cell's mass. It weighs the tails as
much as the middle, and runs from 0 to 4. Times half of the rows of each of two samples of one size it
is, but for a factor `(N - 1) / N`, the statistic `A^2_akN` of Scholz and Stephens. Defined for empty
cells, which weigh nothing.

Source: Scholz and Stephens, "K-sample Anderson-Darling tests", JASA 82 (1987), equation 7.
"""

from __future__ import annotations

import numpy as np


def distance(p: np.ndarray, q: np.ndarray, _positions: np.ndarray | None = None) -> np.ndarray:
    """Return the distance of shares `q`, shape `(..., k)`, to shares `p`, shape `(k,)`.

    >>> print(distance(np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.4, 0.2])).round(4))
    0.3307
    """
    middle = (p + q) / 2
    apart = _at_middles(q - p) ** 2
    found: np.ndarray = np.sum(apart * _weights(middle), axis=-1)
    return found


def curvature(p: np.ndarray) -> np.ndarray:
    """Return the matrix of the quadratic form that the distance is near 0, for shares above 0."""
    steps = np.tril(np.ones((len(p), len(p)))) - np.eye(len(p)) / 2
    return steps.T @ (_weights(p)[:, None] * steps)


def _at_middles(shares: np.ndarray) -> np.ndarray:
    return np.cumsum(shares, axis=-1) - shares / 2


def _weights(middle: np.ndarray) -> np.ndarray:
    below = _at_middles(middle)
    spread = below * (1 - below) - middle / 4
    # A cell that holds all rows leaves nothing to either side; an empty one weighs nothing.
    usable = (middle > 0) & (spread > 1e-12)
    return np.where(usable, middle / np.where(usable, spread, 1.0), 0.0)
