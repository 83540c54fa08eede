"""How well predicted probabilities match what happened: the calibration error, and the slope."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import linalg, special

from evergreen.comparison import Bin, Calibration, Interval
from evergreen.evidence.clustered_ratios import ClusteredRatios, clustered_ratios
from evergreen.evidence.intervals import cluster_sums, cluster_weights, effective_number, reach_of
from evergreen.evidence.judged_rows import JudgedRows

MOST_BINS = 15
DRAWS = 4000
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Where probabilities are held before their logit is taken, as log-loss holds them."""


def calibration(
    rows: JudgedRows, predictions: np.ndarray, confidence: float, min_clusters: int = 2
) -> Calibration | None:
    """Return how well a classifier's probabilities match the labels.

    With two classes, it is the second one's probability that is looked at. With more, it is the most
    probable class's, and whether it is the label (top-label calibration; Guo et al., On calibration of
    modern neural networks, 2017).

    The *error* is the expected calibration error over up to 15 bins of equal weight, rows of equal
    probability together: the sum over bins of share · |mean probability - share observed|. Taken as
    it is, it is too high, as chance alone moves each bin. The estimate is less its bias, with each
    bin's difference taken as normal (after Kumar, Liang and Ma, Verified uncertainty calibration, 2019);
    where the model is perfectly calibrated, some 0.2 / sqrt(rows per bin) of it are still chance. Its
    interval is a parametric bootstrap with the bins' cluster-robust covariance: the upper end assumes
    that the bins lie where they were seen, the lower end that what chance explains is chance.
    Differences within a bin are not seen.

    The *slope* is that of a logistic regression of the outcome on the probability's logit (Cox 1958):
    1 is right, below 1 the probabilities are too extreme, above 1 too timid. Its interval is by
    Student's t and the linearised jackknife: how far a Newton step moves the slope when a cluster is
    left out (CV3L of MacKinnon, Nielsen and Webb, Cluster-robust jackknife and bootstrap inference for
    logistic regression models, 2024). It is None where it is undefined: one outcome only,
    probabilities that are (nearly) the same, or outcomes that the probability separates.

    Args:
        rows: Truth, clusters and weights; rows of weight 0 do not count.
        predictions: `(n_rows, n_classes)` in the order of `rows.classes`.
        confidence: Of both intervals.
        min_clusters: Fewest clusters anything is said on, by their `effective_number`; at least two.

    Returns:
        None for regression and for rows whose clusters count as fewer.
    """
    if not rows.classes:
        return None
    probabilities, happened = _watched(rows, predictions)
    weights, clusters = rows.weights, rows.clusters
    if weights is not None and not weights.all():
        used = weights > 0
        probabilities, happened, clusters = probabilities[used], happened[used], clusters[used]
        weights = weights[used]
    effective = effective_number(cluster_weights(clusters, len(happened), weights))
    if effective < max(min_clusters, 2):
        return None
    weighed = np.ones(len(happened)) if weights is None else np.asarray(weights, dtype=float)
    parts, apart = _binned(probabilities, happened, weighed, clusters)
    bins = _bins(parts, probabilities, happened, weighed, apart)
    return Calibration(
        error=_error(apart, effective - 1, confidence),
        slope=_slope(probabilities, happened, weighed, clusters, effective - 1, confidence),
        bins=bins,
    )


def _watched(rows: JudgedRows, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability that is looked at in each row, and whether it came true (0 or 1)."""
    if len(rows.classes) == 2:
        return np.ascontiguousarray(predictions[:, 1]), (rows.codes == 1).astype(float)
    best = predictions.argmax(axis=1)
    probabilities = np.take_along_axis(predictions, best[:, None], axis=1)[:, 0]
    return probabilities, (rows.codes == best).astype(float)


def _binned(
    probabilities: np.ndarray, happened: np.ndarray, weights: np.ndarray, clusters: np.ndarray
) -> tuple[np.ndarray, ClusteredRatios]:
    """Return each row's bin and the bins' mean of outcome less probability.

    There are fewer than 15 bins where some would hold rows of hardly more than one cluster.
    """
    order = np.argsort(probabilities, kind="stable")
    ordered, below = probabilities[order], np.cumsum(weights[order])
    for most in range(MOST_BINS, 0, -1):
        shares = np.arange(1, most) / most * below[-1]
        # Sums of weights are rounded: without the tolerance, a row at an edge may fall to either side.
        edges = np.unique(ordered[np.searchsorted(below, shares * (1 - 1e-9))])
        parts = np.searchsorted(edges, probabilities, side="left")
        used = np.bincount(parts, minlength=len(edges) + 1) > 0
        parts = (np.cumsum(used) - 1)[parts]
        apart = clustered_ratios(happened - probabilities, weights, parts, int(used.sum()), clusters)
        if apart.clusters.min() >= 2:
            break
    return parts, apart


def _bins(
    parts: np.ndarray,
    probabilities: np.ndarray,
    happened: np.ndarray,
    weights: np.ndarray,
    apart: ClusteredRatios,
) -> tuple[Bin, ...]:
    rows = np.bincount(parts)
    predicted = np.bincount(parts, weights * probabilities) / apart.weights
    observed = np.bincount(parts, weights * happened) / apart.weights
    return tuple(
        Bin(float(p), float(o), int(n)) for p, o, n in zip(predicted, observed, rows, strict=True)
    )


def _error(apart: ClusteredRatios, degrees: float, confidence: float) -> Interval:
    shares = apart.weights / apart.weights.sum()
    seen = np.abs(apart.means)
    raw = float(shares @ seen)
    variances = np.diagonal(apart.covariance)
    noise = np.sqrt(np.maximum(variances, 0.0))
    estimate = max(0.0, 2 * raw - float(shares @ _folded(seen, noise)))
    moved = _noise(apart.covariance, degrees)
    tails = (1 - confidence) / 2, (1 + confidence) / 2

    def ends(truth: np.ndarray) -> tuple[float, float]:
        errors = np.abs(truth + moved) @ shares - shares @ np.abs(truth)
        low, high = np.quantile(errors, tails)
        return raw - float(high), raw - float(low)

    as_seen = ends(apart.means)
    beyond_chance = ends(np.sign(apart.means) * np.sqrt(np.maximum(seen**2 - variances, 0.0)))
    low = max(0.0, min(as_seen[0], beyond_chance[0], estimate))
    high = min(1.0, max(as_seen[1], beyond_chance[1], estimate))
    return Interval(estimate, low, high, confidence)


def _folded(means: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return E|X| of normal X: with m = mean/noise, noise·sqrt(2/pi)·exp(-m²/2) + mean·erf(m/sqrt 2)."""
    scaled = np.divide(means, noise, out=np.full_like(means, np.inf), where=noise > 0)
    return np.asarray(
        noise * np.sqrt(2 / np.pi) * np.exp(-(scaled**2) / 2) + means * special.erf(scaled / np.sqrt(2))
    )


def _noise(covariance: np.ndarray, degrees: float) -> np.ndarray:
    """Return draws `(DRAWS, k)` of a multivariate t around 0; always the same for the same arguments."""
    random = np.random.default_rng(0)
    values, vectors = np.linalg.eigh(covariance)
    normal = random.standard_normal((DRAWS, len(values)))
    spread = np.sqrt(degrees / random.chisquare(degrees, DRAWS))
    return np.asarray((normal * np.sqrt(np.maximum(values, 0.0))) @ vectors.T * spread[:, None])


def _slope(
    probabilities: np.ndarray,
    happened: np.ndarray,
    weights: np.ndarray,
    clusters: np.ndarray,
    degrees: float,
    confidence: float,
) -> Interval | None:
    held = np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    logits = special.logit(held)
    if _separated(logits, happened):
        return None
    design = np.column_stack([np.ones_like(logits), logits])
    coefficients = _fitted(design, happened, weights)
    if coefficients is None:
        return None
    error = _slope_error(design, happened, weights, clusters, coefficients)
    slope, reach = float(coefficients[1]), reach_of(error, degrees, confidence)
    ends = slope, slope - reach, slope + reach
    return Interval(*ends, confidence) if np.isfinite(ends).all() else None


def _slope_error(
    design: np.ndarray,
    happened: np.ndarray,
    weights: np.ndarray,
    clusters: np.ndarray,
    coefficients: np.ndarray,
) -> float:
    """Return the standard error of the slope; it is not finite where nothing determines it."""
    expected = special.expit(design @ coefficients)
    residuals = weights * (happened - expected)
    scores = np.column_stack([cluster_sums(clusters, residuals * column) for column in design.T])
    steep = weights * expected * (1 - expected)
    ones, logits = design.T
    parts = [cluster_sums(clusters, steep * ones * each) for each in (ones, logits, logits**2)]
    # Without a cluster: its curvature and scores (which add up to 0) are taken off.
    constant, mixed, squared = (part.sum() - part for part in parts)
    with np.errstate(all="ignore"):
        moved = (constant * scores[:, 1] - mixed * scores[:, 0]) / (constant * squared - mixed**2)
        return float(np.sqrt((len(moved) - 1) / len(moved) * (moved @ moved)))


def _fitted(design: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Return constant and slope of the logistic regression without a penalty.

    None where the logits are so nearly the same that they do not determine a slope.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        C=np.inf, solver="newton-cholesky", tol=1e-8, max_iter=100, fit_intercept=False
    )
    with warnings.catch_warnings():
        # Where the start is the answer already, no step improves on it: the solver warns, falls back
        # to another one and gives the right answer.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("error", linalg.LinAlgWarning)
        try:
            model.fit(design, happened, sample_weight=weights)
        except linalg.LinAlgWarning:
            return None
    return np.asarray(model.coef_[0])


def _separated(logits: np.ndarray, happened: np.ndarray) -> bool:
    """Return whether no finite slope fits best, which with one feature is a matter of its order."""
    yes, no = logits[happened == 1], logits[happened == 0]
    if not len(yes) or not len(no):
        return True
    return bool(yes.min() >= no.max() or no.min() >= yes.max())
