"""The metric by day against scikit-learn on each day's rows, and the days that have none."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from evergreen.errors import DataUnusable
from evergreen.evidence import own_metrics
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import value
from evergreen.metric_spec import Metric, OwnMetric, PlainMetric
from evergreen.performance.daily import metric_by_day

CLASSES = ("no", "yes")
DAYS = np.arange("2013-03-01", "2013-03-08", dtype="datetime64[D]")
OWN = OwnMetric(type="own", name="mine", task="classification", higher_is_better=False)


def plain(name: str) -> PlainMetric:
    return PlainMetric.model_validate({"type": name})


def answered(
    count: int = 700, weights: np.ndarray | None = None, seed: int = 0
) -> tuple[JudgedRows, np.ndarray, np.ndarray]:
    """Rows with a day each in no order, their predictions and days."""
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.01, 0.99, count)
    labels = np.where(rng.uniform(size=count) < shares, "yes", "no")
    rows = JudgedRows(labels, CLASSES, np.arange(count), "row", weights)
    return rows, np.column_stack([1 - shares, shares]), rng.choice(DAYS, count)


ORACLES = {
    "log_loss": lambda y, p, w: sk.log_loss(y, p, sample_weight=w, labels=[0, 1]),
    "brier": lambda y, p, w: 2 * sk.brier_score_loss(y, p, sample_weight=w),
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p > 0.5, sample_weight=w),
    "roc_auc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: sk.average_precision_score(y, p, sample_weight=w),
}


@pytest.mark.parametrize("name", sorted(ORACLES))
@pytest.mark.parametrize("weighted", [False, True])
def test_each_day_has_what_scikit_learn_gives_for_its_rows(name: str, weighted: bool) -> None:
    weights = np.random.default_rng(1).uniform(0.1, 3, 700) if weighted else None
    rows, predictions, days = answered(weights=weights)
    found = metric_by_day(plain(name), rows, predictions, days)
    assert [np.datetime64(each.day) for each in found] == list(DAYS)
    for each in found:
        of_day = days == np.datetime64(each.day)
        expected = ORACLES[name](
            (rows.labels[of_day] == "yes").astype(int),
            predictions[of_day, 1],
            None if weights is None else weights[of_day],
        )
        assert each.value == pytest.approx(expected)
        assert each.rows == of_day.sum()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from(["log_loss", "brier", "error_rate"])
)
def test_the_days_of_a_mean_metric_weighed_by_rows_are_the_metric(
    count: int, seed: int, name: str
) -> None:
    rows, predictions, days = answered(count, seed=seed)
    found = metric_by_day(plain(name), rows, predictions, days)
    whole = sum(each.value * each.rows for each in found) / sum(each.rows for each in found)
    assert whole == pytest.approx(value(plain(name), rows, predictions))


def test_a_day_of_one_class_has_no_ranking_and_is_left_out() -> None:
    labels = np.array(["no", "yes", "yes", "yes"])
    rows = JudgedRows(labels, CLASSES, np.arange(4), "row")
    days = np.array(["2013-03-01", "2013-03-01", "2013-03-02", "2013-03-02"], dtype="datetime64[D]")
    predictions = np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5], [0.5, 0.5]])
    found = metric_by_day(plain("roc_auc"), rows, predictions, days)
    assert [(each.day, each.value) for each in found] == [(date(2013, 3, 1), 1.0)]
    assert len(metric_by_day(plain("log_loss"), rows, predictions, days)) == 2


def test_rows_of_no_weight_make_no_day() -> None:
    rows, predictions, days = answered(weights=np.zeros(700))
    first = days == DAYS[0]
    rows = JudgedRows(rows.labels, CLASSES, rows.clusters, "row", first.astype(float))
    found = metric_by_day(plain("log_loss"), rows, predictions, days)
    assert [(np.datetime64(each.day), each.rows) for each in found] == [(DAYS[0], first.sum())]


def test_no_rows_make_no_days() -> None:
    rows, predictions, days = answered()
    none = np.zeros(700, dtype=bool)
    assert metric_by_day(plain("log_loss"), rows.only(none), predictions[none], days[none]) == ()


def test_labels_of_no_known_class_are_not_swallowed_by_a_mean_metric() -> None:
    rows = JudgedRows(np.array(["maybe"]), CLASSES, np.arange(1), "row")
    found = metric_by_day(plain("error_rate"), rows, np.array([[0.9, 0.1]]), DAYS[:1])
    assert found[0].value == 1.0


def own(monkeypatch: pytest.MonkeyPatch, function: Any) -> Metric:
    monkeypatch.setattr(own_metrics, "registered_metric", lambda name: function)
    return OWN


def test_an_own_metric_of_one_value_is_asked_day_by_day(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, predictions, days = answered()
    metric = own(monkeypatch, lambda labels, predictions, classes, weights: float(len(labels)))
    found = metric_by_day(metric, rows, predictions, days)
    assert [each.value for each in found] == [float((days == day).sum()) for day in DAYS]


def test_an_own_metric_of_a_value_per_row_is_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, predictions, days = answered()
    metric = own(monkeypatch, lambda labels, predictions, classes, weights: predictions[:, 1])
    found = metric_by_day(metric, rows, predictions, days)
    assert found[0].value == pytest.approx(predictions[days == DAYS[0], 1].mean())


def test_a_day_on_which_an_own_metric_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, predictions, days = answered()
    size = int((days == DAYS[2]).sum())

    def picky(labels: np.ndarray, *_: object) -> float:
        if len(labels) == size:
            raise ZeroDivisionError
        return 1.0

    found = metric_by_day(own(monkeypatch, picky), rows, predictions, days)
    assert {np.datetime64(each.day) for each in found} < set(DAYS)


def test_an_own_metric_that_fails_on_every_day_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, predictions, days = answered()

    def picky(labels: np.ndarray, *_: object) -> float:
        if len(labels) < 700:
            raise ZeroDivisionError
        return 1.0

    with pytest.raises(DataUnusable, match="'mine' failed: ZeroDivisionError"):
        metric_by_day(own(monkeypatch, picky), rows, predictions, days)
