"""What a model and the trivial predictor beside it reach on the test window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evergreen.losses import row_losses
from evergreen.spec import CLASSIFICATION_METRICS, REGRESSION_METRICS, Metric, Task

if TYPE_CHECKING:
    import numpy as np


def trivial_predictor(labels: np.ndarray, classes: Sequence[str], metric: Metric) -> tuple[float, ...]:
    """Return the best constant answer: class shares in the order of `classes`, the mean or the median.

    The median is what has the smallest mean absolute error, the mean the smallest squared one.
    """
    import numpy as np

    if not classes:
        return (float(np.median(labels) if metric == "absolute_error" else np.mean(labels)),)
    return tuple(float(np.mean(labels == name)) for name in classes)


def measure(
    task: Task,
    labels: np.ndarray,
    predictions: np.ndarray,
    baseline: Sequence[float],
    classes: Sequence[str],
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return metrics by name, the trivial predictor's under `baseline_…`, and warnings.

    Losses are means of the gate's row losses. `roc_auc` (one class against the rest, unweighted mean)
    is undefined where the test labels are not exactly the known classes, `r2` where they are all
    equal: it is left out with a warning.
    """
    import numpy as np

    names = CLASSIFICATION_METRICS if task == "classification" else REGRESSION_METRICS
    constant = (
        np.tile(np.asarray(baseline), (len(labels), 1))
        if classes
        else np.full(len(labels), baseline[0], dtype=float)
    )
    metrics: dict[str, float] = {}
    warnings = []
    for name in sorted(names):
        metrics[name] = float(row_losses(name, labels, predictions, classes).mean())
        metrics[f"baseline_{name}"] = float(row_losses(name, labels, constant, classes).mean())
    unseen = sorted({*map(str, np.unique(labels))} - {*classes}) if classes else []
    if unseen:
        warnings.append(f"test labels that no training row has: {', '.join(unseen)}")
    extra = _roc_auc(labels, predictions, classes) if classes else _r2(labels, predictions)
    if isinstance(extra, str):
        warnings.append(extra)
    else:
        metrics["roc_auc" if classes else "r2"] = extra
    return metrics, tuple(warnings)


def _roc_auc(labels: np.ndarray, predictions: np.ndarray, classes: Sequence[str]) -> float | str:
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if tuple(map(str, np.unique(labels))) != tuple(classes):
        return "roc_auc is undefined: the test labels are not exactly the known classes"
    if len(classes) == 2:
        return float(roc_auc_score(labels == classes[1], predictions[:, 1]))
    return float(roc_auc_score(labels, predictions, multi_class="ovr", labels=list(classes)))


def _r2(labels: np.ndarray, predictions: np.ndarray) -> float | str:
    import numpy as np
    from sklearn.metrics import r2_score

    if len(np.unique(labels)) < 2:
        return "r2 is undefined: all test labels are equal"
    return float(r2_score(labels, predictions))
