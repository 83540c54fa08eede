"""How far two models differ on the same rows, with an interval that fits the metric.

A mean of per-row values has a cluster-robust t interval, the area under the ROC curve DeLong's, and
whatever is neither is resampled. What cannot be judged has no interval, and says why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evergreen.amounts import Margin
from evergreen.comparison import Difference
from evergreen.errors import DataUnusable
from evergreen.evidence.bootstrap import RESAMPLES, AveragePrecision, Statistic, bootstrap_estimate
from evergreen.evidence.delong import area_estimate, placements
from evergreen.evidence.enough import clusters_with_rows, too_few_clusters, unit
from evergreen.evidence.intervals import (
    Estimate,
    cluster_weights,
    effective_number,
    mean_estimate,
    mean_of,
)
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.losses import checked, largest_difference
from evergreen.evidence.metrics import MetricUndefined, ranked_classes, row_values, value
from evergreen.evidence.own_metrics import need_weighing, own_resampled
from evergreen.gate_spec import Gate, Policy
from evergreen.metric_spec import RANKING, Metric, OwnMetric

_ROUNDING = 1e-12
_TOO_LITTLE = "the rows that tell the models apart are too few, or fall into too few clusters"
_NEVER_VARIES = "the metric's difference is the same in every resample, which tells nothing of its error"


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
    problem: str = _TOO_LITTLE


def relative_margin(rule: Gate, margin: Margin, policy: Policy) -> float:
    """Return r of a margin in percent: `first` is at its limit where `first - (1 + r)·second` is 0.

    0 for a margin in the metric's own unit.
    """
    if not margin.relative:
        return 0.0
    worse = -1.0 if rule.higher_is_better else 1.0
    allowed = 1.0 if policy == "non_inferiority" else -1.0
    return worse * allowed * margin.amount


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

    Rows of weight 0 are left out and not counted. Nothing is proven, and `problem` says why, where the
    clusters count as fewer than asked for (`effective_number`: one that holds most rows counts for
    little more than one), on rows of one class, and where the metric is undefined.

    An interval of no width would say that no row can ever be otherwise. Where the models differ, but by
    the same amount in every cluster, the error is that of two clusters more: one with none of the
    difference and one with twice of it. Where that amount is 0 it is that of rows on their own, or,
    where the losses of no row differ, the models' own losses are taken for the amount. For metrics of
    decisions (error rate, accuracy, cost) two rows more, one for each model, differ as far as a row can
    (the adjusted Wald interval of Bonett and Price, Journal of Educational and Behavioral Statistics 37,
    2012): few rows that differ prove less than a t interval makes of them. An own metric that is
    resampled has no interval where no resample differs.

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
            An own metric that returns one value and does not use the weights.
        BadConfiguration: an own metric that is not registered.
    """
    rows, first, second = _counted(rows, first, second)
    clusters = clusters_with_rows(rows)
    over = f"over {clusters} {unit(rows, many=True)}"
    problem = _problem(rows, min_clusters)
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
        problem=seen.problem if estimate.error is None else None,
    )


def _counted(
    rows: JudgedRows, first: np.ndarray, second: np.ndarray
) -> tuple[JudgedRows, np.ndarray, np.ndarray]:
    if rows.weights is None or rows.weights.all():
        return rows, first, second
    counted = rows.weights > 0
    return rows.only(counted), checked(rows, first)[counted], checked(rows, second)[counted]


def _problem(rows: JudgedRows, min_clusters: int) -> str | None:
    if not len(rows):
        return "no row counts: there are none, or all weights are 0"
    if rows.classes and rows.codes.min() == rows.codes.max() and len(np.unique(rows.labels)) == 1:
        return (
            f"all {len(rows)} rows have the label {str(rows.labels[0])!r}, and one class proves nothing"
        )
    return too_few_clusters(rows, min_clusters)


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
        return _by_ranks(pair, over)
    if pair.metric.type == "average_precision":
        return _of_average_precision(pair, over)
    ours = row_values(pair.metric, pair.rows, pair.first)
    theirs = row_values(pair.metric, pair.rows, pair.second)
    if ours is not None and theirs is not None:
        return _by_rows(pair, ours, theirs, over)
    if ours is None and theirs is None and isinstance(pair.metric, OwnMetric):
        return _of_own_value(pair, pair.metric, over)
    raise DataUnusable(
        "the metric returns one value for one model and a value per row for the other",
        where="gate.metric",
        got=pair.metric.type,
    )


def _by_rows(pair: _Pair, ours: np.ndarray, theirs: np.ndarray, over: str) -> _Seen:
    rows = pair.rows
    first, second = mean_of(ours, rows.weights), mean_of(theirs, rows.weights)
    apart = ours - pair.factor(second) * theirs
    estimate = mean_estimate(apart, pair.groups, rows.weights)
    if estimate.error is not None and not pair.same:
        farthest = largest_difference(pair.metric)
        if farthest is not None:
            error = float(np.hypot(estimate.error, 2**0.5 * farthest / len(rows)))
            estimate = replace(estimate, error=error)
        scale = mean_of(np.abs(ours) + np.abs(theirs), rows.weights)
        alone = mean_estimate(apart, None, rows.weights)
        estimate = _never_certain(estimate, alone, scale)
    method = f"{'paired' if pair.groups is None else 'cluster-robust'} t {over}"
    alike = bool(np.array_equal(ours, theirs))
    return _Seen(first, second, estimate, method, alike or pair.same)


def _never_certain(estimate: Estimate, alone: Estimate, scale: float) -> Estimate:
    """Widen an error of 0, as `difference` says.

    Args:
        estimate: Of the models' difference.
        alone: The same, with every row for itself.
        scale: Both models' mean losses without their signs, or areas, added up: says what is rounding.
    """
    if estimate.error is None or estimate.degrees is None or estimate.error > _ROUNDING * scale:
        return estimate
    error = 2**0.5 * abs(estimate.value) / (estimate.degrees + 1)
    if abs(estimate.value) <= _ROUNDING * scale:
        error = alone.error or 0.0
    if error <= _ROUNDING * scale:
        error = 2**0.5 * scale / (estimate.degrees + 1)
    return replace(estimate, error=error)


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
    estimate = area_estimate(placed, pair.groups, rows.weights)
    if not alike:
        alone = area_estimate(placed, None, rows.weights)
        estimate = _never_certain(estimate, alone, float(np.mean(first) + np.mean(second)))
    method = "DeLong" if pair.groups is None else f"DeLong, robust {over}"
    return _Seen(float(np.mean(first)), float(np.mean(second)), estimate, method, alike)


def _of_average_precision(pair: _Pair, over: str) -> _Seen:
    rows, codes = pair.rows, _numbered(pair)
    ranked = ranked_classes(pair.metric.type, rows)
    ours, theirs = (
        [AveragePrecision(rows.codes == each, model[:, each], codes, rows.weights) for each in ranked]
        for model in (pair.first, pair.second)
    )
    seen = _resampled(
        pair,
        lambda counts: float(np.mean([curve(counts) for curve in ours])),
        lambda counts: float(np.mean([curve(counts) for curve in theirs])),
        over,
    )
    if pair.same or seen.estimate.error is None:
        return seen
    scale = seen.value + seen.other
    return replace(seen, estimate=_never_certain(seen.estimate, seen.estimate, scale))


def _of_own_value(pair: _Pair, own: OwnMetric, over: str) -> _Seen:
    codes = _numbered(pair)
    ours, theirs = (own_resampled(own, pair.rows, model, codes) for model in (pair.first, pair.second))
    seen = _resampled(pair, ours, theirs, over)
    error, scale = seen.estimate.error, abs(seen.value) + abs(seen.other)
    if pair.same or error is None or error > _ROUNDING * scale:
        return seen
    if seen.value != seen.other:
        need_weighing(own, pair.rows, pair.first, pair.second)
    unknown = replace(seen.estimate, error=None, degrees=None)
    return replace(seen, estimate=unknown, problem=_NEVER_VARIES)


def _numbered(pair: _Pair) -> np.ndarray:
    """Return each row's cluster, numbered 0, 1, … without a gap."""
    if pair.groups is None:
        return np.arange(len(pair.rows))
    numbers = np.cumsum(np.bincount(pair.groups) > 0) - 1
    return np.asarray(numbers[pair.groups])


def _resampled(pair: _Pair, ours: Statistic, theirs: Statistic, over: str) -> _Seen:
    weights = cluster_weights(pair.groups, len(pair.rows), pair.rows.weights)
    once = np.ones(len(weights))
    first, second = ours(once), theirs(once)
    factor = pair.factor(second)
    if pair.same and not pair.relative:
        estimate = Estimate(0.0, 0.0, effective_number(weights) - 1)
    else:
        estimate = bootstrap_estimate(
            first - second, lambda counts: ours(counts) - factor * theirs(counts), weights
        )
    method = f"Poisson bootstrap of {RESAMPLES} resamples {over}"
    return _Seen(first, second, estimate, method, pair.same)
