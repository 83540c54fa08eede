"""How far two models differ on the same rows, with an interval that fits the metric.

A mean of per-row values has a cluster-robust t interval, the area under the ROC curve DeLong's, and
whatever is neither is resampled. What cannot be judged has no interval, and says why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evergreen.comparison import Difference
from evergreen.errors import DataUnusable
from evergreen.evidence.bootstrap import RESAMPLES, AveragePrecision, Statistic, bootstrap_estimate
from evergreen.evidence.delong import area_estimate, placements
from evergreen.evidence.intervals import Estimate, mean_estimate, mean_of
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.losses import checked, largest_difference
from evergreen.evidence.metrics import MetricUndefined, ranked_classes, row_values, value
from evergreen.evidence.own_metrics import own_resampled
from evergreen.gate_spec import RANKING, Metric, OwnMetric

_ROUNDING = 1e-12
_TOO_LITTLE = "the rows that tell the models apart are too few, or fall into too few clusters"


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two models' predictions on rows that count, and r of a relative margin."""

    metric: Metric
    rows: JudgedRows
    first: np.ndarray
    second: np.ndarray
    relative: float

    @property
    def groups(self) -> np.ndarray | None:
        """Clusters, or None where every row stands for itself."""
        return None if self.rows.clustered_by == "row" else self.rows.clusters

    @property
    def same(self) -> bool:
        """Whether the predictions are the same."""
        return bool(np.array_equal(self.first, self.second))

    def factor(self, other: float) -> float:
        """Return what the second model's metric is multiplied by; its limit is a share of its size."""
        return 1.0 + (self.relative if other >= 0 else -self.relative)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Both models' metrics, the estimate of their (relative) difference, and how it was made."""

    value: float
    other: float
    estimate: Estimate
    method: str
    identical: bool


def difference(
    metric: Metric,
    rows: JudgedRows,
    first: np.ndarray,
    second: np.ndarray,
    *,
    confidence: float,
    min_clusters: int,
    relative: float = 0.0,
) -> Difference:
    """Return the first model's metric less the second's, with its interval.

    Rows of weight 0 are left out and not counted. Nothing is proven, and `problem` says why, on fewer
    clusters than asked for, on rows of one class, and where the metric is undefined. Where the models
    differ, but by the same amount in every cluster, the error is that of two clusters more: one with
    none of the difference and one with twice of it; an interval of no width would say that no row can
    ever be otherwise. For metrics of decisions (error rate, accuracy, cost) two rows more, one for each
    model, differ as far as a row can (the adjusted Wald interval of Bonett and Price, Journal of
    Educational and Behavioral Statistics 37, 2012): few rows that differ prove less than a t interval
    makes of them.

    Args:
        metric: What both are judged by.
        rows: What is true, and what rows belong together.
        first: Predictions `(n_rows, n_classes)`, or `(n_rows,)` for regression.
        second: The other model's.
        confidence: Of the two-sided interval, such as 0.95.
        min_clusters: Fewest clusters anything is proven on.
        relative: r of a margin that is a share of the second's metric: error and reach are then those
            of `first - (1 + r)·second`, about the estimate of `first - second`. Where the second's
            metric is negative it is 1 - r: the margin is a share of its size.

    Raises:
        DataUnusable: predictions or labels that the metric cannot read.
        BadConfiguration: an own metric that is not registered.
    """
    rows, first, second = _counted(rows, first, second)
    clusters = _clusters_of(rows)
    over = f"over {clusters} {_unit(rows, many=True)}"
    problem = _problem(rows, clusters, min_clusters)
    if problem is None:
        try:
            seen = _seen(_Pair(metric, rows, first, second, relative), over)
        except MetricUndefined as exc:
            problem = str(exc)
    if problem is not None:
        ours, theirs = (_value_or_none(metric, rows, each) for each in (first, second))
        same = bool(np.array_equal(first, second))
        return Difference(
            ours, theirs, None, None, None, len(rows), clusters, "none", identical=same, problem=problem
        )
    estimate = replace(seen.estimate, value=seen.value - seen.other)
    return Difference(
        value=seen.value,
        other=seen.other,
        interval=estimate.interval(confidence),
        error=estimate.error,
        degrees=estimate.degrees,
        rows=len(rows),
        clusters=clusters,
        method=seen.method,
        identical=seen.identical,
        problem=_TOO_LITTLE if estimate.error is None else None,
    )


def _counted(
    rows: JudgedRows, first: np.ndarray, second: np.ndarray
) -> tuple[JudgedRows, np.ndarray, np.ndarray]:
    if rows.weights is None or rows.weights.all():
        return rows, first, second
    counted = rows.weights > 0
    return rows.only(counted), checked(rows, first)[counted], checked(rows, second)[counted]


def _clusters_of(rows: JudgedRows) -> int:
    if rows.clustered_by == "row" or not len(rows):
        return len(rows)
    return int(np.count_nonzero(np.bincount(rows.clusters)))


def _problem(rows: JudgedRows, clusters: int, min_clusters: int) -> str | None:
    if not len(rows):
        return "no row counts: there are none, or all weights are 0"
    if rows.classes and rows.codes.min() == rows.codes.max() and len(np.unique(rows.labels)) == 1:
        return (
            f"all {len(rows)} rows have the label {str(rows.labels[0])!r}, and one class proves nothing"
        )
    if clusters >= min_clusters:
        return None
    needed = f"at least {min_clusters} are needed: lengthen data.test_window"
    if rows.clustered_by == "row":
        return f"only {clusters} rows, {needed}"
    needed += ", or state gate.cluster"
    if clusters == 1:
        return f"all test rows fall into one {_unit(rows)}, {needed}"
    return f"only {clusters} {_unit(rows, many=True)}, {needed}"


def _unit(rows: JudgedRows, many: bool = False) -> str:
    if rows.clustered_by in ("day", "row"):
        return f"{rows.clustered_by}s" if many else rows.clustered_by
    return f"{'values' if many else 'value'} of {rows.clustered_by}"


def _value_or_none(metric: Metric, rows: JudgedRows, predictions: np.ndarray) -> float | None:
    try:
        return value(metric, rows, predictions)
    except MetricUndefined:
        return None


def _seen(pair: _Pair, over: str) -> _Seen:
    """Measure by the method that fits the metric."""
    if pair.metric.type in RANKING:
        first, second = checked(pair.rows, pair.first), checked(pair.rows, pair.second)
        pair = replace(pair, first=first, second=second)
    if pair.metric.type == "roc_auc":
        seen = _by_ranks(pair, over)
    elif pair.metric.type == "average_precision":
        seen = _of_average_precision(pair, over)
    else:
        ours = row_values(pair.metric, pair.rows, pair.first)
        theirs = row_values(pair.metric, pair.rows, pair.second)
        if ours is not None and theirs is not None:
            seen = _by_rows(pair, ours, theirs, over)
        elif ours is None and theirs is None and isinstance(pair.metric, OwnMetric):
            seen = _of_own_value(pair, pair.metric, over)
        else:
            raise DataUnusable(
                "the metric returns one value for one model and a value per row for the other",
                where="gate.metric",
                got=pair.metric.type,
            )
    return _never_certain(seen)


def _never_certain(seen: _Seen) -> _Seen:
    error, degrees = seen.estimate.error, seen.estimate.degrees
    distance = abs(seen.value - seen.other)
    if error is None or degrees is None or seen.identical or error > _ROUNDING * distance:
        return seen
    wider = float(np.sqrt(2)) * distance / (degrees + 1)
    return replace(seen, estimate=replace(seen.estimate, error=wider))


def _by_rows(pair: _Pair, ours: np.ndarray, theirs: np.ndarray, over: str) -> _Seen:
    rows = pair.rows
    first, second = mean_of(ours, rows.weights), mean_of(theirs, rows.weights)
    estimate = mean_estimate(ours - pair.factor(second) * theirs, pair.groups, rows.weights)
    farthest = largest_difference(pair.metric)
    if farthest is not None and estimate.error is not None and not pair.same:
        estimate = replace(
            estimate, error=float(np.hypot(estimate.error, 2**0.5 * farthest / len(rows)))
        )
    method = f"{'paired' if pair.groups is None else 'cluster-robust'} t {over}"
    alike = bool(np.array_equal(ours, theirs))
    return _Seen(first, second, estimate, method, alike or pair.same)


def _by_ranks(pair: _Pair, over: str) -> _Seen:
    rows = pair.rows
    first, second, alike = [], [], True
    positives = {each: rows.codes == each for each in ranked_classes(pair.metric.type, rows)}
    both = [
        (
            positive,
            placements(positive, pair.first[:, each], rows.weights),
            placements(positive, pair.second[:, each], rows.weights),
        )
        for each, positive in positives.items()
    ]
    for positive, ours, theirs in both:
        weights = None if rows.weights is None else rows.weights[positive]
        first.append(mean_of(ours[positive], weights))
        second.append(mean_of(theirs[positive], weights))
        alike = alike and bool(np.array_equal(ours, theirs))
    factor = pair.factor(float(np.mean(second)))
    placed = [(positive, ours - factor * theirs) for positive, ours, theirs in both]
    method = "DeLong" if pair.groups is None else f"DeLong, robust {over}"
    return _Seen(
        float(np.mean(first)),
        float(np.mean(second)),
        area_estimate(placed, pair.groups, rows.weights),
        method,
        alike,
    )


def _of_average_precision(pair: _Pair, over: str) -> _Seen:
    rows, (codes, clusters) = pair.rows, _numbered(pair)
    ranked = ranked_classes(pair.metric.type, rows)
    ours, theirs = (
        [AveragePrecision(rows.codes == each, model[:, each], codes, rows.weights) for each in ranked]
        for model in (pair.first, pair.second)
    )
    return _resampled(
        pair,
        lambda counts: float(np.mean([curve(counts) for curve in ours])),
        lambda counts: float(np.mean([curve(counts) for curve in theirs])),
        clusters,
        over,
    )


def _of_own_value(pair: _Pair, own: OwnMetric, over: str) -> _Seen:
    codes, clusters = _numbered(pair)
    ours, theirs = (own_resampled(own, pair.rows, model, codes) for model in (pair.first, pair.second))
    return _resampled(pair, ours, theirs, clusters, over)


def _numbered(pair: _Pair) -> tuple[np.ndarray, int]:
    """Return clusters numbered 0, 1, … without a gap, and how many they are."""
    if pair.groups is None:
        return np.arange(len(pair.rows)), len(pair.rows)
    numbers = np.cumsum(np.bincount(pair.groups) > 0) - 1
    return numbers[pair.groups], int(numbers[-1]) + 1


def _resampled(pair: _Pair, ours: Statistic, theirs: Statistic, clusters: int, over: str) -> _Seen:
    once = np.ones(clusters)
    first, second = ours(once), theirs(once)
    factor = pair.factor(second)
    if pair.same and not pair.relative:
        estimate = Estimate(0.0, 0.0, float(clusters - 1))
    else:
        estimate = bootstrap_estimate(
            first - second, lambda counts: ours(counts) - factor * theirs(counts), clusters
        )
    method = f"Poisson bootstrap of {RESAMPLES} resamples {over}"
    return _Seen(first, second, estimate, method, pair.same)
