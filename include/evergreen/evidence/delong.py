"""The area under the ROC curve, and how far two models' areas on the same rows may differ by chance.

DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988) write the area as a mean of *placements*: of a
positive row, the share of negative rows that score below it (ties count half); of a negative row, the
share of positive ones above it. Its variance is that of the placements. Placements come from one sort
(Sun and Xu, IEEE Signal Processing Letters 21, 2014). Where rows of a cluster are alike, placements are
summed within clusters first (Obuchowski, Biometrics 53, 1997).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evergreen.evidence.intervals import Estimate, cluster_sums, effective_number, mean_of


def placements(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return each row's placement, `(n_rows,)`, in 0..1: the mean over positive rows is the area.

    The mean over negative rows is the area, too. With weights, shares and means are weighted.

    Args:
        positive: `(n_rows,)`, a mask with both kinds in it.
        scores: `(n_rows,)`, larger is more positive.
        weights: `(n_rows,)`, or None where all rows count alike.

    >>> placements(np.array([False, True, True]), np.array([0.2, 0.2, 0.9]), None)
    array([0.75, 0.5 , 1.  ])
    """
    order = np.argsort(scores)
    ranked, is_positive = scores[order], positive[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    bounds = np.r_[starts, len(order)]
    mass = np.ones(len(order)) if weights is None else weights[order]
    negatives = _middles(np.where(is_positive, 0.0, mass), bounds)
    positives = _middles(np.where(is_positive, mass, 0.0), bounds)
    found = np.empty(len(order))
    found[order] = np.where(is_positive, negatives, 1 - positives)
    return found


def area_estimate(
    placed: Sequence[tuple[np.ndarray, np.ndarray]],
    clusters: np.ndarray | None,
    weights: np.ndarray | None,
) -> Estimate:
    """Return the mean over classes of areas, or of differences of areas, with its standard error.

    For one class with M positive and N negative rows, let A and B be a cluster's sums of placements
    less their mean over positive rows, by M, and over negative rows, by N, each by 1 less the share of
    those rows that the cluster has. The variance is
    (I₁-1)/I₁·ΣA² + (I₀-1)/I₀·ΣB² + 2·(I-1)/I·ΣAB, where I, I₁ and I₀ count clusters: all, with
    positive and with negative rows. Of clusters with equally many of either kind this is Obuchowski's;
    the shares make it the jackknife of clusters that are unequal, as in `mean_estimate`. With a cluster
    per row AB is 0 and this is DeLong's. Of more classes A and B are summed over classes and divided by
    their number.

    The degrees of freedom are one less than the smallest `effective_number` of clusters of any kind:
    what few positive rows there are, or the few days they fell on, decide how well the error itself is
    known. DeLong's normal interval is the limit for many.

    Args:
        placed: Per class the mask of positive rows and placements (or differences of placements).
        clusters: `(n_rows,)` codes of at least 0; None: every row stands for itself.
        weights: `(n_rows,)`, or None where all rows count alike.
    """
    rows = len(placed[0][0])
    groups = np.arange(rows) if clusters is None else clusters
    values, smallest, extra = [], float(rows), 0.0
    count = int(np.count_nonzero(np.bincount(groups)))
    total = np.zeros(count)
    for positive, each in placed:
        for side in (positive, ~positive):
            mass = side.astype(float) if weights is None else np.where(side, weights, 0.0)
            masses = mass if clusters is None else cluster_sums(groups, mass)
            smallest = min(smallest, effective_number(masses))
            if smallest < 2:
                continue
            with_rows = int(np.count_nonzero(masses))
            whole = masses.sum()
            apart = mass * (each - mass @ each / whole) / len(placed)
            sums = (apart if clusters is None else cluster_sums(groups, apart)) / (whole - masses)
            extra += ((with_rows - 1) / with_rows - (count - 1) / count) * float(sums @ sums)
            total += sums
        values.append(mean_of(each[positive], None if weights is None else weights[positive]))
    value = float(np.mean(values))
    if smallest < 2:
        return Estimate(value, None, None)
    variance = (count - 1) / count * float(total @ total) + extra
    return Estimate(value, float(np.sqrt(max(variance, 0.0))), smallest - 1)


def _middles(mass: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return for each sorted row the share of the mass below its score, half of its equals' included."""
    before = np.concatenate([[0.0], np.cumsum(mass)])
    middles = (before[bounds[:-1]] + before[bounds[1:]]) / (2 * before[-1])
    return middles if len(middles) == len(mass) else np.repeat(middles, np.diff(bounds))
