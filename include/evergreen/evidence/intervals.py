"""The mean of per-row values, and how far it may be from the truth where rows of a cluster are alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from evergreen.comparison import Interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error and the degrees of freedom of its t distribution.

    `error` and `degrees` are None where the clusters count as fewer than two: they say nothing about it.
    """

    value: float
    error: float | None
    degrees: float | None

    def interval(self, confidence: float) -> Interval | None:
        """Return the two-sided t interval."""
        if self.error is None or self.degrees is None:
            return None
        reach = reach_of(self.error, self.degrees, confidence)
        return Interval(self.value, self.value - reach, self.value + reach, confidence)


def reach_of(error: float, degrees: float, confidence: float) -> float:
    """Return how far a two-sided t interval reaches to each side."""
    return float(stats.t.ppf((1 + confidence) / 2, degrees)) * error


def cluster_sums(clusters: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the sum of the values of each cluster that has rows, in the order of the codes."""
    rows = np.bincount(clusters)
    return np.bincount(clusters, weights=values)[rows > 0]


def cluster_weights(clusters: np.ndarray | None, rows: int, weights: np.ndarray | None) -> np.ndarray:
    """Return the sum of weights of each cluster that has any, `(n_clusters,)`, in the order of codes.

    Args:
        clusters: `(n_rows,)` codes of at least 0; None: every row stands for itself.
        rows: How many rows there are.
        weights: `(n_rows,)`, or None where all rows count alike.
    """
    if clusters is not None:
        weights = np.bincount(clusters, weights=weights).astype(float)
    elif weights is None:
        return np.ones(rows)
    return np.asarray(weights[weights > 0])


def effective_number(weights: np.ndarray) -> float:
    """Return how many clusters of equal weight tell as much as these: (sum w)² / sum w² (Kish 1965).

    Where one cluster holds most rows, its luck decides, however many others there are (Carter, Schnepel
    and Steigerwald, Review of Economics and Statistics 99, 2017). 0 where nothing has a weight.

    >>> effective_number(np.array([5.0, 5.0, 5.0, 5.0])), effective_number(np.array([90.0, 5.0, 5.0]))
    (4.0, 1.226993865)
    """
    squares = float(weights @ weights)
    return round(float(weights.sum()) ** 2 / squares, 9) if squares else 0.0


def mean_of(values: np.ndarray, weights: np.ndarray | None) -> float:
    """Return the weighted mean of per-row values."""
    return float(values.mean() if weights is None else np.average(values, weights=weights))


def mean_estimate(
    values: np.ndarray, clusters: np.ndarray | None, weights: np.ndarray | None = None
) -> Estimate:
    """Return the weighted mean of per-row values with its cluster-robust standard error.

    With G clusters, weights w and residuals e = v - mean, let S be a cluster's sum of w·e by the sum of
    all w, and h its share of all w. The variance of the mean is (G-1)/G · sum of (S/(1-h))²: that of
    the means which leave out one cluster each (the jackknife, CV3 in MacKinnon, Nielsen and Webb,
    Journal of Econometrics 232, 2023). It has G* - 1 degrees of freedom, where G* is the clusters'
    `effective_number`. Of clusters of equal size this is Liang and Zeger's (1986) with G - 1; with a
    cluster per row and equal weights it is the t-test's.

    Args:
        values: `(n_rows,)`.
        clusters: `(n_rows,)` codes of at least 0; None: every row stands for itself.
        weights: `(n_rows,)`, or None where all rows count alike.

    >>> mean_estimate(np.array([1.0, 2.0, 3.0, 6.0]), np.array([0, 0, 1, 1]))
    Estimate(value=3.0, error=1.5, degrees=1.0)
    """
    mean = mean_of(values, weights)
    if weights is not None and not weights.all():
        used = weights > 0
        values, weights = values[used], weights[used]
        clusters = None if clusters is None else clusters[used]
    masses = cluster_weights(clusters, len(values), weights)
    count, effective = len(masses), effective_number(masses)
    if effective < 2:
        return Estimate(mean, None, None)
    residuals = values - mean if weights is None else weights * (values - mean)
    sums = residuals if clusters is None else cluster_sums(clusters, residuals)
    left_out = sums / (masses.sum() - masses)
    error = float(np.sqrt((count - 1) / count * (left_out @ left_out)))
    return Estimate(mean, error, effective - 1)


def mean_interval(
    values: np.ndarray,
    clusters: np.ndarray | None,
    weights: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Return the mean's two-sided, cluster-robust t interval, None where it is unknown.

    >>> str(mean_interval(np.array([1.0, 2.0, 3.0]), None))
    '+2 (95% interval -0.4841 to +4.484)'
    """
    return mean_estimate(values, clusters, weights).interval(confidence)
