"""How far two models differ: intervals by metric, laws for all of them, and what is not judged."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from evergreen.comparison import Difference
from evergreen.errors import DataUnusable
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.losses import row_losses
from evergreen.evidence.paired import difference
from evergreen.metric_spec import Cost, CostMatrix, Metric, PlainMetric, QuantileLoss

N = 300
CLASSIFICATION = ["log_loss", "brier", "error_rate", "accuracy", "roc_auc", "average_precision"]
COSTS = CostMatrix(
    type="cost",
    costs=[Cost(truth="no", decided="yes", cost=1), Cost(truth="yes", decided="no", cost=4)],
)
METRICS = [PlainMetric(type=name) for name in CLASSIFICATION] + [COSTS]


def sample(seed: int = 0, n: int = N, days: int = 20, by: str = "day", weights=None, even=False):
    """Return judged rows and two models' predictions, the first the better."""
    rng = np.random.default_rng(seed)
    yes = rng.random(n) < 0.4
    yes[:2] = [True, False]
    clusters = rng.integers(0, days, n) if by != "row" else np.arange(n)
    if even:
        clusters = np.arange(n) % days
    rows = JudgedRows(np.where(yes, "yes", "no"), ("no", "yes"), clusters, by, weights)

    def model(noise: float) -> np.ndarray:
        p = 1 / (1 + np.exp(-(2.0 * yes - 1 + rng.normal(0, noise, n))))
        return np.stack([1 - p, p], axis=1)

    return rows, model(1.0), model(1.6)


def differ(metric: Metric | str, rows, first, second, **options) -> Difference:
    chosen = PlainMetric(type=metric) if isinstance(metric, str) else metric
    return difference(chosen, rows, first, second, **{"confidence": 0.95, "min_clusters": 10, **options})


def bounds(found: Difference) -> tuple[float, float, float]:
    return found.interval.estimate, found.interval.low, found.interval.high


def test_rows_that_stand_alone_have_the_paired_t_test():
    rows, first, second = sample(by="row")
    ours, theirs = (row_losses(PlainMetric(type="log_loss"), rows, each) for each in (first, second))
    oracle = stats.ttest_rel(ours, theirs)
    limits = oracle.confidence_interval(0.95)
    found = differ("log_loss", rows, first, second)
    assert bounds(found) == pytest.approx(((ours - theirs).mean(), limits.low, limits.high))
    assert found.interval.estimate / found.error == pytest.approx(oracle.statistic)
    assert (found.degrees, found.method) == (N - 1, "paired t over 300 rows")
    assert (found.rows, found.clusters) == (N, N)


@pytest.mark.parametrize("weights", [None, np.repeat(np.linspace(0.5, 2, N // 20), 20)])
def test_rows_of_equal_days_have_the_robust_interval_of_least_squares(weights):
    rows, first, second = sample(weights=weights, even=True)
    ours, theirs = (row_losses(PlainMetric(type="brier"), rows, each) for each in (first, second))
    oracle = sm.WLS(ours - theirs, np.ones(N), weights=1.0 if weights is None else weights).fit(
        cov_type="cluster", cov_kwds={"groups": rows.clusters}, use_t=True
    )
    found = differ("brier", rows, first, second)
    assert bounds(found) == pytest.approx((oracle.params[0], *oracle.conf_int(0.05)[0]))
    assert found.method == "cluster-robust t over 20 days"


def test_few_rows_that_differ_have_the_adjusted_wald_error():
    """Bonett and Price (2012): a row more that only the one gets right, and one only the other."""
    rows, first, _ = sample(by="row")
    right = first.argmax(axis=1) == rows.codes
    flipped = np.where((np.arange(N) < 5)[:, None] & right[:, None], first[:, ::-1], first)
    only_first = int(right[:5].sum())
    assert only_first >= 3
    found = differ("accuracy", rows, first, flipped)
    d = only_first / N
    variance = (only_first - N * d**2) * N / (N - 1) / N**2 + 2 / N**2
    assert found.interval.estimate == pytest.approx(d)
    assert found.error == pytest.approx(np.sqrt(variance))


def test_models_alike_in_accuracy_are_wrongly_told_apart_in_at_most_one_of_forty_cases():
    """An exact null: rows that only one model gets right, half of them either's, 2% of 500 in all."""
    rng, n, wrong = np.random.default_rng(1), 500, 0
    labels = np.where(np.arange(n) % 2 == 0, "no", "yes")
    rows = JudgedRows(labels, ("no", "yes"), np.arange(n), "row")
    certain = np.eye(2)
    for _ in range(600):
        draw = rng.random(n)
        first = certain[np.where(draw < 0.01, 1 - rows.codes, rows.codes)]
        second = certain[np.where((draw >= 0.01) & (draw < 0.02), 1 - rows.codes, rows.codes)]
        wrong += differ("accuracy", rows, first, second).interval.low > 0
    assert wrong / 600 <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 600)


def test_areas_have_delongs_interval_and_over_days_a_robust_one():
    rows, first, second = sample(by="row")
    yes = rows.labels == "yes"
    found = differ("roc_auc", rows, first, second)
    assert found.value == pytest.approx(roc_auc_score(yes, first[:, 1]))
    assert found.other == pytest.approx(roc_auc_score(yes, second[:, 1]))
    assert (found.method, found.degrees) == ("DeLong", min(yes.sum(), (~yes).sum()) - 1)
    assert differ("roc_auc", *sample()).method == "DeLong, robust over 20 days"


def test_average_precision_is_resampled_over_days():
    rows, first, second = sample()
    found = differ("average_precision", rows, first, second)
    yes = rows.labels == "yes"
    assert found.value == pytest.approx(average_precision_score(yes, first[:, 1]))
    assert found.other == pytest.approx(average_precision_score(yes, second[:, 1]))
    assert found.interval.estimate == pytest.approx(found.value - found.other)
    assert found.method == "Poisson bootstrap of 1000 resamples over 20 days"


def test_clusters_of_a_column_are_named_by_it():
    assert (
        differ("brier", *sample(by="customer")).method == "cluster-robust t over 20 values of customer"
    )


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_many_classes_are_compared_by_every_metric(name: str):
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 3, N)
    rows = JudgedRows(np.array(["a", "b", "c"])[codes], ("a", "b", "c"), np.arange(N) % 15, "day")
    sharp = np.eye(3)[codes] * 0.6 + rng.dirichlet(np.ones(3), N) * 0.4
    found = differ(name, rows, sharp, np.full((N, 3), 1 / 3))
    up = name in ("accuracy", "roc_auc", "average_precision")
    assert found.interval.low > 0 if up else found.interval.high < 0


def test_regression_metrics_are_compared():
    rng = np.random.default_rng(5)
    truth = rng.gamma(2, 2, N)
    rows = JudgedRows(truth, (), np.arange(N) % 15, "day")
    for metric in (
        *(PlainMetric(type=n) for n in ("squared_error", "absolute_error", "poisson_loss")),
        QuantileLoss(type="quantile_loss", quantile=0.5),
    ):
        found = differ(metric, rows, truth * rng.uniform(0.9, 1.1, N), np.full(N, truth.mean()))
        assert found.interval.high < 0, metric.type


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(METRICS), st.integers(0, 1000), st.sampled_from(["day", "row"]), st.booleans())
def test_swapping_the_models_turns_the_difference_round(metric, seed, by, weighted):
    weights = np.random.default_rng(seed).uniform(0.5, 2, N) if weighted else None
    rows, first, second = sample(seed, by=by, weights=weights)
    found, turned = (differ(metric, rows, a, b) for a, b in ((first, second), (second, first)))
    estimate, low, high = bounds(found)
    assert bounds(turned) == pytest.approx((-estimate, -high, -low), abs=1e-9)
    assert (found.value, found.other) == pytest.approx((turned.other, turned.value))


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(METRICS), st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(metric, seed):
    rows, first, second = sample(seed)
    order = np.random.default_rng(seed + 1).permutation(N)
    moved = differ(metric, rows.only(order), first[order], second[order])
    assert bounds(moved) == pytest.approx(bounds(differ(metric, rows, first, second)), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["log_loss", "brier", "roc_auc", "average_precision"]), st.integers(0, 1000))
def test_a_weight_of_two_is_the_row_twice_and_of_none_no_row(name, seed):
    weights = np.random.default_rng(seed).choice([0.0, 1.0, 2.0], N, p=[0.1, 0.6, 0.3])
    rows, first, second = sample(seed, weights=weights)
    index = np.repeat(np.arange(N), weights.astype(int))
    repeated = replace(rows.only(index), weights=None)
    weighted, plain = (
        differ(name, rows, first, second),
        differ(name, repeated, first[index], second[index]),
    )
    assert bounds(weighted) == pytest.approx(bounds(plain), abs=1e-9)
    assert weighted.rows == (weights > 0).sum()
    assert weighted.clusters == plain.clusters


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.type)
def test_clusters_of_one_row_are_rows(metric):
    rows, first, second = sample(by="row")
    clustered = differ(metric, replace(rows, clustered_by="day"), first, second)
    assert bounds(clustered) == pytest.approx(bounds(differ(metric, rows, first, second)))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.type)
def test_the_same_predictions_are_identical_and_differ_by_nothing(metric):
    rows, first, _ = sample()
    found = differ(metric, rows, first, first.copy())
    assert found.identical
    assert (found.interval.low, found.interval.high, found.error) == (0, 0, 0)


def test_models_that_rank_or_decide_alike_are_identical_to_that_metric():
    rows, first, _ = sample()
    sharper = first**2 / (first**2).sum(axis=1, keepdims=True)
    assert differ("roc_auc", rows, first, sharper).identical
    decided = differ("accuracy", rows, first, sharper)
    assert decided.identical
    assert decided.error == pytest.approx(2**0.5 / N)  # rows to come may be decided otherwise
    assert not differ("log_loss", rows, first, sharper).identical


def test_a_difference_that_never_varies_is_not_taken_for_certain():
    rows = JudgedRows(np.arange(N, dtype=float), (), np.arange(N) % 10, "day")
    found = differ("absolute_error", rows, rows.labels, rows.labels + 2)
    assert (found.value, found.other, found.interval.estimate) == (0, 2, -2)
    assert found.error == pytest.approx(2**0.5 * 2 / 10)
    assert found.interval.high < 0
    assert not found.identical


def test_perfect_answers_beat_a_constant_one_by_every_metric():
    rows, _, _ = sample()
    perfect = np.eye(2)[rows.codes]
    for metric in METRICS:
        found = differ(metric, rows, perfect, np.full((N, 2), 0.5))
        up = metric.type in ("accuracy", "roc_auc", "average_precision")
        assert found.interval.low > 0 if up else found.interval.high < 0, metric.type


@pytest.mark.parametrize("share", [0.05, -0.05])
def test_a_relative_margin_allows_for_the_noise_of_the_limit(share: float):
    rows, first, second = sample(even=True)
    ours, theirs = (row_losses(PlainMetric(type="log_loss"), rows, each) for each in (first, second))
    oracle = sm.OLS(ours - (1 + share) * theirs, np.ones(N)).fit(
        cov_type="cluster", cov_kwds={"groups": rows.clusters}, use_t=True
    )
    found = differ("log_loss", rows, first, second, relative=share)
    assert found.error == pytest.approx(oracle.bse[0])
    low, high = oracle.conf_int(0.05)[0]
    assert found.interval.high - found.interval.low == pytest.approx(high - low)
    assert found.interval.estimate == pytest.approx((ours - theirs).mean())


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_a_relative_margin_changes_the_error_of_rankings_too(name: str):
    rows, first, second = sample()
    plain, relative = (differ(name, rows, first, second, relative=r) for r in (0.0, -0.5))
    assert relative.interval.estimate == plain.interval.estimate
    assert relative.error != pytest.approx(plain.error, rel=1e-3)


def test_a_share_of_a_negative_metric_is_a_share_of_its_size():
    """The limit is r·|second|: what lies it beyond a gain of 8 is a smaller gain, not a larger."""
    gains = CostMatrix(
        type="cost",
        costs=[
            Cost(truth="no", decided="yes", cost=1),
            Cost(truth="yes", decided="no", cost=0),
            Cost(truth="yes", decided="yes", cost=-20),
        ],
    )
    rows, first, second = sample(even=True)
    ours, theirs = (row_losses(gains, rows, each) for each in (first, second))
    assert theirs.mean() < 0
    oracle = sm.OLS(ours - 0.9 * theirs, np.ones(N)).fit(
        cov_type="cluster", cov_kwds={"groups": rows.clusters}, use_t=True
    )
    found = differ(gains, rows, first, second, relative=0.1)
    assert found.error == pytest.approx(np.hypot(oracle.bse[0], 2**0.5 * 20 / N))


def test_one_day_proves_nothing():
    rows, first, second = sample(days=1)
    found = differ("log_loss", rows, first, second)
    assert found.interval is None
    assert found.problem == (
        "all test rows fall into one day, at least 10 are needed: lengthen data.test_window, or state "
        "gate.cluster"
    )
    assert found.value < found.other


def test_too_few_clusters_prove_nothing():
    rows, first, second = sample(days=5)
    assert differ("roc_auc", rows, first, second).problem.startswith(
        "only 5 days, at least 10 are needed"
    )
    few = sample(days=5, by="customer")
    assert differ("brier", *few).problem.startswith("only 5 values of customer, at least 10")
    assert differ("brier", *sample(n=8, by="row")).problem.startswith("only 8 rows, at least 10")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.type)
def test_one_class_proves_nothing(metric):
    rows, first, second = sample()
    only = rows.labels == "no"
    found = differ(metric, rows.only(only), first[only], second[only])
    assert found.interval is None
    assert "have the label 'no', and one class proves nothing" in found.problem


def test_a_class_that_is_missing_leaves_the_area_undefined():
    rows, first, second = sample()
    wide = replace(rows, classes=("maybe", "no", "yes"), codes=rows.codes + 1)
    padded = (np.column_stack([np.zeros(N), each]) for each in (first, second))
    found = differ("roc_auc", wide, *padded)
    assert (found.value, found.other, found.interval) == (None, None, None)
    assert found.problem == "roc_auc is undefined: no row has the label 'maybe'"


def test_positive_rows_of_a_single_day_leave_the_areas_error_unknown():
    rows, first, second = sample()
    days = np.where(rows.codes == 1, 0, rows.clusters)
    found = differ("roc_auc", replace(rows, clusters=days), first, second, min_clusters=2)
    assert found.interval is None
    assert "too few clusters" in found.problem
    assert found.value > found.other


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.type)
def test_rows_that_all_weigh_nothing_prove_nothing(metric):
    found = differ(metric, *sample(weights=np.zeros(N)))
    assert (found.value, found.interval, found.rows, found.clusters) == (None, None, 0, 0)
    assert found.problem.startswith("no row counts")


def test_predictions_that_cannot_be_read_are_refused():
    rows, first, second = sample()
    with pytest.raises(DataUnusable, match="do not add up to 1"):
        differ("roc_auc", rows, first, second * 2)


METRICS_OF_ROWS_AND_RANKS = ["log_loss", "brier", "accuracy", "roc_auc", "average_precision"]


@pytest.mark.parametrize("name", METRICS_OF_ROWS_AND_RANKS)
def test_a_day_of_most_rows_proves_nothing(name: str):
    rows, first, second = sample(n=1000)
    days = np.maximum(np.arange(1000) - 900, 0) // 5
    found = differ(name, replace(rows, clusters=days), first, second)
    assert found.interval is None
    assert found.clusters == 20
    assert found.problem == (
        "the rows fall so unevenly into 20 days that they count as 1.2 of equal size, at least 10 are "
        "needed: lengthen data.test_window, or state gate.cluster"
    )


def test_a_few_rows_of_most_weight_prove_nothing():
    rows, first, second = sample(by="row", weights=np.where(np.arange(N) < 8, 1000.0, 0.001))
    found = differ("log_loss", rows, first, second)
    assert (found.interval, found.clusters) == (None, N)
    assert found.problem == (
        "the weights are so uneven that 300 rows count as 8 of equal weight, at least 10 are needed: "
        "lengthen data.test_window"
    )


def test_weights_of_rows_that_differ_a_little_count_for_nearly_as_many():
    weights = np.linspace(0.5, 2, N)
    found = differ("log_loss", *sample(by="row", weights=weights))
    assert found.degrees == pytest.approx(weights.sum() ** 2 / (weights**2).sum() - 1)


def test_differences_that_cancel_in_every_day_are_not_taken_for_certain():
    """Half of each day's rows are answered well by the one, the mirrored half by the other."""
    labels = np.where(np.arange(400) % 4 < 2, "no", "yes")
    rows = JudgedRows(labels, ("no", "yes"), np.arange(400) // 20, "day")
    well = np.where(np.arange(400) % 2 == 0, 0.9, 0.3)
    first, second = (
        np.column_stack([1 - p, p])
        for p in (np.where(rows.codes == 1, w, 1 - w) for w in (well, 1.2 - well))
    )
    losses = row_losses(PlainMetric(type="brier"), rows, first)
    apart = losses - row_losses(PlainMetric(type="brier"), rows, second)
    for name in ("brier", "log_loss"):
        found = differ(name, rows, first, second)
        assert found.interval.estimate == pytest.approx(0, abs=1e-12)
        assert found.interval.low < -1e-3
        assert found.interval.high > 1e-3
        assert not found.identical
    error = differ("brier", rows, first, second).error
    assert error == pytest.approx(stats.sem(apart))
    assert differ("roc_auc", rows, first, second).error > 1e-3


def test_mirrored_predictions_of_equal_losses_are_not_taken_for_certain():
    """Rounding may tell them apart or not: 0.3 below and 0.3 above the truth is the same loss."""
    labels = np.linspace(1, 7, N)
    rows = JudgedRows(labels, (), np.arange(N) % 20, "day")
    for distance in (0.3, 0.25, 1.0):
        found = differ("absolute_error", rows, labels + distance, labels - distance)
        assert found.error == pytest.approx(2**0.5 * 2 * distance / 20)
        assert found.interval.low < 0 < found.interval.high
