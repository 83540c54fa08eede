"""Windows to which nothing happened, drawn: for distances that are no quadratic form, or few rows."""

from __future__ import annotations

import numpy as np

_DRAWS = 4000
_SEED = 20130101
_MANY = 50.0


def windows(
    counts: np.ndarray, rows: int, shape: np.ndarray, ratios: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the shares of windows of so many rows, `(n_draws, k)`, always the same.

    Args:
        counts: `(k,)`, the baseline's.
        rows: A window's.
        shape: `(k, rank)`, the directions of natural variation at ratio 1.
        ratios: `(n_ratios,)`, how large natural variation may be.
        weights: `(n_ratios,)`, how likely each is; they sum to 1.
    """
    rng = np.random.default_rng(_SEED)
    total = counts.sum()
    at = np.searchsorted(np.cumsum(weights), (np.arange(_DRAWS) + 0.5) / _DRAWS)
    ratio = ratios[np.minimum(at, len(ratios) - 1)]
    nature = rng.standard_normal((_DRAWS, shape.shape[1])) @ shape.T * np.sqrt(ratio)[:, None]
    if (counts.min(initial=_MANY, where=counts > 0) + 0.5) * rows / total >= _MANY:
        sampled = counts / total + _normal(rng, counts / total, 1 / rows + 1 / total)
        return _moved(sampled, nature)
    gammas = rng.standard_gamma(np.broadcast_to(counts + 0.5, (_DRAWS, len(counts))))
    true = _moved(gammas / gammas.sum(axis=1, keepdims=True), nature)
    return rng.multinomial(rows, true) / rows


def _normal(rng: np.random.Generator, shares: np.ndarray, variance: float) -> np.ndarray:
    roots = np.sqrt(shares)
    noise = rng.standard_normal((_DRAWS, len(shares)))
    found: np.ndarray = np.sqrt(variance) * roots * (noise - (noise @ roots)[:, None] * roots)
    return found


def _moved(shares: np.ndarray, nature: np.ndarray) -> np.ndarray:
    """Return shares moved by nature; a move that would leave nothing is not made."""
    moved = np.maximum(shares + nature, 0)
    whole = moved.sum(axis=1, keepdims=True)
    possible = whole > 0
    found: np.ndarray = np.where(possible, moved / np.where(possible, whole, 1.0), shares)
    return found
