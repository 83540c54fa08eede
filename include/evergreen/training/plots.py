"""Pictures of a model on its test window, as PNG bytes. Matplotlib's objects only, no global state."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evergreen.metric_spec import Task

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

MOST_CURVES = 8
MOST_POINTS = 5000
CALIBRATION_BINS = 10


def plots(
    task: Task, labels: np.ndarray, predictions: np.ndarray, classes: Sequence[str]
) -> dict[str, bytes]:
    """Return PNG pictures by file name: ROC and calibration, or residuals."""
    if task == "regression":
        return {"residuals.png": _picture(_residuals, labels, predictions)}
    shown = _curves(labels, predictions, classes)
    return {
        "roc.png": _picture(_roc, shown),
        "calibration.png": _picture(_calibration, shown),
    }


def _curves(
    labels: np.ndarray, predictions: np.ndarray, classes: Sequence[str]
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (class, truth, probability) per curve; a curve needs rows of the class and of others."""
    columns = [1] if len(classes) == 2 else range(min(len(classes), MOST_CURVES))
    curves = [(classes[i], labels == classes[i], predictions[:, i]) for i in columns]
    return [curve for curve in curves if 0 < curve[1].sum() < len(labels)]


def _roc(axes: Axes, curves: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    from sklearn.metrics import auc, roc_curve

    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="chance")
    for name, truth, probability in curves:
        false_positives, true_positives, _ = roc_curve(truth, probability)
        area = auc(false_positives, true_positives)
        axes.plot(false_positives, true_positives, label=_shown(f"{name} (area {area:.3f})"))
    axes.set(title="ROC on the test window", xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(loc="lower right")


def _calibration(axes: Axes, curves: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    from sklearn.calibration import calibration_curve

    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="perfect")
    for name, truth, probability in curves:
        observed, predicted = calibration_curve(
            truth, probability.clip(0, 1), n_bins=CALIBRATION_BINS, strategy="quantile"
        )
        axes.plot(predicted, observed, marker="o", label=_shown(name))
    axes.set(
        title="Calibration on the test window", xlabel="predicted probability", ylabel="observed share"
    )
    axes.legend(loc="upper left")


def _residuals(axes: Axes, labels: np.ndarray, predictions: np.ndarray) -> None:
    step = max(1, len(labels) // MOST_POINTS)
    axes.axhline(0, color="0.7", linestyle="--")
    axes.scatter(predictions[::step], (labels - predictions)[::step], s=6, alpha=0.4, linewidths=0)
    axes.set(title="Residuals on the test window", xlabel="predicted", ylabel="label less prediction")


def _picture(draw: Any, *args: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), dpi=100, layout="constrained")
    draw(figure.subplots(), *args)
    content = io.BytesIO()
    with warnings.catch_warnings():
        # A class name may hold characters that the bundled font lacks; boxes are shown for them.
        warnings.filterwarnings("ignore", message="Glyph ")
        FigureCanvasAgg(figure)
        figure.savefig(content, format="png")
    return content.getvalue()


def _shown(name: str) -> str:
    r"""Return a legend text: `$` begins no formula, a leading `_` hides no curve."""
    text = name.replace("\\", "").replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
