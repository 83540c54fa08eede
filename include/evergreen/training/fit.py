"""From the rows of two windows to a fitted model and what it reaches; nothing is stored here."""

from __future__ import annotations

import contextlib
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evergreen.errors import DataUnusable, EvergreenError, TrainingFailed, bounded
from evergreen.metric_spec import Task
from evergreen.ports import REFERENCE_ROWS
from evergreen.results import Candidate, ColumnType
from evergreen.serving.one_thread import one_thread
from evergreen.serving.predictions import predict
from evergreen.spec import Data, ModelSpec
from evergreen.training.baseline import baseline_of, importance_of, refitted
from evergreen.training.estimators import make_estimator
from evergreen.training.frame import feature_frame, usable_features
from evergreen.training.labels import (
    LARGEST_UNLABELLED_SHARE,
    classes_of,
    in_window,
    labelled,
    labels_of,
)
from evergreen.training.metrics import measure, trivial_predictor
from evergreen.training.preprocessing import around, text_beyond
from evergreen.window import Window, Windows

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from evergreen.profiles.baseline import Baseline

EXAMPLE_ROWS = 5
MOST_WARNINGS = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model answered on the test window, row by row, and what that is worth."""

    labels: np.ndarray
    predictions: np.ndarray
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model with its answers on the test window.

    `baseline` and `last_period` are the trivial answers of all train rows and of the last ones (empty
    where no label is known of these). `example` holds the first test rows as the model sees them,
    `reference` the predictions of the first `REFERENCE_ROWS` with a known label, made on one thread.
    `tested` is None for a refit, which knows the test rows already. `requirement` pins a distribution
    besides scikit-learn's. `watched` is what the model will be watched against; None for the refit of a
    candidate that has no such thing.
    """

    model: Any
    task: Task
    features: tuple[ColumnType, ...]
    classes: tuple[str, ...]
    baseline: tuple[float, ...]
    last_period: tuple[float, ...]
    trained_on: Window
    rows_trained: int
    warnings: tuple[str, ...]
    requirement: str | None
    example: pd.DataFrame
    reference: np.ndarray
    tested: Measured | None
    watched: Baseline | None


def fit(
    spec: ModelSpec,
    train: pa.Table,
    test: pa.Table,
    windows: Windows,
    *,
    refit_of: Candidate | None = None,
    tested_baseline: Baseline | None = None,
) -> Fitted:
    """Train the model file's estimator on `train` and measure it on `test`.

    The same rows and model file give the same model. What is printed while fitting goes to stderr.

    Args:
        spec: The model file.
        train: Rows of the train window; for a refit those of the test window, too.
        test: Rows of the test window.
        windows: The run's.
        refit_of: The candidate that was tested, for a refit: its features and classes are learnt anew,
            no others, because nobody tested those. Nothing is measured on `test`, which is learnt from.
        tested_baseline: That candidate's baseline, where it has one.

    Raises:
        DataUnusable: too few rows, one class, no usable feature, labels of an unfit type, weights that
            cannot weigh, or, for a refit, other classes than the tested model knows.
        TrainingFailed: an unknown estimator or parameter, or the fit failed.
    """
    data, task, refit = spec.data, spec.gate.task, refit_of is not None
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
    if refit_of is not None and classes != refit_of.classes:
        raise DataUnusable(
            "the test window changes which classes there are, so a refit would be another model than "
            "the one that was tested",
            where=f"train and test window, label {data.label.column!r}",
            got=", ".join(classes),
            allowed=", ".join(refit_of.classes),
            fix="set train.refit to false; the next run trains on these rows and tests what it learns",
        )
    features, column_notes = (
        usable_features(train, data) if refit_of is None else (refit_of.features, ())
    )
    made = make_estimator(spec.train, task, classes)
    frame = feature_frame(train, features)
    notes = [*train_notes, *([] if refit else test_notes), *column_notes]
    if not made.whole:
        notes += _rare_categories(frame, made.estimator)
    model = made.estimator if made.whole else around(made.estimator, frame)
    notes += _fit(model, frame, _targets(labels, classes))
    baseline = _trivial(spec, train, labels, classes)
    tested, watched = None, None
    if not refit:
        frame = feature_frame(test, features)
        tested, metric_notes = _tested(spec, model, test, frame, classes, baseline)
        notes += metric_notes
        importance = importance_of(spec, model, test, frame, features, classes)
        watched = baseline_of(spec, train, test, features, classes, tested.predictions, importance)
    elif tested_baseline is not None:
        watched = refitted(tested_baseline, spec, train)
    first = feature_frame(test.slice(0, REFERENCE_ROWS), features)
    with one_thread():
        reference = predict(model, first, classes)
    trained_on = windows.whole if refit else windows.train
    return Fitted(
        model=model,
        task=task,
        features=features,
        classes=classes,
        baseline=baseline,
        last_period=_last_period(spec, train, classes, trained_on, windows),
        trained_on=trained_on,
        rows_trained=train.num_rows,
        warnings=tuple(bounded(note) for note in notes[:MOST_WARNINGS]),
        requirement=made.requirement,
        example=first.head(EXAMPLE_ROWS),
        reference=reference,
        tested=tested,
        watched=watched,
    )


def _tested(
    spec: ModelSpec,
    model: Any,
    test: pa.Table,
    frame: pd.DataFrame,
    classes: tuple[str, ...],
    baseline: tuple[float, ...],
) -> tuple[Measured, tuple[str, ...]]:
    labels = labels_of(test, spec.data.label.column, spec.gate.task)
    with one_thread():  # what the model is watched against is the same to the last bit each time
        predictions = predict(model, frame, classes)
    metrics, notes = measure(spec.gate.task, labels, predictions, baseline, classes)
    return Measured(labels, predictions, metrics), notes


def _last_period(
    spec: ModelSpec, train: pa.Table, classes: tuple[str, ...], trained_on: Window, windows: Windows
) -> tuple[float, ...]:
    """Return the trivial answer of the last train rows, of a time range as long as the test window."""
    import pyarrow as pa
    import pyarrow.compute as pc

    start = max(trained_on.start, trained_on.end - (windows.test.end - windows.test.start))
    rows = in_window(train, spec.data.time_column, Window(start, trained_on.end))
    if spec.data.weight is not None:
        rows = rows.filter(pc.greater(rows.column(spec.data.weight).cast(pa.float64()), 0))
    if not rows.num_rows:
        return ()
    return _trivial(spec, rows, labels_of(rows, spec.data.label.column, spec.gate.task), classes)


def _trivial(
    spec: ModelSpec, rows: pa.Table, labels: np.ndarray, classes: tuple[str, ...]
) -> tuple[float, ...]:
    """Return the trivial answer; rows count by data.weight, as they do when models are compared.

    Raises:
        DataUnusable: weights that cannot weigh.
    """
    from evergreen.evidence.clusters import weights_of  # imports numpy, which a DAG file must not

    return trivial_predictor(labels, classes, spec.gate.metric, weights_of(spec.data, rows))


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
