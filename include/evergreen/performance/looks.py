"""How often the worst of several windows becomes bad by chance, in terms of how often one of them is.

An alarm that lasts is one false alarm, so it is its beginnings that are counted. Windows that end on one
day are alike, and so are those of two checks that follow one another.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

from evergreen.performance.natural_days import degrees_of

DRAWS = 2000


@lru_cache(maxsize=1024)
def looks(sizes: tuple[int, ...], proof: int, probability: float, days_between: float) -> float:
    """Return how many alarms begin a check, in units of the windows' p-value at which they begin.

    For independent normal days and with T_i the windows' Student scores, each of which is at least its
    bar h_i with the probability p, the answer is, but for draws,

        sum over i of E[b / number of j with T_j ≥ h_j | T_i ≥ h_i],

    where b is 1 if no window of the check before lay above its bar, else 0 (after Adler, Blanchet and
    Liu, Efficient Monte Carlo for high excursions of Gaussian random fields, 2012). Windows of a day
    or two count for less than 1, for their bars allow for odd days.

    Args:
        sizes: Days in each window, rising; all end on the newest day.
        proof: Days that the level comes from; their mean and spread are estimated.
        probability: p, at most 0.5.
        days_between: From one check to the next; where infinite, every alarm counts as begun.

    >>> print(round(looks((7,), 30, 0.001, np.inf), 1), round(looks((7, 14), 30, 0.001, np.inf), 1))
    1.0 1.7
    >>> each, daily = (looks((1, 2, 4, 7, 14, 28), 30, 0.001, apart) for apart in (np.inf, 1.0))
    >>> print(round(each, 1), round(daily, 1))
    3.3 1.6
    """
    alike = _alike(np.array(sizes, dtype=float), proof, days_between)
    bars = stats.t.isf(probability, degrees_of(proof, np.array(sizes)))
    bars = np.tile(bars, len(alike) // len(sizes))
    count, degrees = len(sizes), proof - 1
    random = np.random.default_rng(0)
    total = 0.0
    for place in range(count):
        beyond = float(stats.t.sf(bars[place], degrees))
        high = stats.t.isf(random.uniform(0, beyond, DRAWS), degrees)
        spread = np.sqrt(random.chisquare(degrees + 1, DRAWS) / (degrees + high**2))
        left = alike - np.outer(alike[:, place], alike[place])
        values, vectors = np.linalg.eigh(left)
        noise = random.standard_normal((DRAWS, len(alike))) * np.sqrt(np.maximum(values, 0.0))
        scores = (high * spread)[:, None] * alike[:, place] + noise @ vectors.T
        above = scores >= bars * spread[:, None]
        above[:, place] = True
        begun = ~above[:, count:].any(axis=1)
        total += beyond / probability * float((begun / above[:, :count].sum(axis=1)).mean())
    return min(total, float(count))


def _alike(days: np.ndarray, proof: int, between: float) -> np.ndarray:
    """Return the correlations of the scores of this check's windows and those of the check before."""
    ends = np.zeros(len(days))
    if np.isfinite(between):
        days, ends = np.tile(days, 2), np.repeat([0.0, -between], len(days))
    starts = ends - days
    shared = np.minimum.outer(ends, ends) - np.maximum.outer(starts, starts)
    covariances = np.maximum(shared, 0.0) / np.outer(days, days) + 1 / proof
    errors = np.sqrt(np.diag(covariances))
    return np.asarray(covariances / np.outer(errors, errors))
