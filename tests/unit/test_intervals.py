"""The cluster-robust t interval against scipy, statsmodels and means that leave out a cluster."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evergreen.evidence.intervals import effective_number, mean_estimate, mean_interval

RNG = np.random.default_rng(11)
VALUES = RNG.normal(0.2, 1.0, 240)
DAYS = RNG.integers(0, 24, 240)
EVEN_DAYS = RNG.permutation(240) % 24
WEIGHTS = RNG.uniform(0.1, 3, 240)


def test_without_clusters_it_is_the_paired_t_test():
    first, second = RNG.normal(1, 1, 60), RNG.normal(0.8, 1, 60)
    oracle = stats.ttest_rel(first, second).confidence_interval(0.9)
    interval = mean_interval(first - second, None, confidence=0.9)
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high))


@pytest.mark.parametrize("weights", [None, np.tile([0.5, 2.0], 12)[EVEN_DAYS // 2 * 2]])
def test_with_clusters_of_equal_size_it_is_the_robust_error_of_least_squares(weights):
    """Statsmodels multiplies by G/(G-1) · (n-1)/(n-k), and k is 1 here: the same correction."""
    model = sm.WLS(VALUES, np.ones(240), weights=1.0 if weights is None else weights)
    oracle = model.fit(cov_type="cluster", cov_kwds={"groups": EVEN_DAYS}, use_t=True)
    low, high = oracle.conf_int(0.05)[0]
    interval = mean_interval(VALUES, EVEN_DAYS, weights)
    assert interval.estimate == pytest.approx(oracle.params[0])
    assert (interval.low, interval.high) == pytest.approx((low, high))


@pytest.mark.parametrize("weights", [None, WEIGHTS, np.where(WEIGHTS < 1, 0.0, WEIGHTS)])
@pytest.mark.parametrize("clusters", [DAYS, np.minimum(np.arange(240) // 8, 12), None])
def test_the_error_is_that_of_means_which_leave_out_one_cluster_each(clusters, weights):
    codes = np.arange(240) if clusters is None else clusters
    weighed = np.ones(240) if weights is None else weights
    mean = np.average(VALUES, weights=weighed)
    masses = [weighed[codes == each].sum() for each in np.unique(codes)]
    moved = [
        np.average(VALUES[codes != each], weights=weighed[codes != each]) - mean
        for each, mass in zip(np.unique(codes), masses, strict=True)
        if mass
    ]
    found = mean_estimate(VALUES, clusters, weights)
    assert found.error**2 == pytest.approx((len(moved) - 1) / len(moved) * np.sum(np.square(moved)))
    assert found.degrees == pytest.approx(np.sum(masses) ** 2 / np.sum(np.square(masses)) - 1)


def test_clusters_count_as_many_as_the_equal_ones_they_are_worth():
    assert effective_number(np.full(20, 50.0)) == 20
    assert effective_number(np.array([900.0] + [100 / 19] * 19)) == pytest.approx(1.234, abs=1e-3)
    assert effective_number(np.array([])) == 0


def test_a_cluster_of_most_rows_is_never_certain():
    """One day of 100 times the rows of 27 others: their common mean is the luck of that day."""
    clusters = np.repeat(np.arange(28), [2000] + [20] * 27)
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(200):
        values = rng.normal(size=len(clusters)) + rng.normal(size=28)[clusters]
        interval = mean_interval(values, clusters)
        wrong += interval is not None and not interval.low <= 0 <= interval.high
    assert wrong <= 0.025 * 200


def test_codes_without_rows_are_no_clusters():
    assert mean_estimate(VALUES, EVEN_DAYS * 7 + 3) == mean_estimate(VALUES, EVEN_DAYS)
    assert mean_estimate(VALUES, EVEN_DAYS).degrees == 23


def test_one_cluster_says_nothing():
    assert mean_interval(VALUES, np.zeros(240, dtype=int)) is None
    assert mean_estimate(VALUES, np.full(240, 5)).error is None


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 5), st.integers(1, 3)), min_size=2, max_size=40)
)
def test_a_weight_of_k_is_the_row_k_times_in_its_cluster(drawn):
    values, clusters, weights = (np.array(part) for part in zip(*drawn, strict=True))
    weighted = mean_estimate(values, clusters, weights.astype(float))
    repeated = mean_estimate(np.repeat(values, weights), np.repeat(clusters, weights))
    assert weighted.value == pytest.approx(repeated.value, abs=1e-12)
    assert weighted.degrees == repeated.degrees
    if weighted.error is not None:
        assert weighted.error == pytest.approx(repeated.error, abs=1e-12)


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=40))
def test_clusters_of_one_row_change_nothing(drawn):
    values = np.array(drawn)
    alone, clustered = mean_estimate(values, None), mean_estimate(values, np.arange(len(values)))
    assert clustered.error == pytest.approx(alone.error, abs=1e-12)
    assert (clustered.value, clustered.degrees) == (alone.value, alone.degrees)
