"""How the budget of false alarms is spent: by level, by column and over time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evergreen.drift.budget import WEIGHTS, begins_per_check, parts
from evergreen.drift.chance import chance_of, threshold
from evergreen.drift.distances import DISTANCES
from evergreen.drift.natural import RATIOS
from evergreen.drift.persistence import begins, chance_per_check, correlation, degrees
from evergreen.rates import Rate

LEVELS = st.sets(st.sampled_from(sorted(WEIGHTS)), min_size=1)


class TestByLevel:
    @given(levels=LEVELS, checks=st.floats(1, 9_000), count=st.integers(1, 12))
    def test_whatever_speaks_the_whole_budget_is_spent_and_no_more(self, levels, checks, count):
        rate = Rate(count, "quarter")

        spent = sum(begins_per_check(rate, checks, levels).values())

        assert spent == pytest.approx(min(rate.per_year / checks, 0.5))

    @given(levels=LEVELS)
    def test_a_level_that_is_silent_leaves_its_part_to_the_others(self, levels):
        rate = Rate(1, "quarter")
        alone, all_speak = (begins_per_check(rate, 365, each) for each in (levels, WEIGHTS))

        assert set(alone) == {"health", *levels}
        assert all(alone[level] >= all_speak[level] for level in levels)

    def test_where_nothing_speaks_only_health_has_a_part(self):
        assert set(begins_per_check(Rate(1, "year"), 52, [])) == {"health"}

    def test_loss_has_the_largest_part(self):
        budget = begins_per_check(Rate(1, "quarter"), 365, WEIGHTS)

        assert max(budget, key=budget.get) == "loss"


class TestByColumn:
    @given(st.lists(st.floats(0, 10, allow_subnormal=False), min_size=1, max_size=30))
    def test_parts_sum_to_one_and_none_is_left_out(self, importance):
        found = parts(importance)

        assert sum(found) == pytest.approx(1)
        assert min(found) >= 0.5 / len(importance) - 1e-12

    def test_what_matters_more_to_the_model_has_more(self):
        assert parts([0.9, 0.1])[0] > parts([0.9, 0.1])[1]


class TestOverTime:
    @pytest.mark.parametrize("nu", [1, 3, 15])
    @pytest.mark.parametrize("alike", [0.1, 6 / 7, 0.97])
    def test_the_share_of_exceedances_that_begin_is_that_of_drawn_pairs(self, nu, alike):
        rng = np.random.default_rng(2)
        first = rng.standard_normal((400_000, nu))
        after = alike * first + np.sqrt(1 - alike**2) * rng.standard_normal(first.shape)
        bar = stats.chi2.isf(0.01, nu)
        above, above_after = ((each**2).sum(axis=1) > bar for each in (first, after))

        expected = 1 - above_after[above].mean()
        assert begins(0.01, float(nu), alike) == pytest.approx(expected, abs=0.03)

    @settings(deadline=None)
    @given(p=st.floats(1e-7, 0.4), nu=st.floats(1, 200), alike=st.floats(0, 0.9999))
    def test_the_share_is_one(self, p, nu, alike):
        assert 0 < begins(p, nu, alike) <= 1

    def test_more_overlap_means_longer_and_fewer_alarms(self):
        shares = [begins(1e-3, 2.0, correlation(overlap, 9_000, 1_000)) for overlap in (1, 2, 7, 30)]

        assert shares == sorted(shares, reverse=True)

    def test_windows_apart_are_alike_only_in_their_baseline(self):
        assert correlation(1.0, 10**9, 1_000) == pytest.approx(0, abs=1e-5)
        assert correlation(0.5, 1_000, 1_000) == pytest.approx(0.5)

    def test_overlap_allows_each_check_more(self):
        chance = chance_of("anderson_darling", np.full((91, 20), 50), 7_000, 7, None)

        apart, together = (
            chance_per_check(chance, "anderson_darling", 1e-4, alike) for alike in (0.0, 0.87)
        )
        assert apart == pytest.approx(1e-4, rel=1e-3)
        assert 1.3e-4 < together < 4e-4

    def test_degrees_of_freedom_are_those_of_the_tail(self):
        counts = np.full((14, 9), 10_000)

        chance = chance_of("chi_square", counts, 50_000, 1, None, (RATIOS == 0).astype(float))

        assert degrees(chance, "chi_square", 1e-3) == pytest.approx(8, rel=0.35)

    def test_alarms_of_overlapping_windows_begin_as_often_as_allowed(self):
        """Counts of a year and more, one check a day of windows of seven days."""
        rng = np.random.default_rng(8)
        begun, allowed, checks = 0, 2e-3, 3_000
        for _ in range(30):
            past = rng.multinomial(100, np.full(20, 0.05), size=364)
            days = rng.multinomial(100, np.full(20, 0.05), size=checks + 6)
            summed = np.concatenate([np.zeros((1, 20)), np.cumsum(days, axis=0)])
            windows = (summed[7:] - summed[:-7]) / 700
            chance = chance_of("anderson_darling", past, 700, 7, None)
            p = chance_per_check(
                chance, "anderson_darling", allowed, correlation(7.0, int(past.sum()), 700)
            )

            values = DISTANCES["anderson_darling"].measure(past.sum(axis=0) / past.sum(), windows, None)
            above = values > threshold(chance, p)
            begun += int((above[1:] & ~above[:-1]).sum())
        assert begun / (30 * checks) == pytest.approx(allowed, rel=0.4)
