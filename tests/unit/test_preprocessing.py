"""From rows to a fitted model: columns of every type, and the data that cannot be learned from."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from evergreen.column_kinds import kind_of
from evergreen.errors import DataUnusable, TrainingFailed
from evergreen.results import ColumnType
from evergreen.serving.predictions import predict
from evergreen.training.fit import Fitted, Measured, fit
from evergreen.training.frame import feature_frame
from tests.training_runs import regression_spec, retrain_of, rows_of, spec_of

BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
FEW_TREES = {"max_iter": 5}


def with_column(rows: pa.Table, name: str, values: Any) -> pa.Table:
    if name in rows.column_names:
        rows = rows.drop_columns([name])
    return rows.append_column(name, values if isinstance(values, pa.Array) else pa.array(values))


def fit_rows(rows: pa.Table, test: pa.Table | None = None, **changes: Any) -> Fitted:
    spec = spec_of(**changes)
    return fit(spec, rows, rows if test is None else test, retrain_of(spec).windows)


def fit_minutes(rows: pa.Table, test: pa.Table) -> Fitted:
    spec = regression_spec()
    return fit(spec, rows, test, retrain_of(spec).windows)


def measured(fitted: Fitted) -> Measured:
    assert fitted.tested is not None
    return fitted.tested


def features_of(table: pa.Table) -> tuple[ColumnType, ...]:
    return tuple(ColumnType(field.name, str(field.type)) for field in table.schema)


def test_each_type_of_column_becomes_what_a_model_can_read() -> None:
    table = pa.table(
        {
            "int": pa.array([1, None], pa.int32()),
            "decimal": [Decimal("1.5"), None],
            "bool": [True, None],
            "text": ["a", None],
            "category": pa.array(["a", None]).dictionary_encode(),
            "day": [date(2013, 3, 5), None],
            "clock": [time(13, 5), None],
            "span": [timedelta(seconds=2), None],
            "at": pa.array([1362495900, None], pa.timestamp("s", tz="America/New_York")),
        }
    )
    first = feature_frame(table, features_of(table)).iloc[0].to_dict()
    assert first == {
        "int": 1.0,
        "decimal": 1.5,
        "bool": 1.0,
        "text": "a",
        "category": "a",
        "day__month": 3.0,
        "day__day": 5.0,
        "day__weekday": 1.0,
        "clock__hour": 13.0,
        "clock__minute": 5.0,
        "span": 2e6,
        "at__month": 3.0,
        "at__day": 5.0,
        "at__weekday": 1.0,
        "at__hour": 15.0,
        "at__minute": 5.0,
    }
    second = feature_frame(table, features_of(table)).iloc[1]
    assert second.isna().all()


def test_infinite_numbers_are_missing_and_counted() -> None:
    rows = with_column(rows_of(60, 0), "distance", [np.inf, -np.inf, *range(58)])
    fitted = fit_rows(rows)
    assert "2 infinite values of feature 'distance' are taken as missing" in fitted.warnings
    assert feature_frame(rows, fitted.features)["distance"].isna().sum() == 2


def test_a_lost_column_may_come_back_as_null_and_a_challenger_leaves_it_out() -> None:
    rows = rows_of(60, 0)
    champion = fit_rows(rows)
    nulls = with_column(rows, "distance", pa.nulls(60))
    assert feature_frame(nulls, champion.features)["distance"].isna().all()
    assert "distance" not in {feature.name for feature in fit_rows(nulls).features}
    with pytest.raises(DataUnusable, match=r"lost: distance.*as NULL"):
        feature_frame(rows.drop_columns(["distance"]), champion.features)


@pytest.mark.parametrize(
    "column_type", [pa.list_(pa.int64()), pa.struct({"a": pa.int64()}), pa.binary()]
)
def test_a_column_no_model_can_use_is_refused_by_name(column_type: pa.DataType) -> None:
    rows = with_column(rows_of(60, 0), "odd", pa.nulls(60, column_type))
    with pytest.raises(DataUnusable, match=r"odd: .*data\.exclude"):
        fit_rows(rows)
    assert fit_rows(rows, exclude=("odd",)).rows_trained == 60


def test_empty_and_constant_columns_are_left_out_with_a_warning() -> None:
    rows = with_column(rows_of(60, 0), "empty", pa.nulls(60, pa.string()))
    rows = with_column(with_column(rows, "nothing", pa.nulls(60)), "same", ["x"] * 60)
    fitted = fit_rows(rows)
    assert not {"empty", "nothing", "same"} & {f.name for f in fitted.features}
    assert sum("left out" in warning for warning in fitted.warnings) == 3


def test_no_usable_feature_is_an_error_that_says_why() -> None:
    rows = with_column(rows_of(60, 0).select(["id", "time", "late"]), "same", ["x"] * 60)
    with pytest.raises(DataUnusable, match=r"no usable feature.*'same' left out"):
        fit_rows(rows)


def test_a_changed_type_is_refused_and_a_harmless_one_read() -> None:
    rows = rows_of(60, 0)
    fitted = fit_rows(rows)
    whole = with_column(rows, "distance", list(range(60)))
    assert len(feature_frame(whole, fitted.features)) == 60
    with pytest.raises(DataUnusable, match=r"'distance'.*got string; allowed: double"):
        feature_frame(with_column(rows, "distance", ["1"] * 60), fitted.features)
    with pytest.raises(DataUnusable, match="'scheduled'"):
        feature_frame(with_column(rows, "scheduled", [1.0] * 60), fitted.features)
    days = with_column(rows, "scheduled", [date(2013, 1, 1)] * 60)
    assert (feature_frame(days, fitted.features)["scheduled__hour"] == 0).all()


def test_a_calendar_column_that_collides_is_refused() -> None:
    rows = with_column(rows_of(60, 0), "scheduled__hour", range(60))
    with pytest.raises(DataUnusable, match=r"'scheduled__hour'.*collides"):
        fit_rows(rows)


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        (BOOSTING, FEW_TREES),
        (BOOSTING, FEW_TREES | {"max_bins": 16}),
        ("sklearn.linear_model.LogisticRegression", {}),
        ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5}),
        ("sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 5}),
        ("sklearn.naive_bayes.GaussianNB", {}),
    ],
)
def test_ten_thousand_categories_missing_values_and_unknown_ones_work(
    estimator: str, params: dict[str, Any]
) -> None:
    rows = rows_of(12_000, 0)
    codes = [None if i % 50 == 0 else f"tail{i % 10_000}" for i in range(12_000)]
    fitted = fit_rows(with_column(rows, "tail", codes), estimator=estimator, params=params)
    assert any("'tail' has 9800 categories" in warning for warning in fitted.warnings)
    new = with_column(rows_of(10, 1), "tail", ["never seen"] * 9 + [None])
    answer = predict(fitted.model, feature_frame(new, fitted.features), fitted.classes)
    assert answer.shape == (10, 2)


@pytest.mark.parametrize(
    "estimator",
    ["sklearn.ensemble.RandomForestClassifier", "sklearn.tree.DecisionTreeClassifier", BOOSTING],
)
@pytest.mark.parametrize("seen", [True, False])
def test_missing_numbers_beside_many_categories_are_learnt_from_and_answered(
    estimator: str, seen: bool
) -> None:
    rows = with_column(rows_of(400, 0), "tail", [f"tail{i % 40}" for i in range(400)])
    rows = with_column(rows, "gate", [f"gate{i % 37}" for i in range(400)])
    if seen:
        distance = [None if i % 9 == 0 else d for i, d in enumerate(rows["distance"].to_pylist())]
        rows = with_column(rows, "distance", pa.array(distance))
    fitted = fit_rows(rows, estimator=estimator)
    nulls = pa.table({f.name: pa.nulls(1, rows.schema.field(f.name).type) for f in fitted.features})
    answer = predict(fitted.model, feature_frame(nulls, fitted.features), fitted.classes)
    assert answer.shape == (1, 2)


@pytest.mark.parametrize("estimator", [BOOSTING, "sklearn.ensemble.RandomForestClassifier"])
def test_the_same_input_gives_the_same_predictions(estimator: str) -> None:
    first, second = (fit_rows(rows_of(300, 0), estimator=estimator) for _ in range(2))
    np.testing.assert_array_equal(measured(first).predictions, measured(second).predictions)


def test_a_model_learns_what_is_there_to_learn() -> None:
    fitted = fit_rows(rows_of(2000, 0), rows_of(500, 1), estimator=BOOSTING)
    assert measured(fitted).metrics["log_loss"] < measured(fitted).metrics["baseline_log_loss"] - 0.1
    assert measured(fitted).metrics["roc_auc"] > 0.8


def test_a_constraint_may_name_a_column() -> None:
    params = FEW_TREES | {"monotonic_cst": {"distance": -1}}
    fitted = fit_rows(rows_of(300, 0), estimator=BOOSTING, params=params)
    rows = rows_of(2, 3).slice(0, 1)
    near, far = (with_column(rows, "distance", [d]) for d in (-3.0, 3.0))
    near_p, far_p = (
        predict(fitted.model, feature_frame(r, fitted.features), fitted.classes)[0, 1]
        for r in (near, far)
    )
    assert near_p >= far_p


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pa.array([0, 1, 2] * 20), ("0", "1", "2")),
        (pa.array(["on time", "late", "lost"] * 20), ("late", "lost", "on time")),
        (pa.array(["a", "b", "b"] * 20).dictionary_encode(), ("a", "b")),
    ],
)
def test_labels_of_each_kind_become_sorted_classes(labels: pa.Array, classes: tuple[str, ...]) -> None:
    fitted = fit_rows(with_column(rows_of(60, 0), "late", labels))
    assert fitted.classes == classes
    assert measured(fitted).predictions.shape == (60, len(classes))
    assert sum(fitted.baseline) == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5] * 60, "got double; allowed: boolean, integer or text"),
        ([None] * 60, "most rows have no label.*60 of 60"),
        ([True, *[None] * 59], "most rows have no label.*59 of 60"),
        ([True] * 60, "one class only"),
        ([True] * 10 + [None] * 8 + [True] * 42, "one class only"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(labels: list[Any], message: str) -> None:
    with pytest.raises(DataUnusable, match=message):
        fit_rows(with_column(rows_of(60, 0), "late", labels))


def test_an_identifier_as_label_is_refused() -> None:
    rows = rows_of(1100, 0)
    with pytest.raises(DataUnusable, match=r"too many classes.*1100"):
        fit_rows(with_column(rows, "late", [str(i) for i in range(1100)]))


def test_rows_without_a_label_are_left_out_and_counted() -> None:
    labels = [None, None, *[True, False] * 29]
    fitted = fit_rows(with_column(rows_of(60, 0), "late", labels))
    assert (fitted.rows_trained, len(measured(fitted).labels)) == (58, 58)
    assert "2 rows without a label left out of the train window" in fitted.warnings


def test_rows_with_a_label_must_reach_the_minimum() -> None:
    labels = [None, None, *[True, False] * 29]
    with pytest.raises(DataUnusable, match=r"train window.*58 of 60 rows.*59"):
        fit_rows(with_column(rows_of(60, 0), "late", labels), min_rows=59)


def test_a_test_label_never_seen_in_training_is_warned_of_and_counts_as_wrong() -> None:
    train = with_column(rows_of(60, 0), "late", ["a", "b"] * 30)
    test = with_column(rows_of(60, 0), "late", ["c"] * 60)
    fitted = fit_rows(train, test)
    assert measured(fitted).metrics["error_rate"] == 1
    assert "roc_auc" not in measured(fitted).metrics
    assert "test labels that no training row has: c" in fitted.warnings


def test_a_regression_measures_both_losses_and_r2() -> None:
    fitted = fit_minutes(rows_of(500, 0, label="minutes"), rows_of(200, 1, label="minutes"))
    assert measured(fitted).metrics["r2"] > 0.8
    assert measured(fitted).metrics["squared_error"] < measured(fitted).metrics["baseline_squared_error"]


@pytest.mark.parametrize(
    ("minutes", "message"),
    [
        (["1"] * 60, "got string"),
        ([np.inf, *range(59)], "not finite.*1 of 60"),
        ([3.0] * 60, "the same in every row"),
    ],
)
def test_a_regression_label_that_is_no_number_is_refused(minutes: list[Any], message: str) -> None:
    rows = with_column(rows_of(60, 0, label="minutes"), "minutes", minutes)
    with pytest.raises(DataUnusable, match=message):
        fit_minutes(rows, rows)


def test_a_value_scikit_learn_refuses_names_what_is_allowed() -> None:
    with pytest.raises(TrainingFailed, match=r"max_iter.*range \[1, inf\)"):
        fit_rows(rows_of(60, 0), estimator=BOOSTING, params={"max_iter": 0})


def test_what_a_fit_prints_or_warns_stays_off_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    noisy = {"max_iter": 2, "verbose": 1}
    fitted = fit_rows(rows_of(60, 0), estimator="sklearn.neural_network.MLPClassifier", params=noisy)
    assert capfd.readouterr().out == ""
    assert any("ConvergenceWarning" in warning for warning in fitted.warnings)


def test_kinds_of_types() -> None:
    assert kind_of("uint8") == "number"
    assert kind_of("decimal128(10, 2)") == "number"
    assert kind_of("date32[day]") == "date"
    assert kind_of("time64[us]") == "time"
    assert kind_of("dictionary<values=int64, indices=int32, ordered=0>") == "number"
    assert kind_of("map<string, int64>") is None


def test_the_trivial_answers_count_rows_by_their_weight_and_the_fit_does_not() -> None:
    rows, weights = rows_of(400, 0), np.random.default_rng(1).lognormal(0, 1, 400)
    weighted = with_column(rows, "w", weights)
    fitted, plain = fit_rows(weighted, weight="w"), fit_rows(rows)
    late = rows.column("late").to_numpy(zero_copy_only=False)
    times = rows.column("time").to_numpy()
    last = (times >= np.datetime64("2013-03-02")) & (times < np.datetime64("2013-04-01"))
    share, last_share = (np.average(late[at], weights=weights[at]) for at in (late >= 0, last))
    assert fitted.baseline == pytest.approx((1 - share, share))
    assert fitted.last_period == pytest.approx((1 - last_share, last_share))
    assert fitted.baseline != pytest.approx(plain.baseline, abs=1e-3)
    assert np.array_equal(fitted.reference, plain.reference)


def test_a_last_period_of_no_weight_has_no_trivial_answer() -> None:
    rows = rows_of(400, 0)
    times = rows.column("time").to_numpy()
    weights = np.where(times >= np.datetime64("2013-03-01"), 0, 1)
    fitted = fit_rows(with_column(rows, "w", weights), weight="w")
    assert fitted.last_period == ()
    assert len(fitted.baseline) == 2


def test_train_rows_whose_weights_cannot_weigh_are_refused() -> None:
    weights = np.where(np.arange(60) == 7, -1.0, 1.0)
    with pytest.raises(DataUnusable, match=r"data\.weight, column 'w'.*got 1 of 60 rows"):
        fit_rows(with_column(rows_of(60, 0), "w", weights), weight="w")
