"""The estimate without labels against what the labels turn out to say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import MetricUndefined, value
from evergreen.metric_spec import Cost, CostMatrix, Metric, OwnMetric, PlainMetric, QuantileLoss
from evergreen.performance.estimate import (
    FEWEST_CORNERS,
    MOST_CORNERS,
    calibrated,
    estimable,
    estimate,
    estimate_by_day,
    fit_calibrator,
)
from evergreen.profiles.baseline import Calibrator

COSTS = CostMatrix(
    type="cost",
    costs=[
        Cost(truth=truth, decided=decided, cost=1.0 + 2 * place)
        for place, truth in enumerate("abc")
        for decided in "abc"
        if truth != decided
    ],
)
NAMES = ("log_loss", "brier", "error_rate", "accuracy", "roc_auc", "average_precision")
METRICS: tuple[Metric, ...] = (*(PlainMetric.model_validate({"type": name}) for name in NAMES), COSTS)
LOG_LOSS = METRICS[0]


def generated(
    count: int, classes: str, temper: float = 1.0, seed: int = 0, pull: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a model and labels; the truth's shares are the model's, tempered.

    `pull` moves the features: towards answers of which the model is less certain where negative.
    """
    rng = np.random.default_rng(seed)
    shares = np.exp((1.5 + pull) * rng.normal(size=(count, len(classes))))
    shares /= shares.sum(axis=1, keepdims=True)
    truth = shares**temper
    truth /= truth.sum(axis=1, keepdims=True)
    codes = (truth.cumsum(axis=1) < rng.uniform(size=(count, 1))).sum(axis=1)
    return shares, np.array(list(classes))[codes.clip(max=len(classes) - 1)]


def realised(metric: Metric, shares: np.ndarray, labels: np.ndarray, classes: str) -> float:
    rows = JudgedRows(labels, tuple(classes), np.zeros(len(labels), dtype=int), "row")
    return value(metric, rows, shares)


@pytest.mark.parametrize("classes", ["ab", "abc"])
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.type)
@pytest.mark.parametrize("temper", [1.0, 0.5], ids=["calibrated", "too sure of itself"])
def test_the_estimate_is_what_labels_say_later(metric: Metric, classes: str, temper: float) -> None:
    calibrator = fit_calibrator(*reversed(generated(40_000, classes, temper, 1)), tuple(classes))
    shares, labels = generated(40_000, classes, temper, 2)
    found, truth = estimate(metric, calibrator, shares), realised(metric, shares, labels, classes)
    assert found == pytest.approx(truth, rel=0.04)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.type)
def test_the_estimate_follows_a_shift_of_the_features(metric: Metric) -> None:
    calibrator = fit_calibrator(*reversed(generated(40_000, "ab", 0.7, 1)), ("a", "b"))
    before, labels = generated(40_000, "ab", 0.7, 2)
    after, later = generated(40_000, "ab", 0.7, 3, pull=-0.7)
    moved = realised(metric, after, later, "ab") - realised(metric, before, labels, "ab")
    found = estimate(metric, calibrator, after) - estimate(metric, calibrator, before)
    assert abs(moved) > 0.05
    assert found == pytest.approx(moved, rel=0.2)


def test_trusting_the_probabilities_of_a_model_too_sure_of_itself_would_be_wrong() -> None:
    shares, labels = generated(40_000, "ab", 0.5, 2)
    calibrator = fit_calibrator(labels, shares, ("a", "b"))
    as_they_are = Calibrator(("a", "b"), ((0.0, 1.0), (0.0, 1.0)), ((0.0, 1.0), (0.0, 1.0)))
    truth = realised(LOG_LOSS, shares, labels, "ab")
    assert estimate(LOG_LOSS, as_they_are, shares) < 0.85 * truth
    assert estimate(LOG_LOSS, calibrator, shares) == pytest.approx(truth, rel=0.01)


def test_a_change_of_what_the_label_depends_on_is_not_seen() -> None:
    shares, labels = generated(10_000, "ab", seed=1)
    calibrator = fit_calibrator(labels, shares, ("a", "b"))
    turned = np.where(labels == "a", "b", "a")
    assert realised(LOG_LOSS, shares, turned, "ab") > 2 * estimate(LOG_LOSS, calibrator, shares)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.sampled_from(METRICS[:4]), st.integers(0, 10**6))
def test_a_mean_metric_is_the_average_over_what_the_truth_may_be(
    count: int, metric: Metric, seed: int
) -> None:
    shares, labels = generated(200, "abc", seed=seed)
    calibrator = fit_calibrator(labels, shares, tuple("abc"))
    asked = shares[:count]
    expected = 0.0
    for place, name in enumerate("abc"):
        truth = calibrated(calibrator, asked)[:, place]
        for row in range(count):
            alone = realised(metric, asked[row : row + 1], np.array([name]), "abc")
            expected += truth[row] * alone / count
    assert estimate(metric, calibrator, asked) == pytest.approx(expected)


def test_the_estimated_auc_is_the_expected_share_of_pairs_in_order() -> None:
    shares, labels = generated(200, "ab", seed=4)
    calibrator = fit_calibrator(labels, shares, ("a", "b"))
    truth, scores = calibrated(calibrator, shares)[:, 1], shares[:, 1]
    pairs = np.outer(truth, 1 - truth)
    order = (scores[:, None] > scores[None, :]) + 0.5 * (scores[:, None] == scores[None, :])
    expected = (pairs * order).sum() / pairs.sum()
    assert estimate(METRICS[4], calibrator, shares) == pytest.approx(expected)


def test_corners_are_those_of_isotonic_regression_where_scores_are_few() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(1, 50, 3000) / 50
    labels = np.where(rng.uniform(size=3000) < scores**2, "b", "a")
    calibrator = fit_calibrator(labels, np.column_stack([1 - scores, scores]), ("a", "b"))
    line = IsotonicRegression(y_min=0, y_max=1).fit(scores, labels == "b")
    asked = np.linspace(0, 1, 301)
    found = calibrated(calibrator, np.column_stack([1 - asked, asked]))
    expected = np.interp(asked, line.X_thresholds_, line.y_thresholds_)
    assert found[:, 1] == pytest.approx(expected, abs=0.02)
    assert found.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(("classes", "most"), [("ab", MOST_CORNERS), ("abcdefgh", MOST_CORNERS)])
def test_a_calibrator_is_small_however_many_rows(classes: str, most: int) -> None:
    shares, labels = generated(30_000, classes)
    calibrator = fit_calibrator(labels, shares, tuple(classes))
    assert max(len(scores) for scores in calibrator.scores) <= most
    for scores, heights in zip(calibrator.scores, calibrator.shares, strict=True):
        assert list(scores) == sorted(scores)
        assert list(heights) == sorted(heights)
        assert 0 <= heights[0] <= heights[-1] <= 1


def test_many_classes_share_the_corners() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(500, 0.1), 1000)
    classes = tuple(f"{place:03}" for place in range(500))
    calibrator = fit_calibrator(rng.choice(classes, 1000), shares, classes)
    assert sum(map(len, calibrator.scores)) <= 500 * max(FEWEST_CORNERS, 20_000 // 500)


def test_a_row_that_all_lines_call_impossible_keeps_its_probabilities() -> None:
    never = Calibrator(("a", "b", "c"), ((0.0, 1.0),) * 3, ((0.0, 0.0),) * 3)
    row = np.array([[0.2, 0.3, 0.5]])
    assert calibrated(never, row) == pytest.approx(row)


def test_a_weight_counts_like_so_many_rows() -> None:
    shares, labels = generated(300, "ab", seed=5)
    weights = np.random.default_rng(0).integers(0, 4, 300).astype(float)
    again = np.repeat(np.arange(300), weights.astype(int))
    weighed = fit_calibrator(labels, shares, ("a", "b"), weights)
    repeated = fit_calibrator(labels[again], shares[again], ("a", "b"))
    for metric in METRICS[:6]:
        one = estimate(metric, weighed, shares, weights)
        assert one == pytest.approx(estimate(metric, weighed, shares[again]))
        assert one == pytest.approx(estimate(metric, repeated, shares[again]), rel=0.1)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.type)
def test_a_days_estimate_is_that_of_its_rows(metric: Metric) -> None:
    shares, labels = generated(500, "abc")
    calibrator = fit_calibrator(labels, shares, tuple("abc"))
    rng = np.random.default_rng(0)
    days = rng.choice(np.arange("2013-03-01", "2013-03-05", dtype="datetime64[D]"), 500)
    weights = rng.uniform(size=500)
    weights[days == days[0]] = 0
    found = estimate_by_day(metric, calibrator, shares, days, weights)
    assert len(found) == 3
    for each in found:
        rows = days == np.datetime64(each.day)
        assert each.value == pytest.approx(estimate(metric, calibrator, shares[rows], weights[rows]))
        assert each.rows == rows.sum()


def test_only_metrics_of_classifiers_are_estimable() -> None:
    assert all(map(estimable, METRICS))
    own = OwnMetric(type="own", name="mine", task="classification", higher_is_better=True)
    none = (own, QuantileLoss(type="quantile_loss", quantile=0.5), PlainMetric(type="squared_error"))
    assert not any(map(estimable, none))


def test_a_metric_without_an_estimate_is_refused() -> None:
    shares, labels = generated(100, "ab")
    calibrator = fit_calibrator(labels, shares, ("a", "b"))
    with pytest.raises(ValueError, match="no estimate of squared_error"):
        estimate(PlainMetric(type="squared_error"), calibrator, shares)


def test_no_row_has_no_estimate() -> None:
    shares, labels = generated(100, "ab")
    calibrator = fit_calibrator(labels, shares, ("a", "b"))
    with pytest.raises(MetricUndefined):
        estimate(LOG_LOSS, calibrator, shares[:0])
    with pytest.raises(MetricUndefined):
        estimate(LOG_LOSS, calibrator, shares, np.zeros(100))
    with pytest.raises(MetricUndefined):
        fit_calibrator(labels[:0], shares[:0], ("a", "b"))
    none = np.array([], dtype="datetime64[D]")
    assert estimate_by_day(LOG_LOSS, calibrator, shares[:0], none) == ()
