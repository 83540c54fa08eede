"""What people are told of a decision: golden sentences for the main cases, and bounds for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen import gate
from evergreen.comparison import Comparison, Evidence, Finding, Gap, Interval, Settling, Slice
from evergreen.evidence.headline import headline, reason
from evergreen.evidence.numbers import better_or_worse, between, lasting, places, short, sized, trimmed
from evergreen.evidence.remedies import remedies
from evergreen.evidence.words import LONGEST_SENTENCE, refitted, sentences
from evergreen.gate_spec import Gate
from evergreen.results import Candidate, ModelArtefact, Refit
from tests.comparisons import (
    EVIDENCE,
    GAP,
    SERVING,
    calibration,
    check,
    comparison,
    difference,
    first_challenger,
    slice_of,
)


def judged(evidence: Evidence, *, version: int | None = 3, **rule: object) -> Comparison:
    """Return what the gate itself answers, in its own words."""
    asked = Gate.model_validate({"metric": "log_loss", "policy": "superiority", **rule})
    return replace(gate.compare(asked, "high", evidence), champion_version=version)


def test_a_promotion_is_told_from_the_answer_down_to_what_was_measured():
    assert sentences(judged(EVIDENCE)) == (
        "Promote: the new model is proven better than version 3.",
        "Judged on 9,000 rows of 30 days that none of the models has learnt from, by log_loss (lower is "
        "better).",
        "The rule is superiority: at 95% confidence, the new model must be better than the champion.",
        "The metric of each: the new model 0.4123, version 3 0.4151, always giving the same answer "
        "0.4803 (that of the last period: 0.4783).",
        "Proven: log_loss against the champion -0.0028 (95% interval -0.0051 to -0.0005), superiority "
        "needs all of it below 0.",
        "Version 3 itself still beats always giving the same answer on these rows: better by 0.0652 "
        "(95% interval: 0.0591 to 0.0713 better).",
        "Beats the baseline: log_loss -0.068 (95% interval -0.074 to -0.062).",
        "Beats the last period's answer: log_loss -0.066 (95% interval -0.072 to -0.06).",
        "On average the new model's probabilities miss what happens by 0.013 (95% interval: 0.009 to "
        "0.018), slope 0.97; the champion's by 0.021 (95% interval: 0.017 to 0.026), slope 0.90.",
        "Fit to serve: repeats 1,000 predictions exactly, 1.8 MB, 3.2 ms a row (p99), 184,000 rows a "
        "second, 288 MB of memory.",
    )


def test_a_first_challenger_has_only_to_beat_a_constant_answer():
    said = sentences(first_challenger())
    assert said[0] == (
        "Promote: the new model is proven better than always giving the same answer; there is no "
        "champion yet."
    )
    assert said[2] == (
        "The rule without a champion to compare with: at 95% confidence, the new model beats always "
        "giving the same answer."
    )
    assert not any("version" in sentence for sentence in said)


def test_an_open_question_says_what_it_would_take():
    open_question = comparison(
        decision="inconclusive",
        promote=False,
        checks=(check("baseline"), check("champion", "inconclusive")),
        settling=Settling(detectable=0.00402, rows=10_874, clusters=39),
    )
    assert headline(open_question) == (
        "Inconclusive, version 3 stays: these rows cannot tell whether the new model is better than "
        "version 3; it would take about 1,900 more rows (9 more days) to settle it; the smallest "
        "difference these rows could show is 0.004."
    )


def test_too_close_to_call_is_said_so():
    close = comparison(
        decision="inconclusive",
        promote=False,
        policy="non_inferiority",
        margin="0.001",
        limit=0.001,
        checks=(check("champion", "inconclusive"),),
        settling=Settling(0.00402, None, None),
    )
    assert headline(close) == (
        "Inconclusive, version 3 stays: these rows cannot tell whether the new model is worse than "
        "version 3 by more than 0.001; the difference seen is too close to call for any number of rows; "
        "the smallest distance from the margin these rows could show is 0.004."
    )


def test_an_open_question_that_is_promoted_as_asked_says_both():
    asked = judged(replace(EVIDENCE, over_champion=difference(-0.001, 0.004)), inconclusive="promote")
    assert asked.promote
    assert headline(asked).startswith(
        "Inconclusive, promoted all the same, as the model file asks: these rows cannot tell"
    )


def test_too_few_days_are_the_reason_themselves():
    nothing = difference(interval=None, error=None, problem="4 days; at least 10 are needed")
    few = judged(replace(EVIDENCE, over_champion=nothing))
    assert headline(few) == "Inconclusive, version 3 stays: 4 days; at least 10 are needed."


@pytest.mark.parametrize(
    ("over", "why"),
    [
        (difference(0.01, 0.002), "the new model is worse than version 3"),
        (difference(0, 0, identical=True), "the new model and version 3 answer alike on every row"),
    ],
    ids=["worse", "identical"],
)
def test_a_kept_champion_has_its_foremost_reason(over, why):
    kept = judged(replace(EVIDENCE, over_champion=over))
    assert headline(kept) == f"Keep version 3: {why}."
    assert reason(kept) == why


@pytest.mark.parametrize(
    ("estimate", "told"),
    [(-0.0028, "better than version 3"), (0.0, "not worse than version 3 by 0.01 or more")],
)
def test_a_fresher_model_that_is_not_worse_is_called_better_only_where_it_is_proven(estimate, told):
    over = difference(estimate, 0.0023)
    won = judged(replace(EVIDENCE, over_champion=over), policy="non_inferiority", margin=0.01)
    assert headline(won) == f"Promote: the new model is proven {told}."


def test_better_by_less_than_the_margin_is_not_called_worse():
    over = difference(-0.0028, 0.0023)
    kept = judged(replace(EVIDENCE, over_champion=over), margin=0.01)
    assert (
        headline(kept) == "Keep version 3: the new model is not better than version 3 by more than 0.01."
    )


def test_harmed_slices_are_named_with_their_numbers_and_the_others_counted():
    parts = (
        slice_of("JFK", None, estimate=0.012, reach=0.004),
        slice_of("EWR", None, estimate=0.001, reach=0.004),
        slice_of("LGA", None, estimate=-0.01, reach=0.004),
        Slice("origin", "XXX", 12, None),
    )
    said = sentences(judged(replace(EVIDENCE, slices=parts), slices=["origin"]))
    assert said[0] == "Keep version 3: the new model harms origin = JFK."
    assert (
        "Kept: slices are harmed: origin = JFK (1,500 rows) +0.012 (95% interval +0.008 to +0.016)."
        in said
    )
    assert "Of 4 slices: 1 harmed, 1 unharmed, 1 unproven, 1 too small." in said
    assert "Slices neither proven harmed nor unharmed: origin = EWR." in said
    assert "Slices of too few rows to judge: origin = XXX." in said


def test_groups_are_named_with_the_champions_gap_and_those_too_small():
    fair = {"columns": ["sex"], "metric": "equalized_odds", "bound": 0.1}
    said = sentences(judged(replace(EVIDENCE, gaps=(GAP,)), fairness=fair))
    assert "By sex: F 0.61, M 0.651; the champion's gap is 0.038; too small to compare: X." in said


def test_several_failed_checks_are_counted_and_the_foremost_named():
    faulty = replace(SERVING, faults=("a row of nulls ends it",))
    leak = Finding("predicts_alone", "closed", "closed alone predicts the label (area 0.99)")
    kept = judged(
        replace(EVIDENCE, over_champion=difference(0.01, 0.002), serving=faulty, findings=(leak,))
    )
    assert (
        headline(kept)
        == "Keep version 3: the new model is worse than version 3 (2 more checks failed, too)."
    )
    assert "Kept: not fit to serve: a row of nulls ends it." in sentences(kept)
    assert (
        "Kept: the data may give the answer away: closed alone predicts the label (area 0.99)."
        in sentences(kept)
    )


def test_a_backfill_is_told_that_the_champion_knows_newer_data():
    newer = comparison(
        decision="keep",
        promote=False,
        checks=(check("champion"), check("newer_champion", "failed", "kept: a backfill")),
    )
    assert headline(newer) == (
        "Keep version 3: version 3 has learnt from these rows already, or from newer ones."
    )
    assert remedies(newer) == ("A run with a later as-of than the champion's.",)


def test_a_metric_of_which_more_is_better_is_told_the_right_way_round():
    told = comparison(
        metric="roc_auc",
        higher_is_better=True,
        over_champion=difference(0.01, 0.004, other=0.8),
        champion_over_baseline=difference(-0.1, 0.02, other=0.5),
    )
    said = sentences(told)
    assert said[1].endswith("by roc_auc (higher is better).")
    assert (
        "Version 3 itself is worse than always giving the same answer on these rows: worse by 0.1 (95% "
        "interval: 0.08 to 0.12 worse)." in said
    )


def test_rows_that_stand_for_themselves_are_not_counted_in_clusters():
    assert "9,000 rows that none" in sentences(comparison(clustered_by="row", clusters=9000))[1]
    assert (
        "9,000 rows of 412 values of customer_id that"
        in (sentences(comparison(clustered_by="customer_id", clusters=412))[1])
    )


def test_a_relative_margin_is_told_in_the_metrics_unit_too():
    told = comparison(policy="non_inferiority", margin="1%", limit=0.004151)
    assert sentences(told)[2] == (
        "The rule is non-inferiority: at 95% confidence, the new model must not be worse than the "
        "champion by 1% (0.00415 here) or more."
    )


def test_a_refit_tells_what_was_tested_and_what_is_shipped():
    shipped = Candidate(
        "b" * 64, "run", "classification", ModelArtefact("uri", "m" * 64, ()), (), (), (), 12_000, 0, {}
    )
    refused = Refit("a" * 64, shipped, SERVING, False, "kept: not fit to serve: too slow")
    assert refitted(refused) == (
        "Candidate aaaaaaaaaaaa was tested and won; then the same recipe was trained once more with the "
        "test rows: candidate bbbbbbbbbbbb, 12,000 rows. It is not released.",
        "Kept: not fit to serve: too slow.",
        "To serve it: 1.84 MB of files, loaded in 412 ms; 99 of 100 single rows within 3.24 ms; 184,000 "
        "rows a second; 288 MB of memory; 1,000 answers of training repeated exactly.",
    )


def test_what_would_change_an_open_answer_is_told():
    undecided = judged(replace(EVIDENCE, over_champion=difference(-0.001, 0.004)))
    assert remedies(undecided) == (
        "All of the interval against the champion must be better than 0; it begins at -0.003 (positive "
        "is better).",
        "More rows: a longer data.test_window, or the runs to come, which judge on fresh rows.",
        "With gate.inconclusive: promote, the new model would have been promoted.",
    )


def test_what_would_have_kept_the_champion_is_told():
    assert remedies(judged(EVIDENCE)) == (
        "It would not have been promoted had the interval reached 0.0005 further to the worse, or had "
        "one other check failed.",
    )


def test_every_check_in_the_way_has_its_remedy():
    names = ("slices", "fairness", "calibration", "serving", "leaks", "newer_champion")
    kept = comparison(
        decision="keep", promote=False, checks=tuple(check(name, "failed") for name in names)
    )
    told = remedies(kept)
    assert len(told) == len(names)
    for key in ("slice_rule", "gate.fairness.bound", "gate.calibration", "gate.serving", "gate.leaks"):
        assert sum(key in line for line in told) == 1


def test_what_cannot_be_judged_at_all_is_the_reason_itself():
    missing = "gate.slices names 'x', which the data does not have: let the query return it."
    unjudged = judged(replace(EVIDENCE, problems=(("slices", missing),)), slices=["x"])
    assert headline(unjudged) == f"Keep version 3: not every slice can be judged: {missing}"
    assert remedies(unjudged) == (f"What keeps slices from being judged: {missing}",)

    fairness = {"columns": ["sex"], "metric": "equalized_odds", "bound": 0.1}
    untold = Gap("sex", "equalized_odds", None, problem="the data has no such column")
    open_question = judged(replace(EVIDENCE, gaps=(untold,)), fairness=fairness)
    assert headline(open_question) == (
        "Inconclusive, version 3 stays: groups of sex cannot be compared: the data has no such column."
    )
    assert remedies(open_question) == (
        "What keeps groups of sex from being compared: the data has no such column.",
    ), "more rows would not help"


def test_what_to_do_about_a_leak_is_never_cut_off():
    leak = Finding(
        "predicts_alone",
        "copied",
        "Feature 'copied' alone predicts the labels of the test window almost perfectly (ROC AUC "
        "1.0000, and 0.99 is taken for a leak); see whether it is known when the model is asked, then "
        "name it in data.exclude or, once a person has looked at it, in gate.leaks.allow.",
    )
    said = sentences(judged(replace(EVIDENCE, findings=(leak,))))
    assert any(line.endswith("in gate.leaks.allow.") for line in said)


def test_a_key_of_the_model_file_stays_as_it_is_written():
    problems = tuple(("slices", f"gate.slices names {name * 200!r}.") for name in "ab")
    said = sentences(judged(replace(EVIDENCE, problems=problems), slices=["a", "b"]))
    assert any(line.startswith("gate.slices names 'bbb") for line in said)


def test_a_difference_without_an_interval_is_held_against_no_limit():
    nothing = difference(interval=None, error=None, problem="one class proves nothing")
    said = sentences(judged(replace(EVIDENCE, over_champion=nothing), margin=0.01))
    assert (
        "Inconclusive: log_loss against the champion cannot be judged: one class proves nothing." in said
    )


def test_an_open_question_about_the_baseline_speaks_of_no_margin():
    open_question = comparison(
        decision="inconclusive",
        promote=False,
        margin="0.02",
        limit=0.02,
        checks=(check("champion"), check("baseline", "inconclusive")),
        settling=Settling(0.066, 15_000, 150),
    )
    assert headline(open_question).endswith("the smallest difference these rows could show is 0.066.")


def test_long_lists_and_long_names_stay_bounded():
    parts = tuple(
        slice_of("x" * 200 + str(i), None, estimate=0.05, reach=0.001, column="c" * 200)
        for i in range(200)
    )
    gaps = tuple(replace(GAP, column="g" * 300, small=("s" * 300,) * 40) for _ in range(20))
    crowded = judged(
        replace(
            EVIDENCE,
            slices=parts,
            gaps=gaps,
            serving=replace(SERVING, faults=("f" * 2000,) * 30),
            findings=tuple(Finding("after_label", "x", "w" * 900) for _ in range(40)),
        ),
        slices=["c"],
        fairness={"columns": ["sex"], "metric": "equalized_odds", "bound": 0.01},
    )
    said = sentences(replace(crowded, notes=("n" * 500,) * 100))
    assert len(said) < 60
    assert max(map(len, said)) <= LONGEST_SENTENCE
    assert "And 90 more notes." in said


def test_control_characters_of_names_reach_nobody():
    parts = (slice_of("J\x1b[31mFK\n\u202e", None, estimate=0.05, reach=0.001),)
    said = "".join(sentences(judged(replace(EVIDENCE, slices=parts), slices=["origin"])))
    assert not {"\x1b", "\n", "\u202e"} & set(said)


FINITE = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


@given(FINITE, st.floats(0, 1e3), st.booleans(), st.sampled_from(["superiority", "non_inferiority"]))
def test_any_difference_makes_whole_sentences(estimate, reach, up, policy):
    over = difference(estimate, reach, other=1.0)
    metric = "roc_auc" if up else "log_loss"
    told = judged(replace(EVIDENCE, over_champion=over), metric=metric, policy=policy)
    said = sentences(told)
    assert all(0 < len(sentence) <= LONGEST_SENTENCE for sentence in said)
    assert all(sentence.endswith((".", "…")) for sentence in said)
    assert said[0].startswith(
        {"promote": "Promote: ", "keep": "Keep version 3: "}.get(told.decision, "Inc")
    )
    assert remedies(told)


@given(FINITE, st.floats(1e-9, 1e3))
def test_turning_a_metric_round_turns_better_and_worse_round(estimate, reach):
    one = Interval(estimate, estimate - reach, estimate + reach, 0.95)
    other = Interval(-estimate, -estimate - reach, -estimate + reach, 0.95)
    assert better_or_worse(one, higher_is_better=True) == better_or_worse(other, higher_is_better=False)


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        ((-0.0028, -0.0051, -0.0005), "better by 0.0028 (95% interval: 0.0005 to 0.0051 better)"),
        ((0.0028, 0.0005, 0.0051), "worse by 0.0028 (95% interval: 0.0005 to 0.0051 worse)"),
        ((0.0, -0.001, 0.001), "no different (95% interval: 0.001 worse to 0.001 better)"),
        ((1234.5, 1100.0, 1369.0), "worse by 1,234 (95% interval: 1,100 to 1,369 worse)"),
        ((0.0, 0.0, 0.0), "no different (95% interval: 0 to 0 better)"),
    ],
)
def test_a_difference_is_told_in_the_digits_its_interval_has(interval, told):
    assert better_or_worse(Interval(*interval, 0.95), higher_is_better=False) == told


def test_numbers_are_rounded_as_a_person_would():
    assert [short(x) for x in (0.000123456, 12.3456, 123_456.7, 0.0)] == [
        "0.000123",
        "12.3",
        "123,457",
        "0",
    ]
    assert [sized(x) for x in (1.5e9, 2_000, 12)] == ["1.5 GB", "2 kB", "12 bytes"]
    assert [lasting(x) for x in (0.5, 12.34, 65_000)] == ["0.5 ms", "12.3 ms", "65 s"]
    assert between(calibration().error) == "0.013 (95% interval: 0.009 to 0.018)"
    assert trimmed(-0.0004, 3) == "0"
    assert places(float("nan")) == 2
