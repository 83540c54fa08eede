"""Metrics against scikit-learn, with and without weights; trivial answers against a plain search."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn import metrics

from evergreen.errors import DataUnusable
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import MetricUndefined, row_values, trivial_answer, value
from evergreen.metric_spec import PlainMetric, QuantileLoss

RNG = np.random.default_rng(7)
N = 400
WEIGHTS = RNG.choice([0.0, 0.5, 2.0], N)
YES = RNG.choice(["no", "yes"], N, p=[0.7, 0.3])
P = np.clip(0.3 * (YES == "yes") + RNG.uniform(0, 0.7, N), 0, 1).round(2)  # with ties
BINARY = np.stack([1 - P, P], axis=1)
RAINBOW = ("blue", "green", "red")
COLOURS = RNG.choice(RAINBOW, N)
THREE = RNG.dirichlet([1, 2, 3], N)


def rows(labels=YES, classes=("no", "yes"), weights=None) -> JudgedRows:
    return JudgedRows(np.asarray(labels), tuple(classes), np.arange(len(labels)), "row", weights)


def plain(name: str) -> PlainMetric:
    return PlainMetric(type=name)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_binary_metrics_equal_scikit_learn(weights):
    truth, decided = YES == "yes", P > 0.5
    oracle = {
        "log_loss": metrics.log_loss(truth, P, sample_weight=weights),
        "brier": metrics.brier_score_loss(truth, P, sample_weight=weights, scale_by_half=False),
        "error_rate": 1 - metrics.accuracy_score(truth, decided, sample_weight=weights),
        "accuracy": metrics.accuracy_score(truth, decided, sample_weight=weights),
        "roc_auc": metrics.roc_auc_score(truth, P, sample_weight=weights),
        "average_precision": metrics.average_precision_score(truth, P, sample_weight=weights),
    }
    for name, expected in oracle.items():
        assert value(plain(name), rows(weights=weights), BINARY) == pytest.approx(expected), name


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_multiclass_ranking_metrics_equal_scikit_learn(weights):
    judged = rows(COLOURS, RAINBOW, weights)
    one_hot = np.asarray(RAINBOW) == COLOURS[:, None]
    assert value(plain("roc_auc"), judged, THREE) == pytest.approx(
        metrics.roc_auc_score(COLOURS, THREE, multi_class="ovr", sample_weight=weights)
    )
    assert value(plain("average_precision"), judged, THREE) == pytest.approx(
        metrics.average_precision_score(one_hot, THREE, average="macro", sample_weight=weights)
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_regression_metrics_equal_scikit_learn(weights):
    labels, predictions = RNG.poisson(3, N).astype(float), RNG.gamma(3, 1, N)
    judged = rows(labels, (), weights)
    oracle = {
        "squared_error": metrics.mean_squared_error,
        "absolute_error": metrics.mean_absolute_error,
        "poisson_loss": metrics.mean_poisson_deviance,
    }
    for name, score in oracle.items():
        expected = score(labels, predictions, sample_weight=weights)
        assert value(plain(name), judged, predictions) == pytest.approx(expected), name


def test_row_values_average_to_the_metric_and_accuracy_goes_up():
    per_row = row_values(plain("accuracy"), rows(weights=WEIGHTS), BINARY)
    assert np.average(per_row, weights=WEIGHTS) == value(
        plain("accuracy"), rows(weights=WEIGHTS), BINARY
    )
    assert row_values(plain("roc_auc"), rows(), BINARY) is None


def test_a_ranking_of_one_class_is_undefined():
    with pytest.raises(MetricUndefined, match="no row has the label 'yes'"):
        value(plain("roc_auc"), rows(np.full(N, "no")), BINARY)
    with pytest.raises(MetricUndefined, match="no row has the label 'red'"):
        value(
            plain("average_precision"), rows(np.where(COLOURS == "red", "blue", COLOURS), RAINBOW), THREE
        )


def test_a_class_whose_rows_all_weigh_nothing_is_missing():
    with pytest.raises(MetricUndefined, match="no row has the label 'yes'"):
        value(plain("roc_auc"), rows(weights=(YES == "no").astype(float)), BINARY)


def test_a_ranking_with_unknown_labels_is_undefined():
    with pytest.raises(MetricUndefined, match="1 of 400 labels are of no class"):
        value(plain("roc_auc"), rows(["maybe", *YES[1:]]), BINARY)


def test_no_row_that_counts_is_undefined():
    with pytest.raises(MetricUndefined, match="no row counts"):
        value(plain("log_loss"), rows(weights=np.zeros(N)), BINARY)


def test_ranking_metrics_check_predictions_too():
    with pytest.raises(DataUnusable, match="not finite"):
        value(plain("roc_auc"), rows(), np.where(P[:, None] > 0.9, np.nan, BINARY))


@pytest.mark.parametrize(
    "metric",
    [
        plain("squared_error"),
        plain("absolute_error"),
        plain("poisson_loss"),
        QuantileLoss(type="quantile_loss", quantile=0.8),
    ],
    ids=lambda metric: metric.type,
)
def test_no_constant_beats_the_trivial_answer(metric):
    rng = np.random.default_rng(7)
    labels = rng.poisson(4, 301).astype(float) + 0.1
    judged = rows(labels, ())

    def loss(constant: float) -> float:
        return value(metric, judged, np.full(301, constant))

    best = minimize_scalar(loss, bounds=(0.1, 15), method="bounded", options={"xatol": 1e-9})
    (answer,) = trivial_answer(metric, labels, ())
    assert loss(answer) <= best.fun + 1e-9


@pytest.mark.parametrize(
    "metric",
    [
        plain("squared_error"),
        plain("absolute_error"),
        plain("poisson_loss"),
        QuantileLoss(type="quantile_loss", quantile=0.8),
    ],
    ids=lambda metric: metric.type,
)
def test_no_constant_beats_the_trivial_answer_of_weighted_rows(metric):
    rng = np.random.default_rng(7)
    labels = rng.poisson(4, 301).astype(float) + 0.1
    weights = rng.lognormal(0, 1, 301) * (labels > 2) * (1 + 5 * (labels > 5))
    judged = replace(rows(labels, ()), weights=weights)

    def loss(constant: float) -> float:
        return value(metric, judged, np.full(301, constant))

    best = minimize_scalar(loss, bounds=(0.1, 15), method="bounded", options={"xatol": 1e-9})
    (answer,) = trivial_answer(metric, labels, (), weights)
    assert loss(answer) <= best.fun + 1e-9
    assert loss(trivial_answer(metric, labels, ())[0]) > best.fun + 1e-3


def test_the_weighted_trivial_answer_of_classes_is_their_share_of_the_weight():
    labels = np.array(["b", "a", "b", "b"])
    answer = trivial_answer(plain("log_loss"), labels, ("a", "b", "c"), np.array([0.5, 3.0, 0.5, 0.0]))
    assert answer == (0.75, 0.25, 0.0)


def test_a_window_without_events_leaves_the_poisson_loss_a_mean_above_0():
    (answer,) = trivial_answer(plain("poisson_loss"), np.zeros(50), ())
    assert answer == 0.01
    assert trivial_answer(plain("squared_error"), np.zeros(50), ()) == (0.0,)


def test_the_trivial_answer_of_classes_is_their_shares():
    answer = trivial_answer(plain("log_loss"), np.array(["b", "a", "b", "b"]), ("a", "b", "c"))
    assert answer == (0.25, 0.75, 0.0)
