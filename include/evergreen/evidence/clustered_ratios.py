"""Weighted means of parts of the rows, with a covariance that allows for rows that are alike.

The mean of a part is a ratio of two sums over clusters (Cochran, Sampling Techniques, 1977, chapter 6).
Its error is that of the ratios which leave out one cluster each, the jackknife of
`evidence.intervals.mean_estimate`. Nothing is resampled: a million rows take a fraction of a second, and
the answer has no seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True, slots=True, eq=False)
class ClusteredRatios:
    """The means of `k` parts of the rows.

    Args:
        means: `(k,)`; NaN for a part without weight.
        covariance: `(k, k)` of the means; NaN where a part's clusters count as fewer than two.
        weights: `(k,)` sum of the rows' weights.
        clusters: `(k,)` how many clusters of equal weight the part's are worth (`effective_number`);
            rows of weight 0 do not count.
        rows: `(k,)` how many rows of one weight the part's rows are worth (Kish): (sum w)² / sum w².
    """

    means: np.ndarray
    covariance: np.ndarray
    weights: np.ndarray
    clusters: np.ndarray
    rows: np.ndarray


def clustered_ratios(
    values: np.ndarray,
    weights: np.ndarray | None,
    parts: np.ndarray,
    count: int,
    clusters: np.ndarray,
) -> ClusteredRatios:
    r"""Return the weighted mean of `values` within each part, and the means' covariance.

    With mean $r_j = \sum w v / \sum w$ over part j and, for cluster c,
    $u_{cj} = \sum_{i \in c \cap j} w_i (v_i - r_j) / (W_j - W_{cj})$, W being sums of weights, the
    covariance of parts j and k is $\sum_c u_{cj} u_{ck}$, each $u_{cj}$ times
    $\sqrt{(m_j - 1) / m_j}$ for the part's $m_j$ clusters.

    Args:
        values: `(n_rows,)`.
        weights: `(n_rows,)`, at least 0; None: all 1.
        parts: `(n_rows,)` codes from 0 to `count` - 1; -1 for rows of no part.
        count: How many parts there are.
        clusters: `(n_rows,)` codes from 0.

    >>> found = clustered_ratios(np.array([0.0, 1, 1, 1]), None, np.zeros(4, int), 1, np.arange(4))
    >>> float(found.means[0]), float(found.covariance[0, 0])
    (0.75, 0.0625)
    """
    weighed = np.ones(len(values)) if weights is None else weights
    used = (parts >= 0) & (weighed > 0)
    if not used.all():
        values, weighed, parts, clusters = values[used], weighed[used], parts[used], clusters[used]
    shape = (int(clusters.max(initial=-1)) + 1, count)
    sums = _sums(weighed, clusters, parts, shape)
    totals = np.asarray(sums.sum(axis=0)).reshape(count)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.bincount(parts, weighed * values, count) / totals
        known = np.where(totals > 0, means, 0.0)
        apart = _sums(weighed * (values - known[parts]), clusters, parts, shape)
        seen = np.bincount(sums.indices, minlength=count)
        worth = totals**2 / np.bincount(parts, weighed**2, count)
        effective = np.nan_to_num(totals**2 / np.bincount(sums.indices, sums.data**2, count)).round(9)
        scale = np.where(effective < 2, np.nan, np.sqrt((seen - 1) / seen))
        apart.data /= totals[apart.indices] - sums.data
    covariance = (apart.T @ apart).toarray() * np.outer(scale, scale)
    return ClusteredRatios(means, covariance, totals, effective, worth)


def _sums(
    values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_array:
    """Return the sums of values by row and column."""
    return sparse.coo_array((values, (rows, columns)), shape=shape).tocsr()
