"""The cluster-robust t interval against scipy and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evergreen.evidence.intervals import mean_estimate, mean_interval

RNG = np.random.default_rng(11)
VALUES = RNG.normal(0.2, 1.0, 240)
DAYS = RNG.integers(0, 24, 240)
WEIGHTS = RNG.uniform(0.1, 3, 240)


def test_without_clusters_it_is_the_paired_t_test():
    first, second = RNG.normal(1, 1, 60), RNG.normal(0.8, 1, 60)
    oracle = stats.ttest_rel(first, second).confidence_interval(0.9)
    interval = mean_interval(first - second, None, confidence=0.9)
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_with_clusters_it_is_the_robust_error_of_least_squares(weights):
    """Statsmodels multiplies by G/(G-1) · (n-1)/(n-k), and k is 1 here: the same correction."""
    model = sm.WLS(VALUES, np.ones(240), weights=1.0 if weights is None else weights)
    oracle = model.fit(cov_type="cluster", cov_kwds={"groups": DAYS}, use_t=True)
    low, high = oracle.conf_int(0.05)[0]
    interval = mean_interval(VALUES, DAYS, weights)
    assert interval.estimate == pytest.approx(oracle.params[0])
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_codes_without_rows_are_no_clusters():
    assert mean_estimate(VALUES, DAYS * 7 + 3) == mean_estimate(VALUES, DAYS)
    assert mean_estimate(VALUES, DAYS).degrees == 23


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
