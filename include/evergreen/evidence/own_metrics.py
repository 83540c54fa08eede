"""Metrics of the owner's own, by the name they are registered under `evergreen.metrics`.

A metric is a function `(labels, predictions, classes, weights)` that returns one value, or a value per
row. A model file names it and never says where it is: nothing but what was installed can be called.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from evergreen.errors import BadConfiguration, DataUnusable, bounded
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.metric_spec import OwnMetric
from evergreen.names import did_you_mean
from evergreen.static_code import METRICS_GROUP


def own_value(metric: OwnMetric, rows: JudgedRows, predictions: np.ndarray) -> float | np.ndarray:
    """Call the owner's function and return its value, or its values per row, `(n_rows,)` float64.

    The function sees arrays that it cannot write to: labels `(n_rows,)` as text for classification and
    float64 for regression, predictions `(n_rows, n_classes)` or `(n_rows,)`, the classes (empty for
    regression) and weights `(n_rows,)`, which are 1 where the rows have none.

    Raises:
        BadConfiguration: no such name is registered, more than one is, or it cannot be imported.
        DataUnusable: the function fails, or returns anything else than a finite value, or one per row.
    """
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    values = _called(registered_metric(metric.name), metric.name, rows, predictions, weights)
    if not np.isfinite(values).all():
        raise DataUnusable(
            f"the metric {metric.name!r} returns values that are not finite",
            where="gate.metric",
            got=f"{int((~np.isfinite(values)).sum())} of {values.size}",
        )
    return values if values.shape else float(values)


def own_resampled(
    metric: OwnMetric, rows: JudgedRows, predictions: np.ndarray, clusters: np.ndarray
) -> Callable[[np.ndarray], float]:
    """Return the metric as a function of how often each cluster counts, `(n_clusters,)`.

    The function is called with weights, some of them 0, and must use them: see `need_weighing`. Where it
    fails on a resample, of one class say, that resample's value is NaN.

    Args:
        metric: Names the function, one that returns one value.
        rows: What is true.
        predictions: One model's.
        clusters: `(n_rows,)`, each row's place among the counts.
    """
    function = registered_metric(metric.name)

    def resampled(counts: np.ndarray) -> float:
        weights = counts[clusters] if rows.weights is None else counts[clusters] * rows.weights
        try:
            return float(_called(function, metric.name, rows, predictions, weights))
        except (DataUnusable, TypeError):
            return float("nan")

    return resampled


def need_weighing(metric: OwnMetric, rows: JudgedRows, first: np.ndarray, second: np.ndarray) -> None:
    """Make sure that the function counts rows by their weights: without, no resample differs.

    It is asked about predictions that are one model's on half of the rows and the other's on the other
    half, with all weight on either half: for models of different values the answers differ. One that
    fails where rows have no weight has seen the weights.

    Args:
        metric: Names the function, one that returns one value.
        rows: What is true.
        first: One model's predictions.
        second: Another's, for which the metric has another value.

    Raises:
        DataUnusable: both answers are the same.
    """
    function = registered_metric(metric.name)
    half = np.random.default_rng(0).random(len(rows)) < 0.5
    either = np.where(half if first.ndim == 1 else half[:, None], first, second)
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    try:
        one, other = (
            _called(function, metric.name, rows, either, np.where(chosen, weights, 0.0))
            for chosen in (half, ~half)
        )
    except DataUnusable:
        return
    if np.array_equal(one, other):
        raise DataUnusable(
            "the metric ignores its weights, so nothing can be said of how certain its value is",
            where="gate.metric",
            got=metric.name,
            allowed="a function that counts each row by its weight, and rows of weight 0 not at all",
            fix="pass the weights on (scikit-learn: sample_weight=weights), or return a value per row",
        )


def registered_metric(name: str) -> Callable[..., Any]:
    """Return the function that a package registered under a name.

    Raises:
        BadConfiguration: no such name is registered, more than one is, or it cannot be imported.
    """
    points = entry_points(group=METRICS_GROUP)
    found = [point for point in points if point.name == name]
    if len({point.value for point in found}) != 1:
        known = sorted({point.name for point in points})
        raise BadConfiguration(
            "the name is registered more than once" if found else "no such name is registered",
            where="gate.metric",
            got=", ".join(point.value for point in found) if found else name,
            allowed=", ".join(known) or f"nothing is registered under {METRICS_GROUP} here",
            fix=did_you_mean(name, known),
        )
    try:
        function = found[0].load()
    except Exception as exc:
        raise BadConfiguration(
            f"the registered {found[0].value} cannot be imported: {type(exc).__name__}",
            where="gate.metric",
            got=bounded(str(exc)),
        ) from exc
    if not callable(function):
        raise BadConfiguration(
            f"the registered {found[0].value} cannot be called",
            where="gate.metric",
            got=type(function).__name__,
            allowed="a function of labels, predictions, classes and weights",
        )
    return function  # type: ignore[no-any-return]


def _called(
    function: Callable[..., Any],
    name: str,
    rows: JudgedRows,
    predictions: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    arrays = (_read_only(each) for each in (rows.labels, predictions, weights))
    labels, predictions, weights = arrays
    try:
        values = np.asarray(function(labels, predictions, rows.classes, weights), dtype=float)
    except Exception as exc:
        raise DataUnusable(
            f"the metric {name!r} failed: {type(exc).__name__}",
            where="gate.metric",
            got=bounded(str(exc)),
            fix="its function is called with labels, predictions, classes and weights, none of which it "
            "may write to, and returns one value or one per row",
        ) from exc
    if values.shape not in ((), (len(rows),)):
        raise DataUnusable(
            f"the metric {name!r} returns an array of another shape",
            where="gate.metric",
            got=values.shape,
            allowed=f"one value, or one per row: shape ({len(rows)},)",
        )
    return values


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
