"""What a metric is worth on rows: one model's value, its value per row, and the best constant answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from evergreen.evidence.intervals import mean_of
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.losses import checked, row_losses
from evergreen.evidence.own_metrics import own_value
from evergreen.metric_spec import (
    METRICS,
    RANKING,
    Metric,
    MetricName,
    OwnMetric,
    PlainMetric,
    QuantileLoss,
    Task,
)

PLAIN_LOSSES: dict[Task, tuple[PlainMetric, ...]] = {
    task: tuple(
        PlainMetric(type=name)
        for name in get_args(MetricName)
        if METRICS[name].task == task and name not in RANKING | {"accuracy", "poisson_loss"}
    )
    for task in get_args(Task)
}
"""The losses that any model of a task can be judged by, whatever its gate asks."""


class MetricUndefined(ValueError):
    """A metric that has no value on these rows; the message says why, in one sentence."""


def value(metric: Metric, rows: JudgedRows, predictions: np.ndarray) -> float:
    """Return the metric in its own unit and direction; rows count by `rows.weights`.

    `roc_auc` and `average_precision` are scikit-learn's: with two classes of the second, with more the
    plain mean over the classes, each against the rest.

    Raises:
        MetricUndefined: a ranking metric on rows whose labels are not exactly the known classes, or no
            row that counts.
        DataUnusable: what `row_losses` and `own_value` refuse.
    """
    if rows_that_count(rows) == 0:
        raise MetricUndefined("no row counts: there are none, or all weights are 0")
    if metric.type in RANKING:
        return _ranking(metric.type, rows, checked(rows, predictions))
    found = (
        own_value(metric, rows, checked(rows, predictions))
        if isinstance(metric, OwnMetric)
        else _built_in_row_values(metric, rows, predictions)
    )
    return found if isinstance(found, float) else mean_of(found, rows.weights)


def row_values(metric: Metric, rows: JudgedRows, predictions: np.ndarray) -> np.ndarray | None:
    """Return what each row adds, `(n_rows,)`: their weighted mean is the metric.

    None for a metric that is no mean of rows: a ranking metric, or one of the owner's own that gives
    one value.

    Raises:
        DataUnusable: what `row_losses` and `own_value` refuse.
    """
    if metric.type in RANKING:
        return None
    if isinstance(metric, OwnMetric):
        found = own_value(metric, rows, checked(rows, predictions))
        return None if isinstance(found, float) else found
    return _built_in_row_values(metric, rows, predictions)


def trivial_answer(
    metric: Metric, labels: np.ndarray, classes: Sequence[str], weights: np.ndarray | None = None
) -> tuple[float, ...]:
    """Return the best constant answer: class shares in the order of `classes`, or one value.

    That is the median for `absolute_error`, the quantile for `quantile_loss`, and the mean for any
    other: it has the smallest squared error and the smallest Poisson deviance. Where no event was
    counted, `poisson_loss` takes half an event in all: a mean of 0 rules out any event to come. With
    weights, shares, means, medians and quantiles are weighted.

    Args:
        metric: What the answer is judged by.
        labels: `(n_rows,)`.
        classes: Those of a classification.
        weights: `(n_rows,)`, at least 0 and not all 0, or None where all rows count alike.

    >>> trivial_answer(PlainMetric(type="absolute_error"), np.array([1.0, 2.0, 9.0]), ())
    (2.0,)
    >>> trivial_answer(PlainMetric(type="brier"), np.array(["a", "b"]), ("a", "b"), np.array([1, 3]))
    (0.25, 0.75)
    """
    if classes:
        return tuple(mean_of(np.asarray(labels == name, dtype=float), weights) for name in classes)
    if isinstance(metric, QuantileLoss):
        return (_quantile(labels, metric.quantile, weights),)
    if metric.type == "absolute_error":
        return (_quantile(labels, 0.5, weights),)
    mean = mean_of(labels, weights)
    counted = len(labels) if weights is None else int(np.count_nonzero(weights))
    return (0.5 / counted if metric.type == "poisson_loss" and mean == 0 else mean,)


def _quantile(labels: np.ndarray, quantile: float, weights: np.ndarray | None) -> float:
    if weights is None:
        return float(np.quantile(labels, quantile))
    return float(np.quantile(labels, quantile, weights=weights, method="inverted_cdf"))


def rows_that_count(rows: JudgedRows) -> int:
    """Return how many rows have a weight."""
    return len(rows) if rows.weights is None else int(np.count_nonzero(rows.weights))


def ranked_classes(metric_name: str, rows: JudgedRows) -> tuple[int, ...]:
    """Return the places of the classes that are ranked against the rest: the second of two, or all.

    Raises:
        MetricUndefined: labels that are not exactly the known classes.
    """
    codes = rows.codes if rows.weights is None else rows.codes[rows.weights > 0]
    strange = int(np.count_nonzero(codes < 0))
    if strange:
        raise MetricUndefined(
            f"{metric_name} is undefined: {strange} of {len(codes)} labels are of no class that a model "
            "knows"
        )
    counts = np.bincount(codes, minlength=len(rows.classes))
    missing = [name for name, count in zip(rows.classes, counts, strict=True) if not count]
    if missing:
        raise MetricUndefined(f"{metric_name} is undefined: no row has the label {missing[0]!r}")
    return (1,) if len(rows.classes) == 2 else tuple(range(len(rows.classes)))


def _built_in_row_values(metric: Metric, rows: JudgedRows, predictions: np.ndarray) -> np.ndarray:
    losses = row_losses(metric, rows, predictions)
    return 1.0 - losses if metric.type == "accuracy" else losses


def _ranking(name: str, rows: JudgedRows, predictions: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score, roc_auc_score

    score = roc_auc_score if name == "roc_auc" else average_precision_score
    values = [
        score(rows.codes == each, predictions[:, each], sample_weight=rows.weights)
        for each in ranked_classes(name, rows)
    ]
    return float(np.mean(values))
