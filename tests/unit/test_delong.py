"""The area under the curve and its error: scikit-learn, a published example and the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evergreen.evidence.delong import area_estimate, placements

# 43 patients with ovarian cancer: albumin, total protein, Krebs-Goplerud score, and whether surgery
# helped. Data of DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988) as the SAS/STAT User's Guide
# prints them, "Comparing Receiver Operating Characteristic Curves" among the examples of PROC LOGISTIC.
PRINTED = """
    3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
    1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
    4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
    3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
    3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
    3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
    3.6 6.6 5 1
"""
OVARIAN = np.array(PRINTED.split(), dtype=float).reshape(43, 4)
HELPED = OVARIAN[:, 3] == 1
ALBUMIN, PROTEIN, SCORE = (
    placements(HELPED, scores, None) for scores in (OVARIAN[:, 0], OVARIAN[:, 1], -OVARIAN[:, 2])
)

RNG = np.random.default_rng(3)
N = 150
POSITIVE = RNG.random(N) < 0.3
FIRST = (POSITIVE + RNG.normal(0, 1.0, N)).round(1)  # with ties
SECOND = (POSITIVE + RNG.normal(0, 1.5, N)).round(1)
DAYS = RNG.integers(0, 12, N)
WEIGHTS = RNG.uniform(0.5, 2, N)


def by_definition(positive, scores, weights):
    """Return both kinds' placements by comparing every pair."""
    heights = np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5
    return (
        np.average(heights, axis=1, weights=weights[~positive]),
        np.average(heights, axis=0, weights=weights[positive]),
    )


@pytest.mark.parametrize(
    ("placed", "value", "error"),
    [
        (ALBUMIN, 0.7366, 0.0927),
        (PROTEIN, 0.6478, 0.1000),
        (SCORE, 0.7258, 0.1028),
        (ALBUMIN - SCORE, 0.0108, 0.0953),
        (PROTEIN - SCORE, -0.0780, 0.1046),
    ],
    ids=["albumin", "total protein", "K-G score", "albumin less score", "protein less score"],
)
def test_areas_and_errors_are_those_published_for_the_ovarian_cancer_data(placed, value, error):
    estimate = area_estimate([(HELPED, placed)], None, None)
    assert (round(estimate.value, 4), round(estimate.error, 4)) == (value, error)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_area_is_scikit_learns_and_the_same_over_either_kind(weights):
    placed = placements(POSITIVE, FIRST, weights)
    oracle = roc_auc_score(POSITIVE, FIRST, sample_weight=weights)
    for kind in (POSITIVE, ~POSITIVE):
        of_kind = None if weights is None else weights[kind]
        assert np.average(placed[kind], weights=of_kind) == pytest.approx(oracle)


@pytest.mark.parametrize("weights", [np.ones(N), WEIGHTS])
def test_placements_are_those_of_comparing_every_pair(weights):
    placed = placements(POSITIVE, FIRST, weights)
    of_positives, of_negatives = by_definition(POSITIVE, FIRST, weights)
    assert placed[POSITIVE] == pytest.approx(of_positives)
    assert placed[~POSITIVE] == pytest.approx(of_negatives)


def test_the_error_of_a_difference_is_that_of_delongs_covariances():
    ones = np.ones(N)
    tens, ones_ = zip(
        by_definition(POSITIVE, FIRST, ones), by_definition(POSITIVE, SECOND, ones), strict=True
    )
    covariance = np.cov(tens) / POSITIVE.sum() + np.cov(ones_) / (~POSITIVE).sum()
    contrast = np.array([1, -1])
    placed = placements(POSITIVE, FIRST, None) - placements(POSITIVE, SECOND, None)
    estimate = area_estimate([(POSITIVE, placed)], None, None)
    assert estimate.error**2 == pytest.approx(contrast @ covariance @ contrast)
    assert estimate.degrees == POSITIVE.sum() - 1


def obuchowski(placed, clusters, positive):
    """Return the clustered variance, written as in Obuchowski (1997), a loop over clusters."""
    m, n = positive.sum(), (~positive).sum()
    area, s10, s01, s11 = placed[positive].mean(), 0.0, 0.0, 0.0
    with_positives = with_negatives = 0
    for each in np.unique(clusters):
        here = clusters == each
        own_m, own_n = (here & positive).sum(), (here & ~positive).sum()
        a = placed[here & positive].sum() - own_m * area
        b = placed[here & ~positive].sum() - own_n * area
        s10, s01, s11 = s10 + a**2, s01 + b**2, s11 + a * b
        with_positives += own_m > 0
        with_negatives += own_n > 0
    count = len(np.unique(clusters))
    s10 *= with_positives / ((with_positives - 1) * m)
    s01 *= with_negatives / ((with_negatives - 1) * n)
    return s10 / m + s01 / n + 2 * count / (count - 1) * s11 / (m * n)


def test_over_clusters_with_equally_many_of_either_kind_the_error_is_obuchowskis():
    positive, clusters = np.arange(N) % 3 == 0, np.arange(N) // 6
    placed = placements(positive, FIRST, None) - placements(positive, SECOND, None)
    estimate = area_estimate([(positive, placed)], clusters, None)
    assert estimate.error**2 == pytest.approx(obuchowski(placed, clusters, positive))
    assert estimate.degrees == N // 6 - 1


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("clusters", [DAYS, np.minimum(np.arange(N) // 5, 15)], ids=["even", "uneven"])
def test_over_unequal_clusters_the_error_is_that_of_leaving_one_out(clusters, weights):
    """The mean placement of either kind without a cluster, for what each kind adds and for both."""
    placed = placements(POSITIVE, FIRST, weights) - placements(POSITIVE, SECOND, weights)
    weighed = np.ones(N) if weights is None else weights
    moved, parts, worth = [], [], []
    for kind in (POSITIVE, ~POSITIVE):
        whole = np.average(placed[kind], weights=weighed[kind])
        left = [kind & (clusters != each) for each in np.unique(clusters)]
        moved.append(np.array([np.average(placed[k], weights=weighed[k]) - whole for k in left]))
        masses = weighed[kind].sum() - np.array([weighed[k].sum() for k in left])
        parts.append(np.count_nonzero(masses))
        worth.append(masses.sum() ** 2 / (masses**2).sum())
    count = len(moved[0])
    own = sum((part - 1) / part * (each @ each) for part, each in zip(parts, moved, strict=True))
    variance = own + 2 * (count - 1) / count * (moved[0] @ moved[1])
    estimate = area_estimate([(POSITIVE, placed)], clusters, weights)
    assert estimate.error**2 == pytest.approx(variance)
    assert estimate.degrees == pytest.approx(min(worth) - 1)


def test_clusters_of_one_row_give_delongs_error():
    placed = placements(POSITIVE, FIRST, None)
    alone = area_estimate([(POSITIVE, placed)], None, None)
    clustered = area_estimate([(POSITIVE, placed)], np.arange(N), None)
    assert clustered.error == pytest.approx(alone.error, rel=1e-12)


@given(st.integers(0, 10_000))
def test_a_weight_of_k_is_the_row_k_times_in_its_cluster(seed: int):
    rng = np.random.default_rng(seed)
    counts, days = rng.integers(1, 4, N), rng.integers(0, 12, N)

    def estimate(times, weights):
        positive = POSITIVE.repeat(times)
        placed = placements(positive, FIRST.repeat(times), weights) - placements(
            positive, SECOND.repeat(times), weights
        )
        return area_estimate([(positive, placed)], days.repeat(times), weights)

    weighted, repeated = estimate(1, counts.astype(float)), estimate(counts, None)
    assert weighted.value == pytest.approx(repeated.value)
    assert weighted.error == pytest.approx(repeated.error)
    assert weighted.degrees == repeated.degrees


def test_many_classes_are_the_mean_of_their_components():
    """Over clusters that hold equally many of every class, it is the mean placement's error."""
    codes, days = np.arange(N) % 3, np.arange(N) // 15
    placed = [(codes == k, placements(codes == k, RNG.normal(size=N), None)) for k in range(3)]
    influence = np.zeros(N)
    for positive, each in placed:
        for kind in (positive, ~positive):
            influence += np.where(kind, (each - each[kind].mean()) / kind.sum(), 0) / 3
    sums = np.bincount(days, weights=influence)
    estimate = area_estimate(placed, days, None)
    assert estimate.error == pytest.approx(np.sqrt(10 / 9 * (sums**2).sum()))
    assert estimate.value == pytest.approx(np.mean([each[kind].mean() for kind, each in placed]))


def test_positive_rows_of_a_single_day_say_nothing_about_the_error():
    days = np.where(POSITIVE, 0, DAYS)
    assert area_estimate([(POSITIVE, placements(POSITIVE, FIRST, None))], days, None).error is None
