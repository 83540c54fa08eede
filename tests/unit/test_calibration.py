"""The calibration error against scikit-learn's curve, and the slope against statsmodels."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve

from evergreen.canonical import canonical
from evergreen.evidence.calibration import calibration
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.results import to_json

CLASSES = ("no", "yes")


def forecasts(rows, seed, *, slope=1.0, clusters=None, weights=None):
    """Return judged rows and probabilities whose calibration slope is `slope`."""
    random = np.random.default_rng(seed)
    probability = expit(random.normal(-0.5, 1.2, rows))
    happened = random.random(rows) < expit(slope * logit(probability))
    codes = np.arange(rows) if clusters is None else random.integers(0, clusters, rows)
    labels = np.where(happened, "yes", "no")
    judged = JudgedRows(labels, CLASSES, codes, "row" if clusters is None else "day", weights)
    return judged, np.column_stack([1 - probability, probability])


def test_the_bins_are_those_of_scikit_learn():
    rows, predictions = forecasts(1500, 1, slope=0.6)
    found = calibration(rows, predictions, 0.95)
    observed, predicted = calibration_curve(
        rows.labels == "yes", predictions[:, 1], n_bins=15, strategy="quantile"
    )
    assert [each.predicted for each in found.bins] == pytest.approx(list(predicted))
    assert [each.observed for each in found.bins] == pytest.approx(list(observed))
    assert [each.rows for each in found.bins] == [100] * 15


def test_the_error_is_near_the_sum_over_bins_where_rows_are_many():
    rows, predictions = forecasts(150_000, 2, slope=0.5)
    found = calibration(rows, predictions, 0.95)
    raw = sum(abs(each.predicted - each.observed) * each.rows / 150_000 for each in found.bins)
    assert found.error.estimate == pytest.approx(raw, abs=2e-4)
    assert found.error.low < raw < found.error.high


def test_chance_is_taken_off_the_error_of_a_calibrated_model():
    raws, errors = [], []
    for seed in range(40):
        rows, predictions = forecasts(1500, seed)
        found = calibration(rows, predictions, 0.95)
        raws.append(sum(abs(each.predicted - each.observed) * each.rows / 1500 for each in found.bins))
        errors.append(found.error.estimate)
    assert np.mean(raws) == pytest.approx(0.034, abs=0.003)
    assert np.mean(errors) < 0.65 * np.mean(raws)


@pytest.mark.parametrize(("rows", "clusters", "slope"), [(1500, None, 0.7), (3000, 15, 0.5)])
def test_the_intervals_hold_the_truth_as_often_as_they_say(rows, clusters, slope):
    large, predictions = forecasts(400_000, 0, slope=slope)
    true_share = expit(slope * logit(predictions[:, 1]))
    edges = np.quantile(predictions[:, 1], np.arange(1, 15) / 15)
    parts = np.searchsorted(edges, predictions[:, 1])
    apart = np.bincount(parts, true_share - predictions[:, 1]) / len(large)
    true_error = np.abs(apart).sum()
    errors, slopes = [], []
    for seed in range(1, 151):
        judged, few = forecasts(rows, seed, slope=slope, clusters=clusters)
        found = calibration(judged, few, 0.95)
        errors.append(found.error.low <= true_error <= found.error.high)
        slopes.append(found.slope.low <= slope <= found.slope.high)
    assert 0.89 <= np.mean(errors) <= 1
    assert 0.89 <= np.mean(slopes) <= 1


@pytest.mark.parametrize("weighted", [False, True])
def test_the_slope_equals_statsmodels_and_so_does_its_interval_where_clusters_hold_much_the_same(
    weighted,
):
    """To 2%: 50 clusters of 80 rows hold much the same, as the jackknife says, not quite the same."""
    weights = np.random.default_rng(3).integers(1, 4, 4000).astype(float) if weighted else None
    rows, predictions = forecasts(4000, 3, slope=0.7, clusters=25, weights=weights)
    rows = replace(rows, clusters=np.arange(4000) % 50)
    slope = calibration(rows, predictions, 0.9).slope
    fitted = fit_by_statsmodels(rows, predictions)
    low, high = fitted.conf_int(alpha=0.1)[1]
    assert slope.estimate == pytest.approx(fitted.params[1], rel=1e-6)
    assert slope.high - slope.low == pytest.approx((high - low) * np.sqrt(50 / 49), rel=0.02)


def test_the_slopes_error_is_that_of_newton_steps_from_fits_without_one_cluster():
    rows, predictions = forecasts(2000, 3, slope=0.7, clusters=25)
    rows = replace(rows, clusters=np.minimum(rows.clusters, 18))
    fitted = fit_by_statsmodels(rows, predictions)
    design, expected = fitted.model.exog, fitted.mu
    moved = []
    for each in range(19):
        kept = rows.clusters != each
        curvature = (design[kept].T * (expected * (1 - expected))[kept]) @ design[kept]
        score = design[kept].T @ ((rows.labels == "yes") - expected)[kept]
        moved.append(np.linalg.solve(curvature, score)[1])
    degrees = 2000**2 / np.sum(np.bincount(rows.clusters) ** 2) - 1
    reach = stats.t.ppf(0.95, degrees) * np.sqrt(18 / 19 * np.sum(np.square(moved)))
    slope = calibration(rows, predictions, 0.9).slope
    assert slope.high - slope.estimate == pytest.approx(reach, rel=1e-5)
    assert slope.estimate - slope.low == pytest.approx(reach, rel=1e-5)


def fit_by_statsmodels(rows, predictions):
    """Return the logistic regression; a row of weight k is k rows."""
    count = len(rows)
    again = np.repeat(np.arange(count), 1 if rows.weights is None else rows.weights.astype(int))
    return sm.GLM(
        (rows.labels[again] == "yes").astype(float),
        sm.add_constant(logit(predictions[again, 1])),
        family=sm.families.Binomial(),
    ).fit(
        cov_type="cluster",
        cov_kwds={"groups": rows.clusters[again], "use_correction": False, "df_correction": True},
        use_t=True,
        tol=1e-12,
    )


def test_the_most_probable_class_is_looked_at_among_more_than_two():
    random = np.random.default_rng(4)
    classes = ("blue", "green", "red")
    probabilities = random.dirichlet([2, 1, 1], 1500)
    labels = np.array([random.choice(classes, p=row) for row in probabilities])
    found = calibration(JudgedRows(labels, classes, np.arange(1500), "row"), probabilities, 0.95)
    right = labels == np.asarray(classes)[probabilities.argmax(axis=1)]
    observed, predicted = calibration_curve(
        right, probabilities.max(axis=1), n_bins=15, strategy="quantile"
    )
    assert [each.predicted for each in found.bins] == pytest.approx(list(predicted))
    assert [each.observed for each in found.bins] == pytest.approx(list(observed))
    assert found.slope.low < 1 < found.slope.high


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_weight_of_two_is_a_row_twice_and_order_means_nothing(seed):
    random = np.random.default_rng(seed)
    weights = random.integers(0, 3, 400).astype(float)
    rows, predictions = forecasts(400, seed, clusters=12, weights=weights)
    again = random.permutation(np.repeat(np.arange(400), weights.astype(int)))
    repeated = JudgedRows(rows.labels[again], CLASSES, rows.clusters[again], "day")
    first = calibration(rows, predictions, 0.95)
    second = calibration(repeated, predictions[again], 0.95)
    for field in ("predicted", "observed"):
        assert [getattr(each, field) for each in first.bins] == pytest.approx(
            [getattr(each, field) for each in second.bins]
        )
    for one, other in ((first.error, second.error), (first.slope, second.slope)):
        assert (one.estimate, one.low, one.high) == pytest.approx(
            (other.estimate, other.low, other.high), rel=1e-5, abs=1e-7
        )


@settings(max_examples=60, deadline=None)
@given(
    probabilities=st.lists(
        st.sampled_from([0.0, 1e-300, 1e-9, 0.2, 0.5, 0.8, 1 - 1e-12, 1.0]), min_size=4, max_size=40
    ),
    seed=st.integers(0, 100),
)
def test_extreme_probabilities_give_finite_ordered_intervals(probabilities, seed):
    happened = np.random.default_rng(seed).random(len(probabilities)) < 0.5
    rows = JudgedRows(np.where(happened, "yes", "no"), CLASSES, np.arange(len(happened)), "row")
    second = np.asarray(probabilities)
    found = calibration(rows, np.column_stack([1 - second, second]), 0.95)
    assert 0 <= found.error.low <= found.error.estimate <= found.error.high <= 1
    assert sum(each.rows for each in found.bins) == len(probabilities)
    if found.slope is not None:
        assert np.isfinite([found.slope.low, found.slope.estimate, found.slope.high]).all()


def slope_of(labels, probabilities):
    second = np.asarray(probabilities)
    rows = JudgedRows(np.asarray(labels), CLASSES, np.arange(len(labels)), "row")
    return calibration(rows, np.column_stack([1 - second, second]), 0.95).slope


def test_an_undefined_slope_is_none():
    assert slope_of(["yes"] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) is None
    assert slope_of(["yes", "no"] * 3, [0.4] * 6) is None
    assert slope_of(["no", "no", "no", "yes", "yes"], [0.1, 0.2, 0.3, 0.3, 0.6]) is None
    assert slope_of(["yes", "yes", "no", "no"], [0.1, 0.2, 0.3, 0.6]) is None
    assert slope_of(["no", "yes", "no", "yes"], [0.1, 0.2, 0.3, 0.6]) is not None


def test_equal_probabilities_share_a_bin():
    rows = JudgedRows(np.array(["yes", "no"] * 300), CLASSES, np.arange(600), "row")
    second = np.tile([0.25, 0.75, 0.75], 200)
    found = calibration(rows, np.column_stack([1 - second, second]), 0.95)
    assert [(each.predicted, each.rows) for each in found.bins] == [(0.25, 200), (0.75, 400)]
    assert found.error.estimate == pytest.approx(0.25, abs=0.01)


def test_bins_of_one_cluster_are_joined():
    days = np.repeat(np.arange(6), 100)
    second = 0.1 + days * 0.15
    happened = np.random.default_rng(5).random(600) < second
    rows = JudgedRows(np.where(happened, "yes", "no"), CLASSES, days, "day")
    found = calibration(rows, np.column_stack([1 - second, second]), 0.95)
    assert [each.rows for each in found.bins] == [200, 200, 200]


def test_regression_and_rows_of_one_cluster_have_no_calibration():
    assert calibration(JudgedRows(np.zeros(9), (), np.arange(9), "row"), np.zeros(9), 0.95) is None
    rows, predictions = forecasts(100, 6, clusters=1)
    assert calibration(rows, predictions, 0.95) is None


@pytest.mark.parametrize("distance", [1e-16, 1e-15, 1e-12, 1e-8, 1e-3])
def test_probabilities_that_hardly_differ_have_a_finite_slope_or_none(distance):
    random = np.random.default_rng(7)
    second = 0.5 + distance * random.normal(size=400)
    happened = np.where(random.random(400) < 0.5, "yes", "no")
    rows = JudgedRows(happened, CLASSES, np.arange(400) % 20, "day")
    found = calibration(rows, np.column_stack([1 - second, second]), 0.95)
    assert canonical(to_json(found))


def test_fewer_clusters_than_asked_for_say_nothing_of_calibration():
    rows, predictions = forecasts(1000, 6, clusters=30)
    assert calibration(rows, predictions, 0.95, 20) is not None
    assert calibration(rows, predictions, 0.95, 31) is None
    uneven = replace(rows, clusters=np.maximum(np.arange(1000) - 900, 0) // 4)
    assert calibration(uneven, predictions, 0.95, 10) is None
