"""Per-row losses: what a model pays for each row. Lower is better, for every one of them.

A mean of per-row losses can be compared in pairs, row by row, which is what the gate does.
"""

from __future__ import annotations

import numpy as np
from scipy.special import kl_div

from evergreen.errors import DataUnusable
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.metric_spec import CostMatrix, Metric, QuantileLoss

# The smallest probability a model is held to, as scikit-learn's log_loss has it for float64.
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
# How far probabilities may be from adding up to 1: scikit-learn's allowance for float32.
SIMPLEX_TOLERANCE = float(np.sqrt(np.finfo(np.float32).eps))


def row_losses(metric: Metric, rows: JudgedRows, predictions: np.ndarray) -> np.ndarray:
    """Return each row's loss, `(n_rows,)`.

    Args:
        metric: `log_loss`: -ln p(label), p held to at least float64's epsilon. `brier`: the squared
            distance between the probabilities and the label's one-hot vector, from 0 to 2 (Brier 1950;
            scikit-learn's with `scale_by_half=False`), so that models of different classes compare.
            `error_rate` and `accuracy`: 1 where the most probable class (of equals the first) is not
            the label. `cost`: what deciding for the class of least expected cost costs.
            `squared_error`, `absolute_error`: of the value. `quantile_loss`: the pinball loss,
            max(q·e, (q-1)·e) of e = label - prediction (Koenker and Bassett 1978). `poisson_loss`: the
            deviance 2·(y·ln(y/p) - y + p), as scikit-learn's `mean_poisson_deviance`.
        rows: What is true. A label that is none of the classes has probability 0.
        predictions: `(n_rows, n_classes)` probabilities in the order of `rows.classes`, or `(n_rows,)`.

    Raises:
        DataUnusable: predictions or labels that the metric cannot read, as `checked` says; a wrong
            decision whose cost is not listed.
        ValueError: a metric that is no mean of row losses.

    >>> from evergreen.metric_spec import PlainMetric
    >>> rows = JudgedRows(np.array(["a", "b"]), ("a", "b"), np.arange(2), "row")
    >>> row_losses(PlainMetric(type="brier"), rows, np.array([[1.0, 0.0], [0.6, 0.4]]))
    array([0.  , 0.72])
    """
    predictions = checked(rows, predictions)
    match metric.type:
        case "log_loss":
            truth = _of_the_truth(rows, predictions)
            return np.asarray(-np.log(np.clip(truth, SMALLEST_PROBABILITY, 1.0)))
        case "brier":
            squares = np.einsum("ij,ij->i", predictions, predictions)
            return np.asarray(squares - 2 * _of_the_truth(rows, predictions) + 1.0)
        case "error_rate" | "accuracy":
            return np.asarray(predictions.argmax(axis=1) != rows.codes, dtype=float)
        case "quantile_loss" | "absolute_error" | "squared_error" | "poisson_loss":
            return _of_values(metric, rows.labels.astype(float, copy=False), predictions)
        case "cost" if isinstance(metric, CostMatrix):
            return _costs(metric, rows, predictions)
        case _:
            raise ValueError(f"{metric.type} is no mean of row losses")


def need_readable(metric: Metric, rows: JudgedRows, predictions: np.ndarray, whose: str) -> None:
    """Make sure that the metric can read a model's predictions.

    Args:
        metric: What the model is judged by.
        rows: What is true.
        predictions: `(n_rows, n_classes)`, or `(n_rows,)`.
        whose: Names the model: "the challenger".

    Raises:
        DataUnusable: what `checked` refuses, and means of 0 or less where `poisson_loss` judges them.
    """
    try:
        predictions = checked(rows, predictions)
        if metric.type == "poisson_loss":
            _check_means(predictions)
    except DataUnusable as exc:
        raise DataUnusable(
            f"{whose}'s predictions cannot be judged: {exc.what}",
            where=exc.where,
            got=exc.got,
            allowed=exc.allowed,
            fix=exc.fix,
        ) from exc


def checked(rows: JudgedRows, predictions: np.ndarray) -> np.ndarray:
    """Return the predictions as float64 after a look at them.

    Raises:
        DataUnusable: another shape than the rows ask for, values that are not finite, or probabilities
            that are negative or do not add up to 1.
    """
    shape = (len(rows), len(rows.classes)) if rows.classes else (len(rows),)
    if predictions.shape != shape:
        raise DataUnusable(
            "the predictions do not fit the rows", got=predictions.shape, allowed=f"shape {shape}"
        )
    predictions = predictions.astype(float, copy=False)
    if _fit(predictions):
        return predictions
    finite = np.isfinite(predictions)
    if not finite.all():
        raise DataUnusable(
            "the model predicts values that are not finite",
            got=f"{int((~finite).sum())} of {predictions.size} predictions",
            fix="look for infinite features in the test window",
        )
    sums = predictions.sum(axis=1)
    off = (np.abs(sums - 1) > SIMPLEX_TOLERANCE) | (predictions < -SIMPLEX_TOLERANCE).any(axis=1)
    row = int(np.flatnonzero(off)[0])
    raise DataUnusable(
        "the model's probabilities are negative or do not add up to 1",
        got=f"{int(off.sum())} of {len(rows)} rows, the first: {predictions[row].tolist()}",
        allowed="probabilities of at least 0 that add up to 1 in every row",
        fix="return what predict_proba gives: for each row one probability per class",
    )


def _fit(predictions: np.ndarray) -> bool:
    """Tell whether all is well, in few passes: a sum is near 1 only where its parts are finite."""
    if predictions.ndim == 1 or not predictions.size:
        return bool(np.isfinite(predictions).all())
    sums = predictions @ np.ones(predictions.shape[1])
    return bool(
        predictions.min() >= -SIMPLEX_TOLERANCE
        and sums.min() >= 1 - SIMPLEX_TOLERANCE
        and sums.max() <= 1 + SIMPLEX_TOLERANCE
    )


def _of_the_truth(rows: JudgedRows, predictions: np.ndarray) -> np.ndarray:
    known = predictions[np.arange(len(rows)), rows.codes]
    return np.where(rows.codes >= 0, known, 0.0)


def _of_values(metric: Metric, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    if not np.isfinite(labels).all():
        raise DataUnusable(
            "labels that are not finite", got=f"{int((~np.isfinite(labels)).sum())} of {len(labels)}"
        )
    if metric.type == "poisson_loss":
        _check_counts(labels)
        _check_means(predictions)
        return np.asarray(2 * kl_div(labels, predictions))
    errors = labels - predictions
    if isinstance(metric, QuantileLoss):
        return np.asarray(np.maximum(metric.quantile * errors, (metric.quantile - 1) * errors))
    with np.errstate(over="ignore"):
        losses = np.asarray(errors**2 if metric.type == "squared_error" else np.abs(errors))
    if not np.isfinite(losses).all():
        raise DataUnusable("labels and predictions give losses that are not finite", got=metric.type)
    return losses


def _check_counts(labels: np.ndarray) -> None:
    if (labels < 0).any():
        raise DataUnusable(
            "poisson_loss judges counts, and there are negative labels",
            where="gate.metric",
            got=f"{int((labels < 0).sum())} of {len(labels)}, the smallest {labels.min():g}",
            allowed="labels of at least 0",
            fix="choose squared_error or absolute_error",
        )


def _check_means(predictions: np.ndarray) -> None:
    if (predictions <= 0).any():
        raise DataUnusable(
            "poisson_loss judges predicted means, and there are some of 0 or less",
            where="gate.metric",
            got=f"{int((predictions <= 0).sum())} of {len(predictions)}, "
            f"the smallest {predictions.min():g}",
            allowed="predictions above 0",
            fix='train with a Poisson loss (loss="poisson"), or choose squared_error',
        )


def _costs(metric: CostMatrix, rows: JudgedRows, predictions: np.ndarray) -> np.ndarray:
    listed = {(each.truth, each.decided): each.cost for each in metric.costs}
    known = _cost_rows(listed, rows.classes, rows.classes)
    decided = (predictions @ known).argmin(axis=1)
    costs = np.asarray(known[rows.codes, decided])
    strange = rows.codes < 0
    if strange.any():
        truths, which = np.unique(rows.labels[strange].astype(str), return_inverse=True)
        table = _cost_rows(listed, tuple(map(str, truths)), rows.classes)
        costs[strange] = table[which, decided[strange]]
    return costs


def _cost_rows(
    listed: dict[tuple[str, str], float], truths: tuple[str, ...], classes: tuple[str, ...]
) -> np.ndarray:
    """Return the costs `(truths, classes)`: of truth i, where it is decided for class j."""
    pairs = [(truth, decided) for truth in truths for decided in classes]
    missing = [pair for pair in pairs if pair not in listed and pair[0] != pair[1]]
    if missing:
        truth, decided = missing[0]
        raise DataUnusable(
            f"no cost is listed for deciding {decided!r} where the truth is {truth!r}"
            + (f", nor for {len(missing) - 1} other wrong decisions" if len(missing) > 1 else ""),
            where="gate.metric.costs",
            fix=f'list it: {{truth: "{truth}", decided: "{decided}", cost: …}}',
        )
    return np.array([listed.get(pair, 0.0) for pair in pairs]).reshape(len(truths), len(classes))


def largest_difference(metric: Metric) -> float | None:
    """Return how far two models may differ on one row, None for a metric that is none of decisions."""
    if metric.type in ("error_rate", "accuracy"):
        return 1.0
    if not isinstance(metric, CostMatrix):
        return None
    truths: dict[str, list[float]] = {}
    for each in metric.costs:
        truths.setdefault(each.truth, [0.0]).append(each.cost)
    return max(max(costs) - min(costs) for costs in truths.values())
