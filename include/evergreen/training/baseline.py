"""What a model will be watched against, made where it is trained, while its rows are in memory.

Features are counted over the rows learnt from. All that is said about answers rests on the test window,
which was out of the model's sight.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evergreen.errors import EvergreenError
from evergreen.logged_rows import watched_columns
from evergreen.metric_spec import Metric
from evergreen.results import ColumnType
from evergreen.serving.one_thread import one_thread
from evergreen.serving.predictions import predict
from evergreen.spec import ModelSpec
from evergreen.training.frame import columns_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from evergreen.evidence.judged_rows import JudgedRows
    from evergreen.profiles.baseline import Baseline, Calibrator
    from evergreen.profiles.layout import Layout
    from evergreen.profiles.profile import Profile
    from evergreen.watch_results import DayLoss

log = logging.getLogger(__name__)

MOST_PERMUTED_ROWS = 5_000
MOST_PERMUTED_VALUES = 50_000
"""Rows times features; more features are permuted on fewer rows, so that no retrain waits for it."""
FEWEST_PERMUTED_ROWS = 300
MOST_STACKED_ROWS = 20_000
"""Rows of one prediction: each costs its time by column, too, so that few are made."""
REPEATS = 2


def baseline_of(
    spec: ModelSpec,
    learnt: pa.Table,
    test: pa.Table,
    features: tuple[ColumnType, ...],
    classes: tuple[str, ...],
    predictions: np.ndarray,
    importance: Mapping[str, float],
) -> Baseline:
    """Return the baseline of a model that was tested; the same rows and answers give the same.

    Args:
        spec: The model file.
        learnt: The rows that were learnt from.
        test: Rows with a label, out of the model's sight.
        features: As the model's.
        classes: As the model's.
        predictions: The model's answers for `test`.
        importance: Each feature's share, as `importance_of` gives it.
    """
    import pyarrow as pa

    from evergreen.profiles.baseline import Baseline
    from evergreen.profiles.reading import days_of

    time_column = spec.data.time_column
    layout, days = _counted(learnt, features, time_column)
    columns = watched_columns(classes)
    # With two classes the second's probability is watched, and it is the last.
    answers = predictions.reshape(len(predictions), -1)[:, -len(columns) :]
    answered = pa.table(
        {name: answers[:, place] for place, name in enumerate(columns)}
        | {time_column: test.column(time_column)}
    )
    watched = tuple(ColumnType(name, "double") for name in columns)
    prediction_layout, prediction_days = _counted(answered, watched, time_column)
    test_days = days_of(test.column(time_column).combine_chunks())
    metric, rows = spec.gate.metric, _judged(spec, test, classes)
    calibrator, estimated_level, estimated_days = _estimated(metric, rows, predictions, test_days)
    level, level_days = _level(metric, rows, predictions, test_days)
    return Baseline(
        layout=layout,
        days=days,
        columns=_columns(spec, learnt),
        prediction_layout=prediction_layout,
        prediction_days=prediction_days,
        importance=importance,
        metric=spec.gate.metric_name,
        higher_is_better=spec.gate.higher_is_better,
        level=level,
        level_days=level_days,
        classes=classes,
        calibrator=calibrator,
        estimated_level=estimated_level,
        estimated_days=estimated_days,
    )


def refitted(tested: Baseline, spec: ModelSpec, learnt: pa.Table) -> Baseline:
    """Return the baseline of a model that was trained once more after its win.

    Its features are those of all rows that it learnt from; whatever is said about answers is what the
    tested model proved, since no row is left that the new one has not seen.
    """
    features = tuple(ColumnType(cells.column, cells.type) for cells in tested.layout.cells)
    layout, days = _counted(learnt, features, spec.data.time_column)
    return replace(tested, layout=layout, days=days, columns=_columns(spec, learnt))


def importance_of(
    spec: ModelSpec,
    model: Any,
    test: pa.Table,
    frame: pd.DataFrame,
    features: tuple[ColumnType, ...],
    classes: tuple[str, ...],
) -> dict[str, float]:
    """Return each feature's share of the permutation importance (Breiman 2001) for the gate's metric.

    As scikit-learn's, but a feature is permuted as a whole, a time with all of its calendar columns, and
    all features are predicted on together. What does not make the metric worse has a share of 0. Empty
    where nothing does, or the metric is undefined.

    Args:
        spec: The model file.
        model: Fitted.
        test: Rows with a label, out of the model's sight.
        frame: The same rows as the model sees them.
        features: As the model's.
        classes: As the model's.
    """
    import numpy as np

    metric, sign = spec.gate.metric, 1 if spec.gate.higher_is_better else -1
    most = max(FEWEST_PERMUTED_ROWS, min(MOST_PERMUTED_ROWS, MOST_PERMUTED_VALUES // len(features)))
    rng = np.random.default_rng(spec.train.seed)
    chosen = np.sort(rng.permutation(len(frame))[:most])
    frame, rows = frame.iloc[chosen], _judged(spec, test.take(chosen), classes)
    lost = np.zeros(len(features))
    at_once = max(1, MOST_STACKED_ROWS // len(rows))
    try:
        with one_thread():
            whole = _value(metric, rows, predict(model, frame, classes))
            for first in list(range(0, len(features), at_once)) * REPEATS:
                some = range(first, min(first + at_once, len(features)))
                answers = predict(model, _permuted(frame, features, some, rng), classes)
                parts = np.split(answers, len(some))
                lost[some] += [sign * (whole - _value(metric, rows, part)) for part in parts]
    except (ValueError, EvergreenError) as exc:
        log.info("no permutation importance: %s", exc)
        return {}
    lost = np.maximum(lost, 0.0)
    if not lost.sum():
        return {}
    return {
        feature.name: float(share) for feature, share in zip(features, lost / lost.sum(), strict=True)
    }


def _permuted(
    frame: pd.DataFrame, features: tuple[ColumnType, ...], some: range, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the frame once for each of some features, below each other, that feature permuted."""
    import numpy as np
    import pandas as pd

    owners = [place for place, feature in enumerate(features) for _ in columns_of(feature)]
    orders = {place: rng.permutation(len(frame)) for place in some}
    columns: dict[str, np.ndarray] = {}
    for name, owner in zip(frame, owners, strict=True):
        values = frame[name].to_numpy()
        stacked = np.tile(values, (len(some), 1))
        if owner in some:
            stacked[some.index(owner)] = values[orders[owner]]
        columns[str(name)] = stacked.ravel()
    return pd.DataFrame(columns, copy=False)


def _counted(
    rows: pa.Table, features: tuple[ColumnType, ...], time_column: str
) -> tuple[Layout, dict[date, Profile]]:
    from evergreen.profiles.count import count_by_day
    from evergreen.profiles.lay_out import lay_out

    layout = lay_out(rows, features)
    wanted = rows.select([feature.name for feature in features] + [time_column])
    return layout, count_by_day(wanted.to_batches(), layout, time_column)


def _columns(spec: ModelSpec, learnt: pa.Table) -> tuple[ColumnType, ...]:
    from evergreen.profiles.reading import plain_type

    apart = {spec.data.key, spec.data.time_column, spec.data.label.column}
    return tuple(
        ColumnType(field.name, str(plain_type(field.type)))
        for field in learnt.schema
        if field.name not in apart
    )


def _judged(spec: ModelSpec, test: pa.Table, classes: tuple[str, ...]) -> JudgedRows:
    import numpy as np

    from evergreen.evidence.clusters import weights_of
    from evergreen.evidence.judged_rows import JudgedRows
    from evergreen.training.labels import labels_of

    labels = labels_of(test, spec.data.label.column, spec.gate.task)
    weights = weights_of(spec.data, test)
    return JudgedRows(labels, classes, np.arange(len(labels)), "row", weights)


def _level(
    metric: Metric, rows: JudgedRows, predictions: np.ndarray, days: np.ndarray
) -> tuple[float | None, tuple[DayLoss, ...]]:
    """Return the metric and its days, or none where the gate, too, will find that it is undefined."""
    from evergreen.performance.daily import metric_by_day

    try:
        return _value(metric, rows, predictions), metric_by_day(metric, rows, predictions, days)
    except (ValueError, EvergreenError) as exc:
        log.info("no level of the metric to watch: %s", exc)
        return None, ()


def _estimated(
    metric: Metric, rows: JudgedRows, predictions: np.ndarray, days: np.ndarray
) -> tuple[Calibrator | None, float | None, tuple[DayLoss, ...]]:
    from evergreen.performance.estimate import estimable, estimate, estimate_by_day, fit_calibrator

    if not estimable(metric):
        return None, None, ()
    try:
        calibrator = fit_calibrator(rows.labels, predictions, rows.classes, rows.weights)
        return (
            calibrator,
            estimate(metric, calibrator, predictions, rows.weights),
            estimate_by_day(metric, calibrator, predictions, days, rows.weights),
        )
    except (ValueError, EvergreenError) as exc:
        log.info("no estimate of the metric to watch: %s", exc)
        return None, None, ()


def _value(metric: Metric, rows: JudgedRows, predictions: np.ndarray) -> float:
    """Return the metric.

    Raises:
        ValueError: it is undefined or not finite.
        DataUnusable: the metric cannot read the predictions.
    """
    import numpy as np

    from evergreen.evidence.metrics import value

    found = value(metric, rows, predictions)
    if not np.isfinite(found):
        raise ValueError(f"the metric is {found}")
    return found
