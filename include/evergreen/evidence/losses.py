"""Per-row losses: what a model pays for each row. Lower is better, for every metric.

A mean of per-row losses can be compared in pairs, row by row, which is what the gate does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import xlogy

from evergreen.errors import DataUnusable
from evergreen.spec import CLASSIFICATION_METRICS, Metric

# The smallest probability a model is held to, as scikit-learn's log_loss has it for float64.
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


def row_losses(
    metric: Metric, labels: np.ndarray, predictions: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """Return each row's loss, shape `(n_rows,)`.

    Args:
        metric: `log_loss`: -ln p(label), p held to at least float64's epsilon. `brier`: the squared
            distance between the probabilities and the label's one-hot vector, from 0 to 2 (Brier 1950;
            scikit-learn's with `scale_by_half=False`), so that models of different classes compare.
            `error_rate`: 1 where the most probable class is not the label. `squared_error`,
            `absolute_error`: of the value.
        labels: `(n_rows,)`, as text for classification, as numbers for regression.
        predictions: `(n_rows, n_classes)` probabilities in the order of `classes`, or `(n_rows,)`.
        classes: The classes the model knows; empty for regression. A label that is none of them has
            probability 0.

    Raises:
        DataUnusable: predictions that are not finite, or of a shape the metric cannot read.

    >>> row_losses("brier", np.array(["a", "b"]), np.array([[1.0, 0.0], [0.6, 0.4]]), ["a", "b"])
    array([0.  , 0.72])
    """
    shape = (len(labels), len(classes)) if metric in CLASSIFICATION_METRICS else (len(labels),)
    if predictions.shape != shape:
        raise DataUnusable(
            f"the predictions do not fit {metric}", got=predictions.shape, allowed=f"shape {shape}"
        )
    if not np.isfinite(predictions).all():
        raise DataUnusable(
            "the model predicts values that are not finite",
            got=f"{int((~np.isfinite(predictions)).sum())} of {predictions.size} predictions",
            fix="look for infinite features in the test window",
        )
    if metric not in CLASSIFICATION_METRICS:
        distances = np.abs(labels.astype(float) - predictions)
        losses = distances**2 if metric == "squared_error" else distances
        if not np.isfinite(losses).all():
            raise DataUnusable("labels and predictions give losses that are not finite", got=metric)
        return np.asarray(losses)
    truth = labels.astype(str)[:, None] == np.asarray(classes, dtype=str)[None, :]
    if metric == "log_loss":
        known = np.clip(predictions, SMALLEST_PROBABILITY, 1.0)
        unknown = np.where(truth.any(axis=1), 0.0, -np.log(SMALLEST_PROBABILITY))
        return np.asarray(-xlogy(truth, known).sum(axis=1) + unknown)
    if metric == "brier":
        missed = 1.0 - truth.any(axis=1)
        return np.asarray(((predictions - truth) ** 2).sum(axis=1) + missed)
    best = predictions.argmax(axis=1)
    return np.asarray(1.0 - truth[np.arange(len(labels)), best])
