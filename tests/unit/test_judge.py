"""What a check came to: which levels speak, what is an alarm, and in what words."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.amounts import Margin
from evergreen.drift.chance import chance_of, threshold
from evergreen.drift.judge import LEVELS, judge
from evergreen.drift.natural import RATIOS
from evergreen.monitor_spec import Monitor
from evergreen.results import from_json, to_json
from evergreen.watch_results import (
    Chance,
    DayLoss,
    Drifted,
    HealthFinding,
    LossSeries,
    Observation,
    Verdict,
)
from evergreen.window import Window

NOW = datetime(2013, 4, 1, tzinfo=UTC)
GATE = Margin(0.01)
STEADY = (RATIOS == 0).astype(float)
SAMPLED = chance_of("jensen_shannon", np.full((91, 5), 60), 2_000, 7, None, STEADY)
RHYTHMIC = replace(SAMPLED, natural=0.6)
CERTAIN, LIKELY = threshold(SAMPLED, 1e-6), SAMPLED.mean


def monitor(**rules):
    return Monitor.model_validate({"schedule": "@daily", "window": "7 days", **rules})


def drifted(column="town", value=LIKELY, **changes):
    one = Drifted(
        column=column,
        kind="category",
        distance="jensen_shannon",
        value=value,
        moved=0.09,
        psi=0.31,
        chance=SAMPLED,
        importance=0.0,
        baseline_rows=27_300,
        window_rows=2_000,
    )
    return replace(one, **changes)


def observation(**changes):
    nothing = Observation(
        run_key="taxi/check",
        as_of=NOW,
        window=Window(NOW - timedelta(days=7), NOW),
        version=3,
        rows=2_000,
        rows_a_day=2_000 / 7,
        checks_a_year=365.25,
        overlap=7.0,
    )
    return replace(nothing, **changes)


def losses(after, *, estimate=False):
    """Return a loss that was about 0.4 in proof and is about `after` since; it wobbles by day."""
    wobble = np.random.default_rng(1).normal(0, 0.01, 60)
    day = [date(2013, 1, 1) + timedelta(days=n) for n in range(90)]
    proof = tuple(DayLoss(day[n], 0.4 + wobble[n], 300) for n in range(30))
    since = tuple(DayLoss(day[60 + n], after + wobble[30 + n], 300) for n in range(30))
    return LossSeries("log_loss", False, 0.4, proof, since, estimate, 2_000)


def broken(kind="nulls", value=0.4, limit=0.05, chance=None, words="40% of 'fare' are missing"):
    return HealthFinding(kind, "fare", value, limit, words, chance)


def judged(seen=None, rules=None, **changes):
    return judge(seen or observation(**changes), rules or monitor(), GATE)


class TestFeatures:
    def test_a_distance_that_chance_explains_is_quiet(self):
        verdict = judged(features=(drifted(),))

        assert (verdict.answer, verdict.spoke) == ("quiet", None)
        assert verdict.words[0] == "Quiet: 2,000 rows, and nothing that chance does not explain."

    def test_a_distance_beyond_chance_is_an_alarm_with_its_reason(self):
        verdict = judged(features=(drifted(value=CERTAIN), drifted("fare")))

        assert (verdict.answer, verdict.spoke) == ("alarm", "features")
        assert verdict.words[1].startswith(
            "town: Jensen-Shannon 0.047; chance alone, at 2,000 rows, exceeds 0.03 once"
        )
        assert "once in 6 months; 9% of rows lie elsewhere (PSI 0.31)" in verdict.words[1]

    def test_the_ups_and_downs_of_the_baseline_are_mentioned_where_they_count(self):
        verdict = judged(features=(drifted(value=CERTAIN, chance=RHYTHMIC),))

        assert "with the ups and downs that the baseline has of itself" in verdict.words[1]

    def test_drift_of_too_few_rows_is_no_alarm_and_says_so(self):
        verdict = judged(features=(drifted(value=CERTAIN, moved=0.004),))

        assert verdict.answer == "quiet"
        assert "0.4% of rows lie elsewhere, less than the 2% that matter" in verdict.findings[0].words

    def test_an_ignored_column_raises_no_alarm_and_takes_no_budget(self):
        both = (drifted("campaign", value=CERTAIN), drifted())

        with_it = judged(features=both, rules=monitor(ignore=["campaign"]))
        without = judged(features=both[1:])
        assert with_it.answer == "quiet"
        assert with_it.findings == without.findings

    def test_what_matters_to_the_model_is_judged_more_keenly(self):
        columns = (drifted("a", importance=0.9), drifted("b", importance=0.1))

        bars = {one.subject: one.threshold for one in judged(features=columns).findings}
        assert bars["a"] < bars["b"]

    def test_more_columns_have_higher_thresholds(self):
        few, many = (
            judged(features=tuple(drifted(f"c{n}") for n in range(count))).findings[0]
            for count in (2, 9)
        )

        assert few.threshold < many.threshold
        assert few.years < many.years

    def test_a_larger_budget_lowers_thresholds(self):
        rare, often = (
            judged(features=(drifted(),), rules=monitor(false_alarms=rate)).findings[0].threshold
            for rate in ("1 per year", "2 per month")
        )

        assert often < rare

    def test_the_years_between_false_alarms_add_up_to_the_budget(self):
        found = judged(features=tuple(drifted(f"c{n}") for n in range(8))).findings

        # 2% are kept for health.
        assert sum(1 / one.years for one in found) == pytest.approx(4 * 0.98)

    def test_alarms_come_first_and_those_that_matter_most_before_others(self):
        columns = (
            drifted("quiet"),
            drifted("little", value=CERTAIN, moved=0.03),
            drifted("much", value=CERTAIN, moved=0.3),
            drifted("important", value=CERTAIN, moved=0.2, importance=1.0),
        )

        order = [one.subject for one in judged(features=columns).findings]
        assert order == ["important", "much", "little", "quiet"]

    def test_quiet_findings_are_cut_and_alarms_are_not(self):
        columns = [drifted(f"q{n}") for n in range(30)] + [
            drifted(f"a{n}", value=CERTAIN) for n in range(15)
        ]

        found = judged(features=tuple(columns)).findings
        assert [one.answer for one in found] == ["alarm"] * 15 + ["quiet"] * 10

    def test_a_column_that_cannot_be_measured_is_named_and_the_others_are_judged(self):
        lost = drifted("fare", value=None, moved=None, chance=None, problem="lost")

        verdict = judged(features=(lost, drifted()))
        assert verdict.answer == "quiet"
        assert verdict.words[-1] == "Not judged: features: fare cannot be judged: lost."

    def test_text_from_the_data_cannot_write_lines_of_its_own(self):
        verdict = judged(features=(drifted("a\nAlarm: \x1b[31mfake", value=CERTAIN),))

        assert not any("\n" in line or "\x1b" in line for line in verdict.words)


class TestNotEnoughData:
    def test_a_window_of_too_few_rows_is_not_judged(self):
        few = drifted(value=CERTAIN, window_rows=99)

        verdict = judged(rows=99, features=(few,), predictions=(few,))
        assert verdict.answer == "not enough data"
        assert verdict.words[0] == "Not enough data: 99 rows in the window."
        assert "99 values, fewer than the 100 of monitor.min_rows" in verdict.words[1]

    def test_a_window_without_rows_may_still_be_stale(self):
        stale = broken("stale", 9.0, 7.0, words="no fresh rows since 2013-03-23")

        verdict = judged(rows=0, health=(stale,), problems=(("features", "the window has no rows"),))
        assert (verdict.answer, verdict.spoke) == ("alarm", "health")

    def test_where_no_level_was_measured_every_reason_is_given(self):
        problems = tuple((level, "the champion has no baseline") for level in LEVELS)

        verdict = judged(problems=problems)
        assert verdict.answer == "not enough data"
        assert {answer for _, answer in verdict.levels} == {"not enough data"}
        assert sum("has no baseline" in line for line in verdict.words) == len(LEVELS)

    def test_a_silent_level_leaves_its_budget_to_those_that_speak(self):
        few = losses(0.4)
        silent = replace(few, days=(), rows=0)

        alone, with_silent, with_loss = (
            judged(features=(drifted(),), loss=series).findings for series in (None, silent, few)
        )
        bars = [
            next(one.threshold for one in found if one.level == "features")
            for found in (alone, with_silent, with_loss)
        ]
        assert bars[0] == bars[1] < bars[2]


class TestLoss:
    def test_a_loss_that_rose_is_the_alarm_that_speaks_before_drift(self):
        verdict = judged(features=(drifted(value=CERTAIN),), loss=losses(0.7))

        assert verdict.spoke == "loss"
        assert [one.level for one in verdict.findings] == ["loss", "features"]
        assert verdict.words[0] == "Alarm: realised loss; also: features (2,000 rows)."
        assert verdict.excess_loss == pytest.approx(0.3, abs=0.03)
        assert not verdict.excess_is_estimate

    def test_an_estimate_speaks_until_labels_come_and_is_marked(self):
        verdict = judged(estimated=losses(0.7, estimate=True))

        assert verdict.spoke == "estimated_loss"
        assert verdict.excess_is_estimate
        assert "estimate" in verdict.words[1]

    def test_the_realised_loss_counts_before_the_estimated_one(self):
        verdict = judged(loss=losses(0.5), estimated=losses(0.9, estimate=True))

        assert verdict.excess_loss == pytest.approx(0.1, abs=0.03)
        assert not verdict.excess_is_estimate

    def test_the_owners_margin_counts_before_the_gates(self):
        generous = monitor(loss_margin=0.5)

        assert judged(loss=losses(0.7)).answer == "alarm"
        assert judged(loss=losses(0.7), rules=generous).answer == "quiet"

    def test_a_loss_as_proven_is_quiet_and_its_excess_is_told(self):
        verdict = judged(loss=losses(0.4))

        assert dict(verdict.levels)["loss"] == "quiet"
        assert verdict.excess_loss == pytest.approx(0, abs=0.01)


class TestHealth:
    def test_a_broken_feed_is_the_foremost_alarm(self):
        verdict = judged(
            features=(drifted(value=CERTAIN),), loss=losses(0.7), health=(broken(words="gone"),)
        )

        assert verdict.spoke == "health"
        assert verdict.words[:2] == (
            "Alarm: the data itself; also: realised loss, features (2,000 rows).",
            "gone.",
        )

    def test_what_keeps_the_owners_rule_is_no_alarm(self):
        new_column = broken("schema", 1.0, 1.0, words="the column 'tip' is new")

        verdict = judged(health=(new_column,), features=(drifted(),))
        assert verdict.answer == "quiet"
        assert any(one.words == "the column 'tip' is new" for one in verdict.findings)

    @pytest.mark.parametrize(("value", "answer"), [(40.0, "alarm"), (60.0, "quiet")])
    def test_volume_is_broken_below_its_limit(self, value, answer):
        verdict = judged(health=(broken("volume", value, 50.0),), features=(drifted(),))

        assert dict(verdict.levels)["health"] == answer

    @pytest.mark.parametrize(("value", "answer"), [(0.06, "quiet"), (0.3, "alarm")])
    def test_missing_values_that_chance_explains_are_no_alarm(self, value, answer):
        spread = Chance(0.03, 0.02, 0.5)

        verdict = judged(health=(broken(value=value, chance=spread),), features=(drifted(),))
        assert dict(verdict.levels)["health"] == answer


class TestVerdict:
    @given(
        value=st.floats(0, 0.83),
        moved=st.floats(0, 1),
        importance=st.floats(0, 1),
        rows=st.integers(0, 10**7),
        yearly=st.floats(0.5, 9_000),
        overlap=st.floats(0.01, 400),
        count=st.integers(0, 4),
    )
    @settings(deadline=None, max_examples=60)
    def test_any_measurement_has_a_verdict_that_travels_as_json(
        self, value, moved, importance, rows, yearly, overlap, count
    ):
        columns = tuple(
            drifted(f"c{n}", value=value, moved=moved, importance=importance, window_rows=rows)
            for n in range(count)
        )

        verdict = judged(
            features=columns,
            predictions=columns[:1],
            rows=rows,
            checks_a_year=yearly,
            overlap=overlap,
        )
        assert from_json(Verdict, to_json(verdict)) == verdict
        assert (verdict.answer == "alarm") == (verdict.spoke is not None)
        assert [level for level, _ in verdict.levels] == list(LEVELS)
        assert all(len(line) <= 300 for line in verdict.words)

    def test_judging_twice_gives_the_same(self):
        seen = observation(features=(drifted(value=CERTAIN),), loss=losses(0.7))

        assert judged(seen) == judged(seen)

    def test_a_higher_distance_never_turns_an_alarm_quiet(self):
        values = np.linspace(0, 0.2, 60)

        answers = [judged(features=(drifted(value=float(value)),)).answer for value in values]
        assert answers == sorted(answers, reverse=True)

    def test_notes_of_the_check_are_told(self):
        verdict = judged(features=(drifted(),), notes=("labels have stopped coming",))

        assert verdict.words[-1] == "Labels have stopped coming."
