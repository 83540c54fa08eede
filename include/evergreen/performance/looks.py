"""How much more often the worst of several nested windows is bad than any one of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

DRAWS = 2000


@lru_cache(maxsize=1024)
def looks(sizes: tuple[int, ...], proof: int, probability: float) -> float:
    """Return by what the smallest of the windows' p-values is to be multiplied.

    The windows end on the same day and hold the last 1, 2, 4, 7 … days, so they are alike, and the
    factor is smaller than their number (Bonferroni's). It is exact, but for draws, for independent
    normal days: with T_i the windows' Student scores and h the score of the given p-value, it is
    the mean over i of E[1 / number of T_j ≥ h | T_i ≥ h], times the number of windows (Adler, Blanchet
    and Liu, Efficient Monte Carlo for high excursions of Gaussian random fields, 2012).

    Args:
        sizes: Days in each window, rising.
        proof: Days that the level comes from; their mean and spread are estimated.
        probability: The p-value of one window where the factor is wanted, at most 0.5.

    >>> looks((1,), 30, 0.001)
    1.0
    >>> round(looks((1, 2), 30, 0.001), 1), round(looks((1, 2, 4, 7, 14, 28), 30, 0.001), 1)
    (1.8, 4.5)
    """
    count, degrees = len(sizes), proof - 1
    days = np.array(sizes, dtype=float)
    covariances = 1 / np.maximum.outer(days, days) + 1 / proof
    errors = np.sqrt(np.diag(covariances))
    alike = covariances / np.outer(errors, errors)
    random = np.random.default_rng(0)
    bar = stats.t.isf(probability, degrees)
    total = 0.0
    for place in range(count):
        high = stats.t.isf(random.uniform(0, probability, DRAWS), degrees)
        spread = np.sqrt(random.chisquare(degrees + 1, DRAWS) / (degrees + high**2))
        left = alike - np.outer(alike[:, place], alike[place])
        values, vectors = np.linalg.eigh(left)
        noise = random.standard_normal((DRAWS, count)) * np.sqrt(np.maximum(values, 0.0))
        scores = (high * spread)[:, None] * alike[:, place] + noise @ vectors.T
        above = scores >= (bar * spread)[:, None]
        above[:, place] = True
        total += float((1 / above.sum(axis=1)).mean())
    return min(total, float(count))
