"""Jensen-Shannon distance: the root of `(KL(p || m) + KL(q || m)) / 2` with `m = (p + q) / 2`.

In natural units, so that it ends at `sqrt(ln 2)` = 0.833, as scipy's and Evidently's do. Defined for
empty cells: `0 ln 0` is 0.

Source: Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37 (1991);
Endres and Schindelin, "A new metric for probability distributions", ibid. 49 (2003) for the root.
"""

from __future__ import annotations

import numpy as np
from scipy.special import rel_entr


def distance(p: np.ndarray, q: np.ndarray, _positions: np.ndarray | None = None) -> np.ndarray:
    """Return the distance of shares `q`, shape `(..., k)`, to shares `p`, shape `(k,)`.

    >>> print(distance(np.array([0.5, 0.5]), np.array([0.6, 0.4])).round(4))
    0.0711
    """
    # Rounding may leave a sum of terms of both signs just below 0.
    found: np.ndarray = np.sqrt(np.maximum(np.sum(terms(p, q), axis=-1), 0))
    return found


def terms(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return what each cell adds to the distance's square, shape `(..., k)`."""
    middle = (p + q) / 2
    found: np.ndarray = (rel_entr(p, middle) + rel_entr(q, middle)) / 2
    return found


def curvature(p: np.ndarray) -> np.ndarray:
    """Return the matrix of the form that the distance's square is near 0, for shares above 0."""
    return np.diag(1 / (8 * p))
