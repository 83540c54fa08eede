"""The largest difference of any cell's share: `max |q - p|`. Defined for empty cells as it stands."""

from __future__ import annotations

import numpy as np


def distance(p: np.ndarray, q: np.ndarray, _positions: np.ndarray | None = None) -> np.ndarray:
    """Return the distance of shares `q`, shape `(..., k)`, to shares `p`, shape `(k,)`: 0 to 1.

    Source: Chebyshev's distance, as TensorFlow Data Validation and Vertex AI use it for categories
    (https://www.tensorflow.org/tfx/data_validation/get_started).

    >>> print(distance(np.array([0.5, 0.5]), np.array([0.6, 0.4])).round(4))
    0.1
    """
    found: np.ndarray = np.max(np.abs(q - p), axis=-1)
    return found
