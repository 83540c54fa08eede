"""What a model is watched against is made of what it learnt from, and of answers out of its sight."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss

from evergreen.evidence.metrics import MetricUndefined
from evergreen.logged_rows import VALUE, probability
from evergreen.profiles.baseline import Baseline
from evergreen.profiles.codec import baseline_from_bytes, baseline_to_bytes
from evergreen.profiles.profile import merge
from evergreen.results import Candidate, ColumnType
from evergreen.spec import ModelSpec
from evergreen.training import baseline as making
from evergreen.training.fit import Fitted, fit
from evergreen.training.frame import feature_frame
from tests.contracts.trainer import with_labels
from tests.fakes.trainer import FakeTrainer
from tests.training_runs import (
    FEATURES,
    regression_spec,
    retrain_of,
    rows_of,
    snapshot_of,
    spec_of,
)

BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"


def fitted(spec: ModelSpec, train: pa.Table, test: pa.Table, **refit: Any) -> Fitted:
    return fit(spec, train, test, retrain_of(spec).windows, **refit)


def watched(spec: ModelSpec, rows: int = 400, tested: int = 200) -> Baseline:
    label = spec.data.label.column
    found = fitted(spec, rows_of(rows, 0, label=label), rows_of(tested, 1, label=label)).watched
    assert found is not None
    return found


def candidate_of(spec: ModelSpec, rows: pa.Table, test: pa.Table) -> Candidate:
    retrain = retrain_of(spec)
    return FakeTrainer().train("k", retrain, snapshot_of(retrain, rows), rows, test, lambda _: None)


def test_features_are_those_learnt_from_and_answers_those_of_the_test_window() -> None:
    rows = rows_of(400, 0)
    found = watched(spec_of(exclude=("holiday",)))
    assert [cells.column for cells in found.layout.cells] == [f for f in FEATURES if f != "holiday"]
    assert found.features().rows == 400
    assert found.predictions().rows == 200
    assert set(found.days) == {at.date() for at in rows.column("time").to_pylist()}
    assert found.columns == tuple(
        ColumnType(field.name, str(field.type)) for field in rows.schema if field.name in FEATURES
    )
    missing = rows.column("carrier").null_count
    assert found.features().of("carrier")[0] == missing > 0


@pytest.mark.parametrize(
    ("spec", "columns", "metric"),
    [
        (spec_of(), [probability("True")], "log_loss"),
        (regression_spec(), [VALUE], "squared_error"),
    ],
    ids=["classifier", "regressor"],
)
def test_answers_are_watched_as_they_are_logged_and_the_level_is_the_gates_metric(
    spec: ModelSpec, columns: list[str], metric: str
) -> None:
    label = spec.data.label.column
    train, test = rows_of(400, 0, label=label), rows_of(200, 1, label=label)
    model = fitted(spec, train, test)
    assert model.watched is not None
    assert model.tested is not None
    assert [cells.column for cells in model.watched.prediction_layout.cells] == columns
    assert model.watched.level == pytest.approx(model.tested.metrics[metric])
    days = model.watched.level_days
    mean = sum(day.value * day.rows for day in days) / 200
    assert mean == pytest.approx(model.watched.level)
    assert [day.day for day in days] == sorted(model.watched.prediction_days)
    assert (model.watched.calibrator is None) == (metric == "squared_error")
    assert (model.watched.estimated_level is None) == (metric == "squared_error")


def test_with_three_classes_the_probability_of_each_is_watched() -> None:
    def three(rows: pa.Table) -> pa.Table:
        names = pa.array(["abc"[row % 3] for row in range(rows.num_rows)])
        return rows.set_column(rows.column_names.index("late"), "late", names)

    found = fitted(spec_of(), three(rows_of(300, 0)), three(rows_of(90, 1))).watched
    assert found is not None
    assert [cells.column for cells in found.prediction_layout.cells] == [*map(probability, "abc")]


def test_the_same_rows_give_the_same_bytes() -> None:
    spec = spec_of(estimator=BOOSTING, params={"max_iter": 20})
    first, second = (baseline_to_bytes(watched(spec)) for _ in range(2))
    assert first == second
    assert baseline_to_bytes(baseline_from_bytes(first)) == first


def test_importance_goes_to_what_the_label_follows_from() -> None:
    shares = watched(spec_of(estimator=BOOSTING, params={"max_iter": 20})).importance
    assert list(shares) == FEATURES
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) >= 0
    assert shares["distance"] == max(shares.values()) > 0.5
    assert shares["carrier"] > shares["holiday"]


def test_importance_is_scikit_learns_within_the_luck_of_permuting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    names = ["a", "b", "c"]

    def rows(count: int) -> pa.Table:
        values = rng.normal(size=(3, count))
        late = rng.random(count) < 1 / (1 + np.exp(-2 * values[0] - values[1]))
        times = pa.array([datetime(2013, 4, 2, tzinfo=UTC)] * count, pa.timestamp("us", "UTC"))
        columns = dict(zip(names, values, strict=True))
        return pa.table({"id": np.arange(count), "time": times, **columns, "late": late})

    spec, test = spec_of(), rows(4000)
    model = fitted(spec, rows(4000), test)
    frame = feature_frame(test, model.features)
    monkeypatch.setattr(making, "REPEATS", 20)
    monkeypatch.setattr(making, "MOST_PERMUTED_VALUES", 10**6)
    ours = making.importance_of(spec, model.model, test, frame, model.features, model.classes)
    truth = np.array(test.column("late").to_pylist())
    theirs = permutation_importance(
        model.model,
        frame,
        truth,
        scoring=lambda fitted, some, truth: -log_loss(truth, fitted.predict_proba(some)),
        n_repeats=20,
        random_state=1,
    ).importances_mean
    shares = np.maximum(theirs, 0) / np.maximum(theirs, 0).sum()
    np.testing.assert_allclose([ours[name] for name in names], shares, atol=0.01)


def test_a_time_is_permuted_with_all_its_calendar_columns() -> None:
    rng = np.random.default_rng(0)

    def rows(count: int) -> pa.Table:
        hours = rng.integers(0, 24 * 80, count)
        at = [datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=int(hour)) for hour in hours]
        # Late on evenings of even weekdays: no calendar column alone says so.
        late = [(each.hour >= 12) == (each.weekday() % 2 == 0) for each in at]
        times = pa.array(at, pa.timestamp("us", "UTC"))
        noise = rng.normal(size=count)
        return pa.table(
            {"id": np.arange(count), "time": times, "departs": times, "noise": noise, "late": late}
        )

    spec = spec_of(estimator=BOOSTING, params={"max_iter": 20})
    found = fitted(spec, rows(2000), rows(1000)).watched
    assert found is not None
    assert found.importance["departs"] > 0.95


def test_a_metric_that_is_undefined_on_the_test_window_leaves_a_baseline_without_a_level() -> None:
    spec = spec_of(metric="roc_auc")
    test = with_labels(rows_of(80, 1), [True] * 80)
    found = fitted(spec, rows_of(200, 0), test).watched
    assert found is not None
    assert (found.level, found.level_days, found.importance) == (None, (), {})
    assert found.predictions().rows == 80
    assert baseline_from_bytes(baseline_to_bytes(found)).level is None


def test_a_level_that_is_not_finite_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evergreen.evidence.metrics.value", lambda *_: float("nan"))
    found = watched(spec_of())
    assert (found.level, found.level_days, found.importance) == (None, (), {})


def test_an_estimate_that_is_undefined_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def undefined(*_: object) -> float:
        raise MetricUndefined("never expected")

    monkeypatch.setattr("evergreen.performance.estimate.estimate", undefined)
    found = watched(spec_of())
    assert (found.calibrator, found.estimated_level, found.estimated_days) == (None, None, ())
    assert found.level is not None


def test_rows_without_a_label_are_in_neither() -> None:
    train = with_labels(rows_of(200, 0), [None] * 50 + [True, False] * 75)
    found = fitted(spec_of(), train, with_labels(rows_of(80, 1), [None] * 20 + [True, False] * 30))
    assert found.watched is not None
    assert (found.watched.features().rows, found.watched.predictions().rows) == (150, 60)


def test_weights_weigh_the_level_and_count_no_row_twice() -> None:
    rows, test = (
        rows_of(n, seed).append_column("weight", pa.array(np.linspace(0, 2, n)))
        for n, seed in ((200, 0), (80, 1))
    )
    spec = spec_of(weight="weight")
    weighted, plain = fitted(spec, rows, test).watched, fitted(spec_of(), rows, test).watched
    assert weighted is not None
    assert plain is not None
    assert weighted.level != plain.level
    assert weighted.features().rows == 200


def test_a_refit_counts_all_that_it_learnt_and_keeps_what_the_tested_model_proved() -> None:
    spec, rows, test = spec_of(), rows_of(200, 0), rows_of(80, 1)
    tested = fitted(spec, rows, test).watched
    assert tested is not None
    refit = fitted(
        spec,
        pa.concat_tables([rows, test]),
        test,
        refit_of=candidate_of(spec, rows, test),
        tested_baseline=tested,
    ).watched
    assert refit is not None
    assert refit.features().rows == 280
    assert refit.predictions().counts.tolist() == tested.predictions().counts.tolist()
    for name in ("importance", "level", "level_days", "calibrator", "estimated_level", "estimated_days"):
        assert getattr(refit, name) == getattr(tested, name)


def test_a_refit_of_a_candidate_without_a_baseline_has_none() -> None:
    spec, rows, test = spec_of(), rows_of(200, 0), rows_of(80, 1)
    candidate = candidate_of(spec, rows, test)
    assert fitted(spec, pa.concat_tables([rows, test]), test, refit_of=candidate).watched is None


def test_a_constant_model_has_no_importance_and_a_baseline_all_the_same() -> None:
    found = watched(spec_of(estimator="sklearn.dummy.DummyClassifier"))
    assert found.importance == {}
    assert found.prediction_layout.cells[0].scale == 0.0


def test_days_of_the_baseline_add_up() -> None:
    found = watched(spec_of())
    first, second, *_ = found.days.values()
    assert merge(first, second).rows == first.rows + second.rows
    assert all(isinstance(day, date) for day in found.days)
