"""Per-row losses against scikit-learn, and what they refuse."""

import numpy as np
import pytest
from sklearn import metrics

from evergreen.errors import DataUnusable
from evergreen.losses import row_losses

RNG = np.random.default_rng(5)
LABELS = RNG.choice(["no", "yes"], 300)
BINARY = np.stack([1 - (p := RNG.uniform(0, 1, 300)), p], axis=1)
THREE = RNG.dirichlet([1, 2, 3], 300)
COLOURS = RNG.choice(["blue", "green", "red"], 300)


def test_binary_losses_equal_scikit_learn():
    classes = ["no", "yes"]
    assert row_losses("log_loss", LABELS, BINARY, classes).mean() == pytest.approx(
        metrics.log_loss(LABELS, BINARY[:, 1])
    )
    assert row_losses("brier", LABELS, BINARY, classes).mean() == pytest.approx(
        metrics.brier_score_loss(LABELS, BINARY[:, 1], pos_label="yes", scale_by_half=False)
    )
    predicted = np.where(BINARY[:, 1] > 0.5, "yes", "no")
    assert row_losses("error_rate", LABELS, BINARY, classes).mean() == pytest.approx(
        1 - metrics.accuracy_score(LABELS, predicted)
    )


def test_multiclass_losses_equal_scikit_learn():
    classes = ["blue", "green", "red"]
    assert row_losses("log_loss", COLOURS, THREE, classes).mean() == pytest.approx(
        metrics.log_loss(COLOURS, THREE, labels=classes)
    )
    assert row_losses("brier", COLOURS, THREE, classes).mean() == pytest.approx(
        metrics.brier_score_loss(COLOURS, THREE, labels=classes)
    )


def test_regression_losses_equal_scikit_learn():
    labels, predictions = RNG.normal(0, 9, 50), RNG.normal(0, 9, 50)
    assert row_losses("squared_error", labels, predictions, []).mean() == pytest.approx(
        metrics.mean_squared_error(labels, predictions)
    )
    assert row_losses("absolute_error", labels, predictions, []).mean() == pytest.approx(
        metrics.mean_absolute_error(labels, predictions)
    )


def test_certain_and_wrong_is_a_large_finite_loss():
    loss = row_losses("log_loss", np.array(["yes"]), np.array([[1.0, 0.0]]), ["no", "yes"])
    assert 30 < loss[0] < 50


def test_a_label_the_model_never_saw_counts_as_probability_zero():
    labels, certain = np.array(["maybe"]), np.array([[0.5, 0.5]])
    assert row_losses("log_loss", labels, certain, ["no", "yes"])[0] > 30
    assert row_losses("error_rate", labels, certain, ["no", "yes"])[0] == 1
    assert row_losses("brier", labels, certain, ["no", "yes"])[0] == pytest.approx(1.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite_are_refused(bad: float):
    with pytest.raises(DataUnusable, match=r"not finite.*1 of 2"):
        row_losses("squared_error", np.zeros(2), np.array([0.0, bad]), [])


def test_predictions_of_another_shape_are_refused():
    with pytest.raises(DataUnusable, match=r"shape \(2, 2\)"):
        row_losses("log_loss", np.array(["a", "b"]), np.zeros((2, 3)), ["a", "b"])


def test_a_class_that_only_one_model_knows_does_not_change_the_brier_scale():
    labels = np.array(["no", "yes"])
    two, three = np.array([[0.7, 0.3], [0.2, 0.8]]), np.array([[0.7, 0.0, 0.3], [0.2, 0.0, 0.8]])
    narrow = row_losses("brier", labels, two, ["no", "yes"])
    wide = row_losses("brier", labels, three, ["no", "rare", "yes"])
    assert narrow == pytest.approx(wide)


def test_labels_that_are_not_finite_are_refused():
    with pytest.raises(DataUnusable, match="not finite"):
        row_losses("absolute_error", np.array([np.nan]), np.array([1.0]), [])
