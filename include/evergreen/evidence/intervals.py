"""The mean of per-row values, and how far it may be from the truth where rows of a cluster are alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from evergreen.comparison import Interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error and the degrees of freedom of its t distribution.

    `error` and `degrees` are None where fewer than two clusters say nothing about it.
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


def mean_of(values: np.ndarray, weights: np.ndarray | None) -> float:
    """Return the weighted mean of per-row values."""
    return float(values.mean() if weights is None else np.average(values, weights=weights))


def mean_estimate(
    values: np.ndarray, clusters: np.ndarray | None, weights: np.ndarray | None = None
) -> Estimate:
    """Return the weighted mean of per-row values with its cluster-robust standard error.

    With G clusters, weights w and residuals e = v - mean, the variance of the mean is
    G/(G-1) · sum over clusters of (sum of w·e)² / (sum of w)², with G-1 degrees of freedom (Liang and
    Zeger 1986, for an intercept alone). With a cluster per row and equal weights it is the t-test's.

    Args:
        values: `(n_rows,)`.
        clusters: `(n_rows,)` codes of at least 0; None: every row stands for itself.
        weights: `(n_rows,)`, or None where all rows count alike.

    >>> mean_estimate(np.array([1.0, 2.0, 3.0, 6.0]), np.array([0, 0, 1, 1]))
    Estimate(value=3.0, error=1.5, degrees=1.0)
    """
    mean = mean_of(values, weights)
    residuals = values - mean if weights is None else weights * (values - mean)
    total = len(values) if weights is None else float(weights.sum())
    sums = residuals if clusters is None else cluster_sums(clusters, residuals)
    count = len(sums)
    if count < 2:
        return Estimate(mean, None, None)
    error = float(np.sqrt(count / (count - 1) * (sums @ sums)) / total)
    return Estimate(mean, error, float(count - 1))


def mean_interval(
    values: np.ndarray,
    clusters: np.ndarray | None,
    weights: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Return the mean's two-sided, cluster-robust t interval, None below two clusters.

    >>> str(mean_interval(np.array([1.0, 2.0, 3.0]), None))
    '+2 (95% interval -0.4841 to +4.484)'
    """
    return mean_estimate(values, clusters, weights).interval(confidence)
