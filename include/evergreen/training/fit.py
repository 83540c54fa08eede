"""From the rows of two windows to a fitted model and what it reaches; nothing is stored here."""

from __future__ import annotations

import contextlib
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evergreen.errors import DataUnusable, EvergreenError, TrainingFailed, bounded
from evergreen.results import ColumnType
from evergreen.spec import Data, ModelSpec, Task
from evergreen.training.estimators import make_estimator
from evergreen.training.frame import feature_frame, usable_features
from evergreen.training.labels import LARGEST_UNLABELLED_SHARE, classes_of, labelled, labels_of
from evergreen.training.metrics import measure, trivial_predictor
from evergreen.training.preprocessing import around, text_beyond

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

EXAMPLE_ROWS = 5
MOST_WARNINGS = 50
SIMPLEX_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model with its answers on the test window.

    `example` holds the first test rows as the model sees them; `test_labels` and `test_predictions`
    belong together row by row. `requirement` pins a distribution besides scikit-learn's.
    """

    model: Any
    task: Task
    features: tuple[ColumnType, ...]
    classes: tuple[str, ...]
    baseline: tuple[float, ...]
    rows_trained: int
    rows_tested: int
    metrics: dict[str, float]
    warnings: tuple[str, ...]
    requirement: str | None
    example: pd.DataFrame
    test_labels: np.ndarray
    test_predictions: np.ndarray


def fit(spec: ModelSpec, train: pa.Table, test: pa.Table) -> Fitted:
    """Train the model file's estimator on `train` and measure it on `test`.

    The same rows and model file give the same model. What is printed while fitting goes to stderr.

    Raises:
        DataUnusable: too few rows, one class, no usable feature, or labels of an unfit type.
        TrainingFailed: an unknown estimator or parameter, or the fit failed.
    """
    data, task = spec.data, spec.gate.task
    train, train_notes = _with_labels(train, data, "train")
    test, test_notes = _with_labels(test, data, "test")
    labels = labels_of(train, data.label.column, task)
    classes = classes_of(labels, data.label.column) if task == "classification" else ()
    if task == "regression" and labels.min() == labels.max():
        raise DataUnusable(
            "the label is the same in every row",
            where=f"train window, label {data.label.column!r}",
            got=float(labels[0]),
        )
    features, column_notes = usable_features(train, data)
    made = make_estimator(spec.train, task, classes)
    frame = feature_frame(train, features)
    notes = [*train_notes, *test_notes, *column_notes]
    if not made.whole:
        notes += _rare_categories(frame, made.estimator)
    model = made.estimator if made.whole else around(made.estimator, frame)
    notes += _fit(model, frame, _targets(labels, classes))
    test_frame = feature_frame(test, features)
    test_labels = labels_of(test, data.label.column, task)
    predictions = predict(model, test_frame, classes)
    baseline = trivial_predictor(labels, classes, spec.gate.metric)
    metrics, metric_notes = measure(task, test_labels, predictions, baseline, classes)
    return Fitted(
        model=model,
        task=task,
        features=features,
        classes=classes,
        baseline=baseline,
        rows_trained=train.num_rows,
        rows_tested=test.num_rows,
        metrics=metrics,
        warnings=tuple(bounded(note) for note in [*notes, *metric_notes][:MOST_WARNINGS]),
        requirement=made.requirement,
        example=test_frame.head(EXAMPLE_ROWS),
        test_labels=test_labels,
        test_predictions=predictions,
    )


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
                allowed=f"rows of at least 0 that sum to 1 within {SIMPLEX_TOLERANCE}",
            )


def _with_labels(rows: pa.Table, data: Data, window: str) -> tuple[pa.Table, list[str]]:
    known = labelled(rows, data.label.column)
    lost = rows.num_rows - known.num_rows
    if lost > LARGEST_UNLABELLED_SHARE * rows.num_rows:
        raise DataUnusable(
            "most rows have no label",
            where=f"{window} window, label {data.label.column!r}",
            got=f"{lost} of {rows.num_rows} rows without one",
            allowed=f"at most {LARGEST_UNLABELLED_SHARE:.0%}",
            fix="raise data.label.delay, or leave unlabelled rows out of the query",
        )
    if known.num_rows < data.min_rows:
        raise DataUnusable(
            "too few rows with a label",
            where=f"{window} window",
            got=f"{known.num_rows} of {rows.num_rows} rows",
            allowed=f"at least {data.min_rows} (data.min_rows)",
            fix=f"lengthen data.{window}_window or lower data.min_rows",
        )
    return known, [f"{lost} rows without a label left out of the {window} window"] if lost else []


def _rare_categories(frame: pd.DataFrame, estimator: Any) -> list[str]:
    return [
        f"feature {name!r} has {count} categories; the rarest share one bucket"
        for name, count in text_beyond(frame, estimator).items()
    ]


def _targets(labels: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Return class codes 0, 1, … in the order of `classes`, which every classifier takes."""
    import numpy as np

    return np.searchsorted(np.array(classes), labels) if classes else labels


def _fit(model: Any, frame: pd.DataFrame, targets: np.ndarray) -> list[str]:
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("always")
        try:
            model.fit(frame, targets)
        except EvergreenError:
            raise
        except Exception as exc:
            raise TrainingFailed(
                f"the fit failed: {type(exc).__name__}: {bounded(str(exc))}",
                where=f"train, {len(frame)} rows, {len(frame.columns)} columns",
                fix="look at train.params and at the columns",
            ) from exc
    return sorted({f"{w.category.__name__}: {bounded(str(w.message), 200)}" for w in caught})
