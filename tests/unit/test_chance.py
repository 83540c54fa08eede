"""What chance does to a distance: against exact distributions and against windows that were drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evergreen.drift import saddlepoint
from evergreen.drift.chance import TAIL, chance_of, p_value, threshold
from evergreen.drift.distances import DISTANCES
from evergreen.drift.natural import RATIOS, natural_of, pooled
from evergreen.drift.small_cells import beta_binomial
from evergreen.watch_results import Chance

STEADY = (RATIOS == 0).astype(float)
"""Nothing but sampling: natural variation is known to be none."""
WORLDS = {
    "bins": np.full(20, 0.05),
    "five values": np.array([0.6, 0.25, 0.1, 0.04, 0.01]),
    "skewed": (1 / np.arange(1, 13) ** 2) / np.sum(1 / np.arange(1, 13) ** 2),
    "fifty": np.full(50, 0.02),
    "rare": np.array([0.5, 0.3, 0.19, 0.008, 0.0015, 0.0005]),
    "flag": np.array([0.7, 0.3]),
}


def exceeded(distance, shares, rows, chances, bases=30, windows=8_000, before=STEADY):
    """Return how often windows to which nothing happened lie beyond the threshold, over its chance."""
    rng = np.random.default_rng(11)
    positions = np.arange(len(shares), dtype=float)
    beyond = np.zeros(len(chances))
    for _ in range(bases):
        days = rng.multinomial(max(rows // 7, 1), shares, size=91)
        chance = chance_of(distance, days, rows, 7, positions, before)
        bars = [threshold(chance, p) for p in chances]
        drawn = rng.multinomial(rows, shares, size=windows) / rows
        values = DISTANCES[distance].measure(days.sum(axis=0) / days.sum(), drawn, positions)
        beyond += (values[:, None] > bars).mean(axis=0)
    return beyond / bases / chances


class TestTails:
    @pytest.mark.parametrize("degrees", [1, 5, 20])
    def test_the_saddlepoint_is_within_a_tenth_of_chi_square(self, degrees):
        lam = np.ones(degrees)

        values, logs = saddlepoint.quadratic(lam, saddlepoint.points(lam)).tail()

        exact = stats.chi2.logsf(values, degrees)
        # Single chi-squares are its worst case; of relevance are chances from 0.2 to 1e-8.
        used = (exact < np.log(0.2)) & (exact > np.log(1e-8))
        assert np.abs(logs - exact)[used].max() < 0.1

    def test_the_saddlepoint_of_unequal_parts_is_that_of_drawn_ones(self):
        lam = 1 / (np.arange(1, 20) * np.arange(2, 21))
        drawn = np.random.default_rng(0).chisquare(1, size=(400_000, len(lam))) @ lam

        values, logs = saddlepoint.quadratic(lam, saddlepoint.points(lam)).tail()

        for p in (1e-1, 1e-2, 1e-3):
            bar = np.interp(-np.log(p), -logs, values)
            assert (drawn > bar).mean() == pytest.approx(p, rel=0.12)

    @given(p=st.floats(1e-9, 0.5), q=st.floats(1e-9, 0.5))
    def test_a_rarer_chance_has_a_higher_threshold(self, p, q):
        chance = chance_of("jensen_shannon", np.full((14, 6), 30), 500, 1, None)

        assert (threshold(chance, min(p, q)) >= threshold(chance, max(p, q))) or p == q

    @given(p=st.floats(1e-8, 0.099))
    def test_the_chance_of_a_threshold_is_the_one_it_was_made_for(self, p):
        chance = chance_of("anderson_darling", np.full((14, 6), 30), 500, 1, None)

        assert p_value(chance, threshold(chance, p)) == pytest.approx(p, rel=1e-6)

    def test_without_a_tail_three_moments_tell(self):
        chance = Chance(4.0, np.sqrt(8.0), np.sqrt(8 / 4))  # chi-square of 4 degrees of freedom

        assert p_value(chance, 18.5) == pytest.approx(stats.chi2.sf(18.5, 4), rel=1e-6)
        assert threshold(chance, 1e-3) == pytest.approx(stats.chi2.isf(1e-3, 4), rel=1e-6)

    def test_where_nothing_varies_more_than_nothing_is_impossible(self):
        never = Chance(0.0, 0.0, 0.0)

        assert threshold(never, 1e-3) == 0
        assert p_value(never, 0.1) == 0

    def test_chances_by_name_are_the_tails(self):
        chance = chance_of("anderson_darling", np.full((14, 6), 30), 500, 1, None)

        assert [p_value(chance, value) for value in chance.tail] == pytest.approx(list(TAIL))


class TestSampling:
    """The aim is the alarm budget within 25%: single columns may miss by more, all together may not."""

    CHANCES = np.array([1e-2, 1e-3])

    @pytest.mark.parametrize("rows", [200, 5_000])
    @pytest.mark.parametrize("world", ["bins", "five values", "skewed", "rare"])
    def test_anderson_darling_exceeds_its_threshold_as_often_as_said(self, world, rows):
        found = exceeded("anderson_darling", WORLDS[world], rows, self.CHANCES)

        assert found == pytest.approx([1, 1], abs=0.35)

    @pytest.mark.parametrize("rows", [200, 5_000])
    @pytest.mark.parametrize("world", ["bins", "skewed", "fifty", "rare"])
    def test_jensen_shannon_exceeds_its_threshold_as_often_as_said(self, world, rows):
        found = exceeded("jensen_shannon", WORLDS[world], rows, self.CHANCES)

        assert found == pytest.approx([1, 1], abs=0.45)

    @pytest.mark.parametrize("distance", sorted(set(DISTANCES) - {"anderson_darling", "jensen_shannon"}))
    def test_every_other_distance_exceeds_its_threshold_about_as_often_as_said(self, distance):
        found = exceeded(distance, WORLDS["five values"], 1_000, self.CHANCES, bases=15)

        assert (found > 0.3).all()
        assert (found < 2.5).all()

    @pytest.mark.parametrize("distance", sorted(DISTANCES))
    def test_two_cells_are_exact_for_any_distance(self, distance):
        found = exceeded(distance, WORLDS["flag"], 700, self.CHANCES)

        assert found == pytest.approx([1, 1], abs=0.4)

    def test_the_beta_binomial_is_scipys(self):
        counts = np.arange(21.0)

        expected = stats.betabinom.pmf(counts, 20, 3.5, 96.5)
        assert beta_binomial(counts, 20, 3.5, 96.5) == pytest.approx(expected, rel=1e-9)

    def test_the_mean_of_chi_square_is_its_degrees_of_freedom(self):
        days = np.full((100, 8), 1_000)

        chance = chance_of("chi_square", days, 10_000, 1, None, STEADY)

        assert chance.mean == pytest.approx(7 * (1 / 10_000 + 1 / 800_000), rel=1e-9)
        assert chance.sd == pytest.approx(np.sqrt(14) * (1 / 10_000 + 1 / 800_000), rel=1e-9)

    def test_the_same_counts_have_the_same_chance(self):
        days = np.random.default_rng(0).multinomial(50, WORLDS["rare"], size=30)

        first, second = (chance_of("wasserstein", days, 300, 7, np.arange(6.0)) for _ in range(2))
        assert first == second

    @settings(deadline=None)
    @given(
        counts=st.lists(st.integers(0, 40), min_size=2, max_size=8).filter(any),
        days=st.integers(1, 12),
        rows=st.integers(1, 5_000),
        distance=st.sampled_from(sorted(DISTANCES)),
    )
    def test_any_counts_have_a_finite_chance(self, counts, days, rows, distance):
        positions = np.arange(len(counts), dtype=float)

        chance = chance_of(distance, np.array([counts] * days), rows, 7, positions)

        assert np.isfinite([chance.mean, chance.sd, chance.skew, *chance.tail]).all()
        assert 0 <= chance.natural <= 1
        assert list(chance.tail) == sorted(chance.tail)

    def test_without_rows_chance_cannot_be_told(self):
        with pytest.raises(ValueError, match="without rows"):
            chance_of("psi", np.zeros((3, 4), dtype=int), 100, 7, None)
        with pytest.raises(ValueError, match="without rows"):
            chance_of("psi", np.ones((3, 4), dtype=int), 0, 7, None)


def rhythmic(rng, days, rows, most):
    """Return counts by day of ten cells whose law is moved by the weekday and by a memory of days."""
    direction = rng.standard_normal(10)
    level = np.zeros(days)
    for day in range(1, days):
        level[day] = 0.6 * level[day - 1] + 0.8 * rng.standard_normal()
    tilt = np.exp(most * (level + rng.standard_normal(7)[np.arange(days) % 7])[:, None] * direction)
    return rng.multinomial(rows, tilt / tilt.sum(axis=1, keepdims=True))


class TestNaturalVariation:
    ROOT = np.sqrt(10) * np.eye(10)

    def test_steady_columns_vouch_for_one_another(self):
        rng = np.random.default_rng(3)
        each = [
            natural_of(rng.multinomial(100, np.full(10, 0.1), size=91), self.ROOT, 7) for _ in range(20)
        ]

        alone = np.mean([one.weights()[0] for one in each])
        together = np.mean(
            [one.weights(others)[0] for one, others in zip(each, pooled(each), strict=True)]
        )
        assert together > max(alone, 0.85)

    def test_a_strong_rhythm_is_no_matter_of_doubt(self):
        days = rhythmic(np.random.default_rng(4), 182, 2_000, 0.3)

        weights = natural_of(days, self.ROOT, 7).weights()

        assert weights[0] < 1e-6
        assert weights @ RATIOS > 3

    @pytest.mark.parametrize("most", [0.05, 0.2])
    def test_days_that_differ_by_themselves_raise_the_threshold_to_what_they_reach(self, most):
        rates = []
        for seed in range(12):
            days = rhythmic(np.random.default_rng(seed), 182 + 700, 500, most)
            past, later = days[:182], days[182:]
            windows = np.stack([later[at : at + 7].sum(axis=0) for at in range(0, 693, 7)])
            chance = chance_of("jensen_shannon", past, 3_500, 7, None)
            values = DISTANCES["jensen_shannon"].measure(
                past.sum(axis=0) / past.sum(), windows / 3_500, None
            )
            rates.append((values > threshold(chance, 1e-2)).mean())
            without = chance_of("jensen_shannon", past, 3_500, 7, None, STEADY)
            assert (values > threshold(without, 1e-2)).mean() > 0.02
        assert np.mean(rates) < 0.02

    def test_the_share_of_rhythm_is_told(self):
        steady = np.random.default_rng(5).multinomial(500, np.full(10, 0.1), size=182)
        moving = rhythmic(np.random.default_rng(5), 182, 500, 0.3)

        shares = [chance_of("jensen_shannon", each, 3_500, 7, None).natural for each in (steady, moving)]
        assert shares[0] < 0.1
        assert shares[1] > 0.5

    @pytest.mark.parametrize("days", [1, 2])
    def test_too_few_days_for_blocks_leave_sampling_alone(self, days):
        natural = natural_of(np.full((days, 10), 50), self.ROOT, 7)

        assert natural.weights()[0] == 1

    def test_days_without_rows_are_passed_over(self):
        days = np.random.default_rng(6).multinomial(100, np.full(10, 0.1), size=60)
        days[10:30] = 0

        assert natural_of(days, self.ROOT, 7).weights()[0] > 0.5
