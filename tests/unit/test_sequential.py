"""The verdict over a loss: few false alarms whatever days are like, harm found, words that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evergreen.amounts import Margin
from evergreen.performance.looks import looks
from evergreen.performance.natural_days import CARRY, RHYTHM, Days, degrees_of, ways_of
from evergreen.performance.scan import weights_of
from evergreen.performance.sequential import excess_in, judge_series, usual_level
from evergreen.rates import how_rarely
from evergreen.watch_results import DayLoss, Finding, LossSeries
from evergreen.window import Window

MONDAY = date(2013, 1, 7)
PROOF = 28
NONE = Margin(0.0)
WEEK = np.array([1.0, 1.0, 0.0, 0.0, -0.5, -0.5, -1.0])


def days(
    values: Sequence[float] | np.ndarray, start: date, rows: int | Sequence[int] = 500
) -> tuple[DayLoss, ...]:
    counts = [rows] * len(values) if isinstance(rows, int) else rows
    return tuple(
        DayLoss(start + timedelta(days=place), float(value), int(count))
        for place, (value, count) in enumerate(zip(values, counts, strict=True))
    )


def series(
    proof: Sequence[float] | np.ndarray,
    since: Sequence[float] | np.ndarray,
    metric: str = "log_loss",
    rows: int | Sequence[int] = 500,
    gap: int = 0,
    estimate: bool = False,
) -> LossSeries:
    start = MONDAY + timedelta(days=len(proof) + gap)
    return LossSeries(
        metric=metric,
        higher_is_better=metric in {"accuracy", "roc_auc", "gain"},
        level=float(np.mean(proof)),
        level_days=days(proof, MONDAY),
        days=days(since, start, rows),
        estimate=estimate,
        rows=1000,
    )


def judged(loss: LossSeries, allowed: float = 0.003, margin: Margin = NONE) -> Finding:
    return judge_series(loss, "loss", allowed, margin, 1.0)[0]


def usual(count: int = PROOF, seed: int = 0, level: float = 0.4, spread: float = 0.02) -> np.ndarray:
    return level + spread * np.random.default_rng(seed).normal(size=count)


def carried(rng: np.random.Generator, count: int, carry: float) -> np.ndarray:
    noise = rng.normal(size=count + 50)
    values = [noise[0]]
    for each in noise[1:]:
        values.append(carry * values[-1] + np.sqrt(1 - carry**2) * each)
    return np.array(values[50:])


KINDS = {
    "independent": lambda rng, n: 10 + rng.normal(size=n),
    "with a weekday rhythm": lambda rng, n: 10 + rng.normal(size=n) + 2 * WEEK[np.arange(n) % 7],
    "carried over": lambda rng, n: 10 + carried(rng, n, 0.5),
    "both": lambda rng, n: 10 + carried(rng, n, 0.5) + WEEK[np.arange(n) % 7],
    "skewed": lambda rng, n: rng.gamma(20, 1 / 20, size=n),
    "growing": lambda rng, n: 10 + rng.normal(size=n) / np.linspace(1, 3, n),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_more_false_alarms_begin_than_are_allowed(kind: str) -> None:
    allowed, streams, rng = 0.05, 100, np.random.default_rng(1)
    begun = 0
    for _ in range(streams):
        values = KINDS[kind](rng, 30 + 3 + 20)
        whole = series(values[:30], values[33:], gap=3)
        for upto in (4, 20):
            was, now = (
                judged(replace(whole, days=whole.days[:count]), allowed).answer == "alarm"
                for count in (upto - 1, upto)
            )
            begun += now and not was
    # Days that depend on one another may take twice the allowance; so many checks may show a few more.
    most = allowed * (2.0 if kind in {"carried over", "both"} else 1.0)
    assert begun <= stats.binom.ppf(0.999, 2 * streams, most)


def test_a_day_far_worse_is_an_alarm_at_once() -> None:
    finding = judged(series(usual(), [*usual(20, 1), 0.6]))
    assert (finding.answer, finding.measure) == ("alarm", "mean of the last 1 day")


def test_a_little_harm_is_an_alarm_in_the_end() -> None:
    harmed = np.concatenate([usual(20, 1), usual(14, 2) + 0.05])
    answers = [judged(series(usual(), harmed[:upto])).answer for upto in range(20, 35)]
    assert answers[0] == "quiet"
    assert answers[-1] == "alarm"
    assert judged(series(usual(), harmed)).measure != "mean of the last 1 day"


def test_an_alarm_stays_while_harm_lasts_and_ends_after_it() -> None:
    course = np.concatenate([usual(20, 1), usual(7, 2) + 0.08, usual(40, 3)])
    answers = [judged(series(usual(), course[:upto])).answer for upto in range(1, len(course) + 1)]
    assert set(answers[:20]) == {"quiet"}
    assert set(answers[22:27]) == {"alarm"}
    assert answers[-1] == "quiet"


def test_a_loss_that_falls_is_quiet() -> None:
    finding, excess = judge_series(series(usual(), usual(20, 1) - 0.1), "loss", 0.003, NONE, 1.0)
    assert finding.answer == "quiet"
    assert excess is not None
    assert excess < 0


def test_harm_below_the_margin_is_none() -> None:
    harmed = series(usual(), usual(28, 1) + 0.05)
    assert judged(harmed).answer == "alarm"
    assert judged(harmed, margin=Margin(0.06)).answer == "quiet"
    assert judged(harmed, margin=Margin(0.2, relative=True)).answer == "quiet"
    assert judged(harmed, margin=Margin(0.01)).answer == "alarm"
    assert judged(harmed, margin=Margin(0.01, relative=True)).answer == "alarm"


def test_a_metric_of_which_more_is_better_is_judged_as_its_mirror() -> None:
    errors, since = usual(), usual(20, 1) + 0.05
    down = judged(series(errors, since, "error_rate"))
    up = judged(series(1 - errors, 1 - since, "accuracy"))
    assert up.p_value == pytest.approx(down.p_value)
    assert down.value is not None
    assert down.threshold is not None
    assert up.value == pytest.approx(1 - down.value)
    assert up.threshold == pytest.approx(1 - down.threshold)
    assert "falls below" in up.words
    assert "worse" in up.words


def test_the_excess_is_the_difference_to_the_days_of_the_proof() -> None:
    proof, since = usual(), [0.5] * 20
    finding, excess = judge_series(series(proof, since), "loss", 0.003, NONE, 1.0)
    assert excess == pytest.approx(0.5 - proof.mean())
    assert finding.value == pytest.approx(0.5)


def test_a_loss_that_may_be_negative_does_not_depend_on_where_its_zero_is() -> None:
    proof, since = usual(level=-0.4), usual(20, 1, level=-0.35)
    one = judged(series(proof, since, "cost"))
    other = judged(series(10 * proof - 50, 10 * since - 50, "cost"))
    assert other.p_value == pytest.approx(one.p_value)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(5, 40),
    st.integers(1, 40),
    st.floats(-0.1, 0.2),
    st.sampled_from([0.05, 0.003, 1e-5]),
    st.sampled_from([0.0, 0.02]),
)
def test_the_loss_is_beyond_its_threshold_exactly_where_it_is_an_alarm(
    seed: int, proof: int, since: int, harm: float, allowed: float, margin: float
) -> None:
    loss = series(usual(proof, seed), usual(since, seed + 1) + harm)
    finding = judged(loss, allowed, Margin(margin))
    assert finding.value is not None
    assert finding.threshold is not None
    assert finding.p_value is not None
    assert (finding.answer == "alarm") == (finding.p_value <= allowed)
    if abs(finding.value - finding.threshold) > 1e-6:
        assert (finding.answer == "alarm") == (finding.value > finding.threshold)


def test_less_is_allowed_the_higher_is_the_threshold() -> None:
    loss = series(usual(), usual(10, 1))
    bars = [judged(loss, allowed).threshold or 0.0 for allowed in (0.05, 0.01, 0.001, 1e-6)]
    assert bars == sorted(bars)


def test_weekends_as_bad_as_they_always_were_are_quiet() -> None:
    rhythm = np.where(np.arange(70) % 7 >= 5, 0.15, 0.0)
    values = usual(70) + rhythm
    sundays = [judged(series(values[:28], values[28:upto])).answer for upto in range(35, 71, 7)]
    assert set(sundays) == {"quiet"}
    flat = values - rhythm
    flat[68:70] += 0.15
    assert judged(series(flat[:28], flat[28:])).answer == "alarm"


def test_a_few_odd_rows_are_no_odd_day() -> None:
    since = [*usual(20, 1), 0.7]
    assert judged(series(usual(), since)).answer == "alarm"
    assert judged(series(usual(), since, rows=[500] * 20 + [4])).answer == "quiet"


def test_days_of_few_rows_tell_less_and_days_of_many_no_more_than_others() -> None:
    proof = days([0.4] * 3, MONDAY, [100, 100, 100])
    asked = days([0.4] * 3, MONDAY, [25, 100, 10_000])
    assert weights_of(proof, asked).tolist() == [0.25, 1.0, 1.0]


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        (series(usual(), []), "there are no labelled rows of this champion yet"),
        (series(usual(), [0.4], rows=12), "there are 12 labelled rows of this champion, fewer than 30"),
        (series(usual(4), usual(9)), "the level was proven on 4 days, fewer than 5"),
        (series([0.0] * 28, usual(9)), "days that do not differ say nothing of chance"),
        (series(usual(), [], estimate=True), "there are no rows that wait for their label"),
    ],
    ids=["no rows", "few rows", "few days of proof", "days all alike", "nothing to estimate"],
)
def test_too_little_is_said_to_be_too_little(loss: LossSeries, why: str) -> None:
    finding, excess = judge_series(loss, "loss", 0.003, NONE, 1.0)
    assert finding.answer == "not enough data"
    assert why in finding.words
    assert (excess, finding.value, finding.threshold, finding.years) == (None, None, None, None)


def test_few_days_of_proof_need_more_harm() -> None:
    even = 0.4 + 0.02 * np.resize([1.0, -1.0], PROOF)
    bars = [judged(series(even[:count], [0.4] * 20)).threshold or 0.0 for count in (6, 12, 28)]
    assert bars == sorted(bars, reverse=True)


def test_years_are_between_alarms_of_chance() -> None:
    finding = judge_series(series(usual(), usual(9, 1)), "loss", 0.001, NONE, 2.0)[0]
    assert finding.years == pytest.approx(1000 / 2 / 365.25)
    assert judge_series(series(usual(), usual(9, 1)), "loss", 0.001, NONE, 0.0)[0].years is None


def test_words_say_value_level_threshold_and_how_rarely() -> None:
    words = judged(series(usual(), [0.5] * 7), allowed=1 / 1461).words
    assert words.startswith("log_loss is 0.5 over the last ")
    assert "worse than the 0.39" in words
    assert "chance alone exceeds 0.4" in words
    assert words.endswith("once in 4 years")


def test_an_estimate_says_that_it_is_one_and_what_it_is_blind_to() -> None:
    loss = series(usual(), [0.5] * 7, estimate=True)
    finding = judge_series(loss, "estimated_loss", 0.003, NONE, 1.0)[0]
    assert finding.level == "estimated_loss"
    assert "is estimated at" in finding.words
    assert "blind to a change of what the label depends on" in finding.words


def test_how_rarely_reads_as_a_person_says_it() -> None:
    said = [how_rarely(years) for years in (40.0, 1.0, 0.1, 0.002)]
    assert said == ["once in 40 years", "once in 12 months", "once in 37 days", "every day or so"]


def _way(carry: float, rhythm: float) -> int:
    return CARRY.index(carry) * len(RHYTHM) + RHYTHM.index(rhythm)


def _as_days(values: np.ndarray, start: date, weights: np.ndarray | None = None) -> Days:
    dates = tuple(start + timedelta(days=place) for place in range(len(values)))
    told = np.ones(len(values)) if weights is None else weights
    return Days(dates, tuple(map(float, values)), tuple(map(float, told)))


@pytest.mark.parametrize(("carry", "rhythm"), [(0.0, 0.0), (0.6, 0.0), (0.0, 2.0), (0.45, 0.5)])
def test_each_way_learns_what_generalised_least_squares_does(carry: float, rhythm: float) -> None:
    values, weights = usual(), np.random.default_rng(1).uniform(0.2, 1, PROOF)
    ways = ways_of(_as_days(values, MONDAY, weights))
    apart = np.abs(np.subtract.outer(np.arange(PROOF), np.arange(PROOF)))
    covariance = (carry**apart if carry else np.eye(PROOF)) / np.sqrt(np.outer(weights, weights))
    covariance = covariance + rhythm * (apart % 7 == 0)
    fit = sm.GLS(values, np.ones(PROOF), sigma=covariance).fit()
    place = _way(carry, rhythm)
    assert ways.means[place] == pytest.approx(fit.params[0])
    assert ways.spreads[place] == pytest.approx(fit.scale)
    assert np.sqrt(ways.spreads[place] / ways.precisions[place]) == pytest.approx(fit.bse[0])


def test_a_window_of_independent_days_is_judged_as_by_the_two_sample_t_test() -> None:
    proof, since = usual(), usual(7, 1)
    ways = ways_of(_as_days(proof, MONDAY))
    later = _as_days(since, MONDAY + timedelta(days=PROOF))
    expected, errors = ways.ahead(later, np.full((1, 7), 1 / 7))
    place = _way(0.0, 0.0)
    assert expected[place, 0] == pytest.approx(proof.mean())
    assert errors[place, 0] == pytest.approx(proof.std(ddof=1) * np.sqrt(1 / 7 + 1 / PROOF))


def test_days_ahead_are_those_of_a_gaussian_process_with_an_unknown_mean() -> None:
    proof, since = usual(), usual(5, 1)
    ways = ways_of(_as_days(proof, MONDAY))
    mixing = np.array([[0.1, 0.2, 0.3, 0.2, 0.2]])
    expected, errors = ways.ahead(_as_days(since, MONDAY + timedelta(days=PROOF + 1)), mixing)
    carry, rhythm = 0.6, 2.0
    places = np.concatenate([np.arange(PROOF), PROOF + 1 + np.arange(5)])
    apart = np.abs(np.subtract.outer(places, places))
    covariance = carry**apart + rhythm * (apart % 7 == 0) + 1e4
    old, new = slice(0, PROOF), slice(PROOF, None)
    gain = covariance[new, old] @ np.linalg.inv(covariance[old, old])
    left = covariance[new, new] - gain @ covariance[old, new]
    place = _way(carry, rhythm)
    assert expected[place, 0] == pytest.approx((mixing @ gain @ proof).item(), rel=1e-3)
    spread = ways.spreads[place]
    assert errors[place, 0] ** 2 == pytest.approx(spread * (mixing @ left @ mixing.T).item(), rel=1e-3)


def test_ways_that_fit_the_days_are_likelier() -> None:
    rng = np.random.default_rng(3)
    carry = np.repeat(CARRY, len(RHYTHM))
    rhythm = np.tile(RHYTHM, len(CARRY))

    def likely(values: np.ndarray, which: np.ndarray) -> float:
        ways = ways_of(_as_days(values, MONDAY))
        assert ways.likely.sum() == pytest.approx(1.0)
        return float(ways.likely @ which)

    assert likely(carried(rng, 56, 0.7), carry) > likely(rng.normal(size=56), carry) + 0.2
    weekly = rng.normal(size=56) + 5 * WEEK[np.arange(56) % 7]
    assert likely(weekly, rhythm) > 4
    assert likely(rng.normal(size=56), rhythm) < 0.5


@pytest.mark.parametrize("between", [np.inf, 1.0, 7.0])
def test_looks_are_what_drawn_windows_show(between: float) -> None:
    sizes, proof, probability, streams = (1, 2, 4, 7, 14), 14, 0.02, 150_000
    rng = np.random.default_rng(0)
    known, later = rng.normal(size=(streams, proof)), rng.normal(size=(streams, 21))
    level, spread = known.mean(axis=1), known.std(axis=1, ddof=1)

    def above(upto: int) -> np.ndarray:
        passed = np.zeros(streams, dtype=bool)
        for size in sizes:
            apart = later[:, upto - size : upto].mean(axis=1) - level
            score = apart / spread / np.sqrt(1 / size + 1 / proof)
            passed |= score >= stats.t.isf(probability, degrees_of(proof, size))
        return passed

    before = np.zeros(streams, dtype=bool) if between == np.inf else above(21 - int(between))
    drawn = (above(21) & ~before).mean() / probability
    assert looks(sizes, proof, probability, between) == pytest.approx(drawn, rel=0.06)


@given(st.integers(1, 8), st.integers(5, 60), st.floats(1e-6, 0.25), st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_fewer_alarms_begin_than_there_are(count: int, proof: int, p: float, between: float) -> None:
    sizes = (1, 2, 4, 7, 14, 28, 56, 84)[:count]
    assert 0 < looks(sizes, proof, p, between) <= looks(sizes, proof, p, np.inf) * 1.03 <= count * 1.03


def test_the_order_of_judging_does_not_matter() -> None:
    one, other = series(usual(), usual(9, 1)), series(usual(seed=7), usual(9, 1) + 0.1)
    first = judged(one), judged(other)
    assert (judged(other), judged(one)) == first[::-1]
    assert judged(replace(one, notes=("a note",))) == first[0]


def test_the_excess_of_a_window_is_the_mean_of_its_rows_over_the_proof() -> None:
    found = series(usual(), usual(20, 1) + 0.5)
    days = [one.day for one in found.days]
    instant = datetime(days[-2].year, days[-2].month, days[-2].day, 6, tzinfo=UTC)
    window = Window(instant, instant + timedelta(days=1))
    inside = [one for one in found.days if one.day in days[-2:]]
    rows = sum(one.rows for one in inside)
    mean = sum(one.value * one.rows for one in inside) / rows
    assert excess_in(found, window) == pytest.approx(mean - usual_level(found))
    later = Window(instant + timedelta(days=90), instant + timedelta(days=97))
    assert excess_in(found, later) is None
