"""The gate's rule, with values and seeds, against scipy and statsmodels-style oracles."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evergreen.gate import compare, never_over_newer, paired_interval
from evergreen.results import Comparison, from_json, to_json
from evergreen.spec import Gate

RULE = Gate(metric="log_loss", policy="non_inferiority", margin=0.01)
SUPERIORITY = Gate(metric="log_loss", policy="superiority", margin=0.0)
ROWS = 2000


def losses(seed: int, mean: float) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, mean / 2.0, ROWS)


def test_interval_without_clusters_equals_the_paired_t_test():
    differences = np.random.default_rng(7).normal(0.1, 1.0, 500)
    interval = paired_interval(differences, np.arange(500), 0.95)
    oracle = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high), rel=1e-12)


def test_interval_with_clusters_equals_the_sandwich_written_out():
    rng = np.random.default_rng(3)
    clusters = rng.integers(0, 25, 400)
    differences = rng.normal(0, 1, 400) + rng.normal(0, 1, 25)[clusters]
    residuals = differences - differences.mean()
    meat = sum(residuals[clusters == day].sum() ** 2 for day in np.unique(clusters))
    groups = len(np.unique(clusters))
    error = np.sqrt(groups / (groups - 1) * meat) / 400
    interval = paired_interval(differences, clusters, 0.9)
    assert interval is not None
    reach = stats.t.ppf(0.95, groups - 1) * error
    assert interval.high - interval.estimate == pytest.approx(reach, rel=1e-12)


def test_rows_of_a_day_that_move_together_widen_the_interval():
    rng = np.random.default_rng(1)
    days = np.repeat(np.arange(30), 100)
    differences = rng.normal(0, 0.1, 3000) + rng.normal(0, 1, 30)[days]
    alike = paired_interval(differences, days, 0.95)
    alone = paired_interval(differences, np.arange(3000), 0.95)
    assert alike is not None
    assert alone is not None
    assert alike.high - alike.low > 5 * (alone.high - alone.low)


def test_first_challenger_that_beats_the_baseline_is_promoted():
    base = losses(0, 0.6)
    answer = compare(RULE, base - 0.1, None, base)
    assert answer.promote
    assert answer.over_champion is None
    assert answer.champion_loss is None


def test_challenger_that_does_not_beat_the_baseline_is_kept_out_even_without_champion():
    base = losses(0, 0.6)
    answer = compare(RULE, base + losses(5, 0.1), None, base)
    assert not answer.promote
    assert "baseline" in answer.reasons[0]


def test_better_challenger_passes_both_policies():
    champion, base = losses(1, 0.5), losses(2, 0.9)
    challenger = champion - 0.05 + np.random.default_rng(0).normal(0, 0.05, ROWS)
    for rule in (RULE, SUPERIORITY):
        assert compare(rule, challenger, champion, base).promote


def test_worse_challenger_is_refused_by_both_policies():
    champion, base = losses(1, 0.5), losses(2, 0.9)
    challenger = champion + 0.05 + np.random.default_rng(0).normal(0, 0.05, ROWS)
    for rule in (RULE, SUPERIORITY):
        answer = compare(rule, challenger, champion, base)
        assert not answer.promote
        assert any("champion" in reason for reason in answer.reasons)


def test_equal_challenger_wins_a_tie_only_under_non_inferiority():
    champion, base = losses(1, 0.5), losses(2, 0.9)
    challenger = champion + np.random.default_rng(0).normal(0, 0.02, ROWS)
    assert compare(RULE, challenger, champion, base).promote
    assert not compare(SUPERIORITY, challenger, champion, base).promote


def test_identical_models_keep_the_champion_and_say_so():
    champion, base = losses(1, 0.5), losses(2, 0.9)
    answer = compare(RULE, champion, champion, base)
    assert not answer.promote
    assert any("alike on every row" in reason for reason in answer.reasons)


def test_rows_of_one_single_day_prove_nothing():
    champion, base = losses(1, 0.5), losses(2, 0.9)
    answer = compare(RULE, champion - 0.1, champion, base, clusters=np.zeros(ROWS))
    assert not answer.promote
    assert answer.over_champion is None
    assert answer.clusters == 1
    assert "cannot be judged" in answer.reasons[0]


@given(st.integers(0, 2**32 - 1), st.floats(-1, 1))
def test_swapping_the_models_flips_the_interval(seed: int, shift: float):
    rng = np.random.default_rng(seed)
    differences = rng.normal(shift, 1, 60)
    clusters = rng.integers(0, 10, 60)
    one = paired_interval(differences, clusters, 0.95)
    other = paired_interval(-differences, clusters, 0.95)
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_matter(seed: int):
    rng = np.random.default_rng(seed)
    differences, clusters = rng.normal(0, 1, 50), rng.integers(0, 8, 50)
    order = rng.permutation(50)
    one = paired_interval(differences, clusters, 0.95)
    other = paired_interval(differences[order], clusters[order], 0.95)
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


@given(st.integers(0, 2**32 - 1), st.floats(-0.2, 0.2), st.floats(0, 0.1))
def test_superiority_implies_non_inferiority(seed: int, shift: float, margin: float):
    rng = np.random.default_rng(seed)
    champion = rng.gamma(2, 0.3, 300)
    challenger = champion + rng.normal(shift, 0.1, 300)
    base = np.full(300, 5.0)
    strict = Gate(metric="log_loss", policy="superiority", margin=margin)
    loose = Gate(metric="log_loss", policy="non_inferiority", margin=margin)
    if compare(strict, challenger, champion, base).promote:
        assert compare(loose, challenger, champion, base).promote


def test_backfill_never_replaces_a_champion_trained_on_newer_data():
    base = losses(0, 0.6)
    won = compare(RULE, base - 0.1, None, base)
    march, april = datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC)
    assert never_over_newer(won, april, march).promote
    assert never_over_newer(won, april, april).promote
    refused = never_over_newer(won, march, april)
    assert not refused.promote
    assert "newer data" in refused.reasons[-1]


def test_a_comparison_survives_json():
    base = losses(0, 0.6)
    answer = replace(compare(RULE, base - 0.1, base, base), champion_version=3, champion_seq=17)
    assert from_json(Comparison, to_json(answer)) == answer


def test_wrong_promotions_on_an_exact_null_stay_at_half_the_error_rate():
    rng = np.random.default_rng(11)
    trials, promoted = 400, 0
    base = np.full(500, 9.0)
    for _ in range(trials):
        champion = rng.gamma(2, 0.3, 500)
        promoted += compare(SUPERIORITY, rng.gamma(2, 0.3, 500), champion, base).promote
    # One-sided 2.5%, plus four standard errors of 400 trials.
    assert promoted / trials <= 0.025 + 4 * np.sqrt(0.025 * 0.975 / trials)
