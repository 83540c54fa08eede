"""Distances from counts: equal to independent oracles on the same cells, and lawful on any cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import euclidean, jensenshannon

from evergreen.drift.distances import DISTANCES

SYMMETRIC = sorted(set(DISTANCES) - {"chi_square", "lepage"})
HIGHEST = {
    "anderson_darling": 4.0,
    "hellinger": 1.0,
    "jensen_shannon": np.sqrt(np.log(2)),
    "kolmogorov_smirnov": 1.0,
    "l_infinity": 1.0,
    "lepage": 6.0,
}


def measure(name, p, q):
    return DISTANCES[name].measure(p, q, np.arange(len(p), dtype=float))


def shares(counts):
    counts = np.asarray(counts, dtype=float)
    return counts / counts.sum()


def some(seed, cells=12, rows=400):
    rng = np.random.default_rng(seed)
    return rng.multinomial(rows, rng.dirichlet(np.full(cells, 3.0))) + 1


@st.composite
def two_profiles(draw):
    """Two windows' counts of the same cells, some of them empty."""
    cells = draw(st.integers(2, 12))
    window = st.lists(st.integers(0, 300), min_size=cells, max_size=cells).filter(any)
    return np.array(draw(window)), np.array(draw(window))


@pytest.mark.parametrize("seed", range(5))
class TestAgainstOracles:
    def test_jensen_shannon_is_scipys(self, seed):
        p, q = shares(some(seed)), shares(some(seed + 99))

        assert measure("jensen_shannon", p, q) == pytest.approx(jensenshannon(p, q), rel=1e-12)

    def test_hellinger_is_the_euclidean_distance_of_roots(self, seed):
        p, q = shares(some(seed)), shares(some(seed + 99))

        expected = euclidean(np.sqrt(p), np.sqrt(q)) / np.sqrt(2)
        assert measure("hellinger", p, q) == pytest.approx(expected, rel=1e-12)

    def test_psi_is_both_relative_entropies(self, seed):
        p, q = shares(some(seed)), shares(some(seed + 99))

        expected = stats.entropy(p, q) + stats.entropy(q, p)
        assert measure("psi", p, q) == pytest.approx(expected, rel=1e-12)

    def test_chi_square_times_rows_is_scipys_statistic(self, seed):
        p, found = shares(some(seed)), some(seed + 99)

        expected = stats.chisquare(found, p * found.sum()).statistic
        got = measure("chi_square", p, shares(found)) * found.sum()
        assert got == pytest.approx(expected, rel=1e-12)

    def test_wasserstein_is_scipys(self, seed):
        p, q = shares(some(seed)), shares(some(seed + 99))
        at = np.cumsum(np.random.default_rng(seed).exponential(size=len(p)))

        expected = stats.wasserstein_distance(at, at, p, q)
        got = DISTANCES["wasserstein"].measure(p, q, at)
        assert got == pytest.approx(expected, rel=1e-10)

    def test_kolmogorov_smirnov_is_scipys_on_rows_of_the_cells(self, seed):
        before, after = some(seed), some(seed + 99)
        cells = np.arange(len(before))

        expected = stats.ks_2samp(np.repeat(cells, before), np.repeat(cells, after), method="asymp")
        got = measure("kolmogorov_smirnov", shares(before), shares(after))
        assert got == pytest.approx(expected.statistic, rel=1e-12)

    def test_l_infinity_is_the_chebyshev_distance(self, seed):
        p, q = shares(some(seed)), shares(some(seed + 99))

        assert measure("l_infinity", p, q) == pytest.approx(np.linalg.norm(p - q, np.inf), rel=1e-12)

    def test_anderson_darling_is_scipys_of_two_samples_of_one_size(self, seed):
        rng = np.random.default_rng(seed)
        before, after = rng.integers(0, 8, 300), rng.integers(0, 9, 300)
        cells = np.arange(9)
        p, q = ((before[:, None] == cells).mean(axis=0), (after[:, None] == cells).mean(axis=0))

        few = stats.PermutationMethod(n_resamples=9, rng=rng)
        found = stats.anderson_ksamp([before, after], variant="midrank", method=few)
        statistic = found.statistic * scholz_stephens_sd(300, 300) + 1
        expected = statistic * 600 / 599 / 150
        assert measure("anderson_darling", p, q) == pytest.approx(expected, rel=1e-9)

    def test_lepage_is_anderson_darling_and_half_of_it_from_the_middle_outwards(self, seed):
        """A cell's way from the middle, and the cells in that order, are found by hand."""
        p, q = shares(some(seed)), shares(some(seed + 99))

        away = [abs(sum(p[:place]) + p[place] / 2 - 0.5) for place in range(len(p))]
        order = sorted(range(len(p)), key=lambda place: away[place])
        expected = (
            measure("anderson_darling", p, q) + measure("anderson_darling", p[order], q[order]) / 2
        )
        assert measure("lepage", p, q) == pytest.approx(expected, rel=1e-12)


def test_lepage_sees_a_spread_that_anderson_darling_hardly_sees():
    p = np.full(10, 0.1)
    apart = np.array([0.15, 0.12, 0.1, 0.08, 0.05, 0.05, 0.08, 0.1, 0.12, 0.15])
    aside = np.array([0.14, 0.13, 0.12, 0.11, 0.105, 0.095, 0.09, 0.08, 0.07, 0.06])
    ratio = measure("lepage", p, apart) / measure("anderson_darling", p, apart)
    assert ratio > 2
    assert measure("lepage", p, aside) < 1.1 * measure("anderson_darling", p, aside)


def scholz_stephens_sd(*sizes):
    """Return what scipy divides the statistic of two samples by (Scholz and Stephens, equation 4)."""
    total = sum(sizes)
    inverse = sum(1 / size for size in sizes)
    steps = 1 / np.arange(total - 1, 1, -1)
    h = steps.sum() + 1
    g = (np.cumsum(steps) / np.arange(2, total)).sum()
    a = (4 * g - 6) + (10 - 6 * g) * inverse
    b = (2 * g - 4) * 4 + 16 * h + (2 * g - 14 * h - 4) * inverse - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * 4 + (4 * h - 4 * g + 6) * 2 + (2 * h - 6) * inverse + 4 * h
    d = (2 * h + 6) * 4 - 8 * h
    return np.sqrt(
        (a * total**3 + b * total**2 + c * total + d) / ((total - 1.0) * (total - 2.0) * (total - 3.0))
    )


@pytest.mark.parametrize("name", sorted(DISTANCES))
class TestLaws:
    @given(both=two_profiles())
    def test_shares_lie_at_no_distance_from_themselves(self, name, both):
        p = shares(both[0])

        assert measure(name, p, p) == pytest.approx(0, abs=1e-7)

    @given(both=two_profiles())
    def test_no_distance_is_negative_infinite_or_undefined(self, name, both):
        p, q = map(shares, both)

        assert 0 <= measure(name, p, q) < np.inf

    @given(both=two_profiles())
    def test_no_distance_is_above_its_bound(self, name, both):
        p, q = map(shares, both)

        assert measure(name, p, q) <= HIGHEST.get(name, np.inf) + 1e-9

    @given(both=two_profiles(), place=st.integers(0, 12))
    def test_a_cell_that_is_empty_on_both_sides_changes_nothing(self, name, both, place):
        p, q = map(shares, both)
        place = min(place, len(p))
        at = np.arange(len(p), dtype=float)
        wider = [np.insert(each, place, 0) for each in (p, q)]
        there = np.insert(at, place, at[min(place, len(p) - 1)])

        expected = DISTANCES[name].measure(p, q, at)
        got = DISTANCES[name].measure(*wider, there)
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-12)

    @given(both=two_profiles())
    def test_many_windows_at_once_are_each_measured_alone(self, name, both):
        p, q = map(shares, both)
        windows = np.stack([q, p, q[::-1]])

        together = measure(name, p, windows)
        assert together == pytest.approx([measure(name, p, each) for each in windows], abs=1e-12)

    def test_shares_without_a_common_cell_lie_far_apart(self, name):
        p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])

        assert measure(name, p, q) >= 0.8


@pytest.mark.parametrize("name", SYMMETRIC)
@given(both=two_profiles())
def test_the_distance_is_the_same_from_either_side(name, both):
    p, q = map(shares, both)

    assert measure(name, p, q) == pytest.approx(measure(name, q, p), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", sorted(HIGHEST))
def test_the_bound_is_reached_where_no_cell_is_shared(name):
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])

    assert measure(name, p, q) == pytest.approx(HIGHEST[name])


@pytest.mark.parametrize("name", sorted(n for n, d in DISTANCES.items() if d.curvature))
def test_near_zero_the_distance_is_its_quadratic_form(name):
    p = shares(some(1))
    step = np.random.default_rng(2).normal(size=len(p)) * p
    step = 1e-4 * (step - p * step.sum())
    known = DISTANCES[name]

    form = step @ known.curvature(p) @ step
    value = measure(name, p, p + step)
    assert (value**2 if known.degree == 1 else value) == pytest.approx(form, rel=1e-3)


@pytest.mark.parametrize("name", sorted(n for n, d in DISTANCES.items() if d.terms))
def test_the_distance_is_the_sum_of_its_terms(name):
    p, q = shares(some(3)), shares(some(4))
    known = DISTANCES[name]

    whole = known.terms(p, q).sum()
    assert measure(name, p, q) == pytest.approx(np.sqrt(whole) if known.degree == 1 else whole)


def test_wasserstein_asked_of_cells_without_positions_says_so():
    with pytest.raises(ValueError, match="needs the cells' positions"):
        DISTANCES["wasserstein"].measure(np.array([1.0]), np.array([1.0]), None)
