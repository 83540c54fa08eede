"""Resampling, for metrics whose difference has no variance formula: average precision, an owner's own.

In the Poisson bootstrap (Chamandy et al., "Estimating uncertainty for massive data streams", 2012)
each cluster's rows count as often as a draw from Poisson(1) says: all rows of a cluster alike, for both
models. The standard error is the spread of the resampled differences, times √(G/(G-1)) for G clusters;
the interval is the t interval of it, with one degree of freedom less than the clusters' effective
number. A cluster of more than 1/G of the rows is drawn with a larger variance than Poisson's, from a
negative binomial law of mean 1: what the jackknife of `mean_estimate` makes of such clusters, the
resamples of a mean show, too. Percentiles know neither correction:
in 1,500 simulated comparisons of average precision over 10 days they held the truth in 89.0%, the t
interval in 93.7% (over 31 days 94.0% and 95.2%, over 500 single rows 94.4% by both).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from evergreen.evidence.intervals import Estimate, effective_number

Statistic = Callable[[np.ndarray], float]

RESAMPLES = 1000
SEED = 0
LARGEST_UNDEFINED_SHARE = 0.05
_ROUNDING = 1e-9


def draws(weights: np.ndarray, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[np.ndarray]:
    """Yield for each resample how often each cluster counts, `(n_clusters,)`; the same on every call.

    The mean is 1. The variance is 1, Poisson's, for a share of all weight of at most 1/G, and for a
    larger share h it is ((1 - 1/G)/(1 - h))².

    Args:
        weights: `(n_clusters,)`, of each cluster, above 0; at least two.
        resamples: How many.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    beyond = ((1 - 1 / len(weights)) / (1 - weights / weights.sum())) ** 2 - 1
    uneven = np.flatnonzero(beyond > _ROUNDING)
    rates = np.ones(len(weights))
    for _ in range(resamples):
        if len(uneven):
            rates[uneven] = rng.gamma(1 / beyond[uneven], beyond[uneven])
        yield rng.poisson(rates).astype(float)


def bootstrap_estimate(
    value: float, statistic: Statistic, weights: np.ndarray, resamples: int = RESAMPLES
) -> Estimate:
    """Return a value with its bootstrapped standard error.

    Args:
        value: The statistic of the rows as they are.
        statistic: Of how often each cluster counts, `(n_clusters,)`; NaN where it is undefined.
        weights: `(n_clusters,)`, the sum of weights of each cluster, above 0.
        resamples: How many resamples are drawn.

    The error is None where the clusters count as fewer than two, and where more than 1 in 20 resamples
    leave the statistic undefined: the rows hold too little of one kind.
    """
    clusters, effective = len(weights), effective_number(weights)
    if effective < 2:
        return Estimate(value, None, None)
    found = np.array([statistic(counts) for counts in draws(weights, resamples)])
    defined = found[np.isfinite(found)]
    if len(defined) < (1 - LARGEST_UNDEFINED_SHARE) * resamples:
        return Estimate(value, None, None)
    error = float(defined.std(ddof=1) * np.sqrt(clusters / (clusters - 1)))
    return Estimate(value, error, effective - 1)


class AveragePrecision:
    """Average precision of one model, sorted once and then weighed as often as one likes.

    It is scikit-learn's: the sum over thresholds of the gain in recall times the precision there, where
    rows of equal score pass a threshold together.
    """

    def __init__(
        self,
        positive: np.ndarray,
        scores: np.ndarray,
        clusters: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        """Sort the rows.

        Args:
            positive: `(n_rows,)`, a mask.
            scores: `(n_rows,)`, larger is more positive.
            clusters: `(n_rows,)`, each row's cluster.
            weights: `(n_rows,)`, or None where all rows count alike.
        """
        order = np.argsort(-scores)
        ranked = scores[order]
        last_of_equals = np.r_[ranked[1:] != ranked[:-1], True]
        threshold = np.r_[0, np.cumsum(last_of_equals)[:-1]]
        self._positive = np.flatnonzero(positive[order])
        used, self._first = np.unique(threshold[self._positive], return_index=True)
        self._ends = np.flatnonzero(last_of_equals)[used]
        self._clusters = clusters[order]
        self._weights = None if weights is None else weights[order]

    def __call__(self, counts: np.ndarray) -> float:
        """Return the value where cluster c counts `counts[c]` times; NaN without a positive row."""
        mass = counts[self._clusters]
        if self._weights is not None:
            mass = mass * self._weights
        gains = np.add.reduceat(mass[self._positive], self._first)
        true, passed = np.cumsum(gains), np.cumsum(mass)[self._ends]
        if not true[-1]:
            return float("nan")
        precision = np.divide(true, passed, out=np.zeros_like(true), where=passed > 0)
        return float(gains @ precision / true[-1])
