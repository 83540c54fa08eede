"""Resampled errors against formulas, and average precision against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from evergreen.evidence.bootstrap import AveragePrecision, bootstrap_estimate, draws
from evergreen.evidence.intervals import mean_estimate

RNG = np.random.default_rng(13)
N = 300
POSITIVE = RNG.random(N) < 0.2
SCORES = (POSITIVE + RNG.normal(0, 1.2, N)).round(1)  # with ties
DAYS = RNG.integers(0, 20, N)
WEIGHTS = RNG.uniform(0.5, 2, N)
THIRTY = np.ones(30)


@given(st.integers(0, 10_000), st.booleans())
def test_average_precision_of_a_resample_is_scikit_learns(seed: int, weighted: bool):
    rng = np.random.default_rng(seed)
    scores, positive = rng.normal(size=80).round(1), rng.random(80) < 0.3
    positive[0] = True
    days, weights = rng.integers(0, 9, 80), rng.uniform(0.5, 2, 80) if weighted else None
    counts = rng.poisson(1.0, 9).astype(float)
    counts[days[0]] += 1
    expected = average_precision_score(
        positive, scores, sample_weight=counts[days] * (1.0 if weights is None else weights)
    )
    assert AveragePrecision(positive, scores, days, weights)(counts) == pytest.approx(expected)


def test_a_resample_without_positive_rows_has_no_average_precision():
    curve = AveragePrecision(POSITIVE, SCORES, np.arange(N), None)
    assert np.isnan(curve(np.where(POSITIVE, 0.0, 1.0)))


def test_draws_are_poisson_and_the_same_each_time():
    first, again = (np.array(list(draws(np.full(50, 3.0), 400))) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert first.mean() == pytest.approx(1, abs=0.03)
    assert first.var() == pytest.approx(1, abs=0.03)


def test_larger_clusters_are_drawn_with_the_variance_that_the_jackknife_gives_them():
    weights = np.array([30.0] + [10.0] * 7)
    drawn = np.array(list(draws(weights, 40_000)))
    assert drawn.mean(axis=0) == pytest.approx(np.ones(8), abs=0.03)
    assert drawn[:, 0].var() == pytest.approx((7 / 8 / 0.7) ** 2, rel=0.05)
    assert drawn[:, 1:].var(axis=0) == pytest.approx(np.ones(7), rel=0.05)


UNEVEN = np.minimum(np.arange(N) // 10, 24)


@pytest.mark.parametrize("clusters", [DAYS, np.arange(N), UNEVEN], ids=["days", "rows", "uneven"])
def test_the_error_of_a_mean_is_that_of_its_formula(clusters):
    """2,000 resamples know an error to 1.6%: 1/√(2·2000); ratios of few clusters are not linear."""
    values = RNG.normal(size=N)

    def mean(counts: np.ndarray) -> float:
        return float(np.average(values, weights=counts[clusters]))

    formula = mean_estimate(values, clusters)
    estimate = bootstrap_estimate(formula.value, mean, np.bincount(clusters).astype(float), 2000)
    assert estimate.error == pytest.approx(formula.error, rel=0.12)
    assert (estimate.value, estimate.degrees) == (formula.value, formula.degrees)


def test_a_statistic_that_most_resamples_leave_undefined_has_no_error():
    estimate = bootstrap_estimate(1.0, lambda counts: 1.0 if counts[0] else float("nan"), THIRTY)
    assert estimate.error is None


def test_a_few_undefined_resamples_are_left_out():
    def mostly(counts: np.ndarray) -> float:
        return float("nan") if counts[:4].sum() == 0 else float(counts.mean())

    assert bootstrap_estimate(1.0, mostly, THIRTY).error == pytest.approx(30**-0.5, rel=0.1)


def test_one_cluster_or_one_of_nearly_all_rows_says_nothing():
    assert bootstrap_estimate(1.0, lambda counts: float(counts[0]), np.ones(1)).error is None
    most = np.array([97.0, 1.0, 1.0, 1.0])
    assert bootstrap_estimate(1.0, lambda counts: float(counts[0]), most).error is None


def test_the_interval_of_average_precision_over_ten_days_holds_the_truth_often_enough():
    """19 of 20 are meant; 160 trials err by 1.7 points. Percentiles of ten days would hold 89%."""

    def drawn(rng: np.random.Generator, days: int, per_day: int):
        day = np.arange(days * per_day) // per_day
        signal = rng.normal(size=len(day)) + 0.5 * rng.normal(size=days)[day]
        positive = rng.random(len(day)) < 1 / (1 + np.exp(-(1.5 * signal - 1.5)))
        noise = 0.6 * rng.normal(size=len(day)) + 0.3 * rng.normal(size=days)[day]
        return positive, signal + noise, signal + 0.9 * rng.normal(size=len(day)), day

    positive, first, second, _ = drawn(np.random.default_rng(0), 4000, 100)
    truth = average_precision_score(positive, first) - average_precision_score(positive, second)
    held = 0
    for seed in range(160):
        positive, first, second, day = drawn(np.random.default_rng(seed + 1), 10, 100)
        ours, theirs = (AveragePrecision(positive, each, day, None) for each in (first, second))

        def less(counts: np.ndarray, ours=ours, theirs=theirs) -> float:
            return ours(counts) - theirs(counts)

        interval = bootstrap_estimate(less(np.ones(10)), less, np.ones(10), 200).interval(0.95)
        held += interval.low <= truth <= interval.high
    assert 0.90 <= held / 160 <= 0.99
