"""Running a model on a feature frame, the same way wherever it runs, and what its answers must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evergreen.errors import DataUnusable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def predict(model: Any, frame: pd.DataFrame, classes: tuple[str, ...]) -> np.ndarray:
    """Return probabilities `(n_rows, n_classes)` or, without classes, values `(n_rows,)`, float64.

    Raises:
        DataUnusable: predictions that are not finite, or no probabilities.
    """
    import numpy as np

    if not len(frame):
        return np.empty((0, len(classes)) if classes else (0,))
    answer = model.predict_proba(frame) if classes else model.predict(frame)
    predictions: np.ndarray = np.asarray(answer, dtype=np.float64)
    if not classes and predictions.shape == (len(frame), 1):
        predictions = predictions[:, 0]
    check_predictions(predictions, len(frame), classes)
    return predictions


def check_predictions(predictions: np.ndarray, rows: int, classes: tuple[str, ...]) -> None:
    """Check that predictions are what `predict` promises.

    Raises:
        DataUnusable: a wrong shape, values that are not finite, or rows that are no probabilities.
    """
    import numpy as np

    from evergreen.evidence.losses import SIMPLEX_TOLERANCE

    shape = (rows, len(classes)) if classes else (rows,)
    if predictions.shape != shape:
        raise DataUnusable(
            "the model's predictions have another shape", got=predictions.shape, allowed=str(shape)
        )
    finite = np.isfinite(predictions)
    if not finite.all():
        raise DataUnusable(
            "the model predicts values that are not finite",
            got=f"{int((~finite).sum())} of {predictions.size}",
            fix="look for features far outside their range in training",
        )
    if classes and rows:
        off = max(float(np.abs(predictions.sum(axis=1) - 1).max()), -float(predictions.min()))
        if off > SIMPLEX_TOLERANCE:
            raise DataUnusable(
                "the model's predictions are no probabilities",
                got=f"a row that is off by {off:.3g}",
                allowed=f"rows of at least 0 that sum to 1 within {SIMPLEX_TOLERANCE:.2g}",
            )
