"""What a model and the trivial predictor beside it reach on the test window, for the run's log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evergreen.metric_spec import Metric, PlainMetric, Task

if TYPE_CHECKING:
    import numpy as np

    from evergreen.evidence.judged_rows import JudgedRows


def trivial_predictor(
    labels: np.ndarray, classes: Sequence[str], metric: Metric, weights: np.ndarray | None
) -> tuple[float, ...]:
    """Return the best constant answer, as `evidence.metrics.trivial_answer` has it."""
    from evergreen.evidence.metrics import trivial_answer  # imports scipy, which a DAG file must not

    return trivial_answer(metric, labels, classes, weights)


def measure(
    task: Task,
    labels: np.ndarray,
    predictions: np.ndarray,
    baseline: Sequence[float],
    classes: Sequence[str],
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return metrics by name, the trivial predictor's under `baseline_…`, and warnings.

    They are those that any model of the task can be judged by, whatever its gate asks. `roc_auc` is
    undefined where the test labels are not exactly the known classes, `r2` where they are all equal: it
    is left out with a warning.
    """
    import numpy as np

    from evergreen.evidence.judged_rows import JudgedRows
    from evergreen.evidence.metrics import PLAIN_LOSSES, MetricUndefined, value

    rows = JudgedRows(labels, tuple(classes), np.arange(len(labels)), "row")
    constant = (
        np.tile(np.asarray(baseline), (len(labels), 1))
        if classes
        else np.full(len(labels), baseline[0], dtype=float)
    )
    metrics: dict[str, float] = {}
    for metric in PLAIN_LOSSES[task]:
        metrics[metric.type] = value(metric, rows, predictions)
        metrics[f"baseline_{metric.type}"] = value(metric, rows, constant)
    warnings = []
    unseen = sorted({*map(str, np.unique(labels[rows.codes < 0]))}) if classes else []
    if unseen:
        warnings.append(f"test labels that no training row has: {', '.join(unseen)}")
    try:
        if classes:
            metrics["roc_auc"] = value(PlainMetric(type="roc_auc"), rows, predictions)
        else:
            metrics["r2"] = _r2(rows, predictions)
    except MetricUndefined as exc:
        warnings.append(str(exc))
    return metrics, tuple(warnings)


def _r2(rows: JudgedRows, predictions: np.ndarray) -> float:
    from sklearn.metrics import r2_score

    from evergreen.evidence.metrics import MetricUndefined

    if rows.labels.min() == rows.labels.max():
        raise MetricUndefined("r2 is undefined: all test labels are equal")
    return float(r2_score(rows.labels, predictions))
