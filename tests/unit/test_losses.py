"""Per-row losses against scikit-learn, and what they refuse."""

import numpy as np
import pytest
from sklearn import metrics

from evergreen.errors import DataUnusable
from evergreen.evidence.judged_rows import JudgedRows, class_codes
from evergreen.evidence.losses import largest_difference, row_losses
from evergreen.metric_spec import Cost, CostMatrix, Metric, PlainMetric, QuantileLoss

RNG = np.random.default_rng(5)
LABELS = RNG.choice(["no", "yes"], 300)
BINARY = np.stack([1 - (p := RNG.uniform(0, 1, 300)), p], axis=1)
THREE = RNG.dirichlet([1, 2, 3], 300)
COLOURS = RNG.choice(["blue", "green", "red"], 300)
NO_YES, RAINBOW = ("no", "yes"), ("blue", "green", "red")


def losses(metric: str | Metric, labels, predictions, classes=()) -> np.ndarray:
    rows = JudgedRows(np.asarray(labels), tuple(classes), np.arange(len(labels)), "row")
    return row_losses(
        PlainMetric(type=metric) if isinstance(metric, str) else metric, rows, np.asarray(predictions)
    )


def costs(*listed: tuple[str, str, float]) -> CostMatrix:
    return CostMatrix(type="cost", costs=[Cost(truth=t, decided=d, cost=cost) for t, d, cost in listed])


def test_binary_losses_equal_scikit_learn():
    assert losses("log_loss", LABELS, BINARY, NO_YES).mean() == pytest.approx(
        metrics.log_loss(LABELS, BINARY[:, 1])
    )
    assert losses("brier", LABELS, BINARY, NO_YES).mean() == pytest.approx(
        metrics.brier_score_loss(LABELS, BINARY[:, 1], pos_label="yes", scale_by_half=False)
    )
    predicted = np.where(BINARY[:, 1] > 0.5, "yes", "no")
    assert losses("error_rate", LABELS, BINARY, NO_YES).mean() == pytest.approx(
        1 - metrics.accuracy_score(LABELS, predicted)
    )


def test_multiclass_losses_equal_scikit_learn():
    assert losses("log_loss", COLOURS, THREE, RAINBOW).mean() == pytest.approx(
        metrics.log_loss(COLOURS, THREE, labels=RAINBOW)
    )
    assert losses("brier", COLOURS, THREE, RAINBOW).mean() == pytest.approx(
        metrics.brier_score_loss(COLOURS, THREE, labels=RAINBOW)
    )


def test_regression_losses_equal_scikit_learn():
    labels, predictions = RNG.normal(0, 9, 50), RNG.normal(0, 9, 50)
    assert losses("squared_error", labels, predictions).mean() == pytest.approx(
        metrics.mean_squared_error(labels, predictions)
    )
    assert losses("absolute_error", labels, predictions).mean() == pytest.approx(
        metrics.mean_absolute_error(labels, predictions)
    )
    quantile = QuantileLoss(type="quantile_loss", quantile=0.9)
    assert losses(quantile, labels, predictions).mean() == pytest.approx(
        metrics.mean_pinball_loss(labels, predictions, alpha=0.9)
    )


def test_poisson_losses_equal_scikit_learn_on_counts_with_zeros():
    labels, predictions = RNG.poisson(0.7, 80).astype(float), RNG.gamma(2, 1, 80)
    assert (labels == 0).any()
    assert losses("poisson_loss", labels, predictions).mean() == pytest.approx(
        metrics.mean_poisson_deviance(labels, predictions)
    )


def test_certain_and_wrong_is_a_large_finite_loss():
    assert 30 < losses("log_loss", ["yes"], [[1.0, 0.0]], NO_YES)[0] < 50


def test_a_label_the_model_never_saw_counts_as_probability_zero():
    even = [[0.5, 0.5]]
    assert losses("log_loss", ["maybe"], even, NO_YES)[0] > 30
    assert losses("error_rate", ["maybe"], even, NO_YES)[0] == 1
    assert losses("brier", ["maybe"], even, NO_YES)[0] == pytest.approx(1.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite_are_refused(bad: float):
    with pytest.raises(DataUnusable, match=r"not finite.*1 of 2"):
        losses("squared_error", [0.0, 0.0], [0.0, bad])
    with pytest.raises(DataUnusable, match=r"not finite.*1 of 4"):
        losses("log_loss", ["no", "yes"], [[0.5, 0.5], [bad, 0.5]], NO_YES)


@pytest.mark.parametrize("row", [[0.5, 0.6], [0.3, 0.3], [1.5, -0.5]])
def test_probabilities_off_the_simplex_are_refused(row: list[float]):
    with pytest.raises(DataUnusable, match=r"negative or do not add up to 1; got 1 of 2 rows"):
        losses("brier", ["no", "yes"], [[0.5, 0.5], row], NO_YES)


def test_probabilities_with_the_rounding_of_float32_are_taken():
    single = RNG.dirichlet(np.ones(3), 300).astype(np.float32)
    assert losses("log_loss", COLOURS, single, RAINBOW).shape == (300,)


def test_predictions_of_another_shape_are_refused():
    with pytest.raises(DataUnusable, match=r"shape \(2, 2\)"):
        losses("log_loss", ["a", "b"], np.zeros((2, 3)), ["a", "b"])


def test_a_class_that_only_one_model_knows_does_not_change_the_brier_scale():
    labels = ["no", "yes"]
    narrow = losses("brier", labels, [[0.7, 0.3], [0.2, 0.8]], NO_YES)
    wide = losses("brier", labels, [[0.7, 0.0, 0.3], [0.2, 0.0, 0.8]], ("no", "rare", "yes"))
    assert narrow == pytest.approx(wide)


def test_labels_that_are_not_finite_are_refused():
    with pytest.raises(DataUnusable, match="not finite"):
        losses("absolute_error", [np.nan], [1.0])


def test_losses_too_large_for_a_number_are_refused():
    with pytest.raises(DataUnusable, match="losses that are not finite"):
        losses("squared_error", [1e300], [-1e300])


def test_negative_counts_and_means_of_zero_are_refused():
    with pytest.raises(DataUnusable, match=r"negative labels; got 1 of 2, the smallest -3"):
        losses("poisson_loss", [1.0, -3.0], [1.0, 1.0])
    with pytest.raises(DataUnusable, match=r"means.*got 1 of 2, the smallest 0.*above 0"):
        losses("poisson_loss", [1.0, 3.0], [1.0, 0.0])


def test_costs_are_those_of_the_class_of_least_expected_cost():
    missed_late = costs(("yes", "no", 5.0), ("no", "yes", 1.0))
    # p(yes) = 0.3: deciding no is expected to cost 1.5, deciding yes 0.7
    predictions = [[0.7, 0.3], [0.7, 0.3], [0.9, 0.1], [0.9, 0.1]]
    paid = losses(missed_late, ["no", "yes", "no", "yes"], predictions, NO_YES)
    assert paid.tolist() == [1.0, 0.0, 0.0, 5.0]


def test_costs_of_many_classes_equal_a_plain_search():
    listed = {(t, d): float(3 * i + j) for i, t in enumerate(RAINBOW) for j, d in enumerate(RAINBOW)}
    paid = losses(costs(*((t, d, c) for (t, d), c in listed.items())), COLOURS, THREE, RAINBOW)
    for truth, shares, cost in zip(COLOURS, THREE, paid, strict=True):
        expected = {
            d: sum(share * listed[t, d] for t, share in zip(RAINBOW, shares, strict=True))
            for d in RAINBOW
        }
        assert cost == listed[truth, min(expected, key=expected.get)]


def test_a_right_decision_may_gain():
    paid = losses(
        costs(("no", "yes", 1.0), ("yes", "no", 0.0), ("yes", "yes", -9.0)),
        ["yes"],
        [[0.5, 0.5]],
        NO_YES,
    )
    assert paid.tolist() == [-9.0]


def test_a_wrong_decision_without_a_cost_is_named():
    with pytest.raises(DataUnusable, match=r"deciding 'yes' where the truth is 'no'; list it"):
        losses(costs(("yes", "no", 5.0)), LABELS, BINARY, NO_YES)
    both = costs(("yes", "no", 5.0), ("no", "yes", 1.0))
    with pytest.raises(DataUnusable, match=r"the truth is 'maybe', nor for 1 other"):
        losses(both, ["maybe"], [[0.5, 0.5]], NO_YES)


def test_a_truth_no_model_knows_costs_what_is_listed_for_it():
    listed = costs(("yes", "no", 5.0), ("no", "yes", 1.0), ("maybe", "no", 7.0), ("maybe", "yes", 8.0))
    assert losses(listed, ["maybe", "no"], [[1, 0], [1, 0]], NO_YES).tolist() == [7.0, 0.0]


def test_the_largest_difference_of_one_row_is_that_of_two_decisions():
    assert largest_difference(PlainMetric(type="accuracy")) == 1
    assert largest_difference(PlainMetric(type="log_loss")) is None
    assert largest_difference(costs(("a", "b", 5.0), ("a", "a", -2.0), ("b", "a", 1.0))) == 7


def test_a_metric_that_is_no_mean_of_losses_is_refused():
    with pytest.raises(ValueError, match="roc_auc is no mean"):
        losses("roc_auc", LABELS, BINARY, NO_YES)


@pytest.mark.parametrize("kind", [str, object])
def test_codes_are_places_among_the_classes_whatever_their_order(kind: type):
    labels = np.array(["b", "a", "zz", "", "b"], dtype=kind)
    assert class_codes(labels, ("b", "a")).tolist() == [0, 1, -1, -1, 0]


def test_chosen_rows_keep_their_codes():
    rows = JudgedRows(COLOURS, RAINBOW, np.arange(300), "row", RNG.uniform(1, 2, 300))
    chosen = rows.only(THREE[:, 0] > 0.2)
    assert np.array_equal(chosen.codes, class_codes(chosen.labels, RAINBOW))
    assert len(chosen.weights) == len(chosen) < 300
