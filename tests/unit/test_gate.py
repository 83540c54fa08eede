"""The gate's rule on evidence made by hand: what promotes, what keeps, what proves nothing."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from evergreen.comparison import (
    Calibration,
    Check,
    Comparison,
    Difference,
    Evidence,
    Finding,
    Gap,
    Interval,
    Serving,
    Slice,
)
from evergreen.gate import compare, fit_to_serve, never_over_newer
from evergreen.gate_spec import Gate, Tier
from evergreen.results import from_json, to_json

DEGREES = 29.0
FIT = Serving(1000, 10.0, 1.0, 2.0, 200, 1e5, 1000, 10**8, 1000, 0.0)


def gate(**changes: object) -> Gate:
    return Gate.model_validate({"metric": "log_loss", "margin": 0.01} | changes)


def over(
    estimate: float, error: float = 0.01, other: float = 0.5, confidence: float = 0.95
) -> Difference:
    reach = float(stats.t.ppf((1 + confidence) / 2, DEGREES)) * error
    interval = Interval(estimate, estimate - reach, estimate + reach, confidence)
    return Difference(other + estimate, other, interval, error, DEGREES, 3000, 30, "by hand")


def untold(problem: str) -> Difference:
    return Difference(0.4, 0.5, None, None, None, 3000, 1, "by hand", problem=problem)


def evidence(**changes: object) -> Evidence:
    return replace(
        Evidence(3000, 30, "day", over_baseline=over(-0.2), over_champion=over(-0.1)),
        **changes,  # type: ignore[arg-type]
    )


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {check.name: check.verdict for check in comparison.checks}


def test_what_it_would_take_is_told_of_the_champion_first():
    both = evidence(over_baseline=over(-0.01, error=0.05), over_champion=over(0.005, error=0.01))
    alone = evidence(over_baseline=over(-0.5), over_champion=over(0.005, error=0.01))
    assert compare(gate(), "high", both).settling == compare(gate(), "high", alone).settling
    assert compare(gate(), "high", alone).settling is not None


def test_first_challenger_that_beats_the_baseline_is_promoted():
    answer = compare(gate(), "medium", evidence(over_champion=None))
    assert (answer.decision, answer.promote, answer.limit) == ("promote", True, None)
    assert answer.against == answer.evidence.over_baseline


def test_challenger_that_does_not_beat_the_baseline_is_kept_out_even_without_champion():
    answer = compare(gate(), "low", evidence(over_baseline=over(0.1), over_champion=None))
    assert (answer.decision, answer.promote) == ("keep", False)
    assert "does not beat the baseline" in answer.reasons[0]


def test_no_proof_over_the_baseline_is_inconclusive_and_never_promoted():
    rule = gate(inconclusive="promote")
    answer = compare(rule, "low", evidence(over_baseline=over(-0.005)))
    assert (answer.decision, answer.promote) == ("inconclusive", False)


def test_a_challenger_must_beat_the_last_period_too():
    answer = compare(gate(), "low", evidence(over_last_period=over(0.1)))
    assert verdicts(answer)["last_period"] == "failed"
    assert answer.decision == "keep"


@pytest.mark.parametrize(
    ("policy", "estimate", "decision"),
    [
        ("superiority", -0.1, "promote"),
        ("superiority", -0.02, "inconclusive"),
        ("superiority", 0.05, "keep"),
        ("non_inferiority", -0.1, "promote"),
        ("non_inferiority", -0.02, "promote"),
        ("non_inferiority", 0.0, "inconclusive"),
        ("non_inferiority", 0.05, "keep"),
    ],
)
def test_the_whole_interval_must_lie_on_one_side_of_the_limit(
    policy: str, estimate: float, decision: str
):
    answer = compare(gate(policy=policy), "medium", evidence(over_champion=over(estimate)))
    assert answer.decision == decision
    assert answer.limit == (-0.01 if policy == "superiority" else 0.01)


def test_a_metric_that_is_better_when_higher_is_read_the_other_way_round():
    rule = gate(metric="roc_auc", policy="superiority")
    rising = evidence(over_baseline=over(0.3), over_champion=over(0.1))
    falling = evidence(over_baseline=over(0.3), over_champion=over(-0.1))
    assert compare(rule, "medium", rising).decision == "promote"
    assert compare(rule, "medium", falling).decision == "keep"
    assert "needs all of it above +0.01" in compare(rule, "medium", rising).reasons[1]


def test_a_relative_margin_is_a_share_of_the_champions_metric():
    rule = gate(margin="10%")
    answer = compare(rule, "medium", evidence(over_champion=over(0.02, other=0.5)))
    assert answer.limit == pytest.approx(0.05)
    assert (answer.margin, answer.decision) == ("10%", "promote")


def test_identical_models_keep_the_champion_and_say_so():
    same = replace(over(0.0, error=0.0), identical=True)
    answer = compare(gate(inconclusive="promote"), "low", evidence(over_champion=same))
    assert (answer.decision, answer.promote) == ("keep", False)
    assert "alike on every row" in answer.reasons[1]


def test_too_few_clusters_prove_nothing_whatever_the_owner_chose():
    words = "all test rows fall into one day"
    answer = compare(
        gate(inconclusive="promote"),
        "low",
        evidence(over_baseline=untold(words), over_champion=untold(words)),
    )
    assert (answer.decision, answer.promote, answer.settling) == ("inconclusive", False, None)
    assert words in answer.reasons[0]


def test_the_owner_may_let_an_inconclusive_challenger_win():
    tied = evidence(over_champion=over(0.0))
    assert not compare(gate(), "low", tied).promote
    chosen = compare(gate(inconclusive="promote"), "low", tied)
    assert (chosen.decision, chosen.promote) == ("inconclusive", True)
    harmed = replace(tied, serving=replace(FIT, faults=("it fails on a row of nulls",)))
    assert not compare(gate(inconclusive="promote"), "low", harmed).promote


@pytest.mark.parametrize(("tier", "promoted"), [("low", True), ("medium", False), ("high", False)])
def test_the_owner_may_choose_by_tier(tier: Tier, promoted: bool):
    rule = gate(inconclusive={"low": "promote"})
    assert compare(rule, tier, evidence(over_champion=over(0.0))).promote is promoted


def test_an_inconclusive_answer_says_what_would_settle_it():
    answer = compare(gate(), "medium", evidence(over_champion=over(0.0)))
    tails = stats.t.ppf(0.975, DEGREES) + stats.t.ppf(0.8, DEGREES)
    assert answer.settling is not None
    assert answer.settling.detectable == pytest.approx(tails * 0.01)
    assert answer.settling.rows == int(np.ceil(3000 * tails**2))
    assert answer.settling.clusters == int(np.ceil(30 * tails**2))


def test_a_difference_at_the_limit_is_too_close_for_any_number_of_rows():
    answer = compare(gate(), "medium", evidence(over_champion=over(0.01)))
    assert answer.settling is not None
    assert (answer.settling.rows, answer.settling.clusters) == (None, None)


def test_named_rows_would_have_settled_it_in_four_of_five_cases():
    answer = compare(gate(margin=0.0), "medium", evidence(over_champion=over(-0.01)))
    assert answer.settling is not None
    assert answer.settling.rows is not None
    growth = answer.settling.rows / 3000
    rng = np.random.default_rng(0)
    error = 0.01 / np.sqrt(growth)
    seen = rng.normal(-0.01, error, 20_000)
    settled = seen + stats.t.ppf(0.975, DEGREES) * error < 0
    assert settled.mean() == pytest.approx(0.8, abs=0.02)


def slices(*estimates: float | None, error: float = 0.01) -> tuple[Slice, ...]:
    return tuple(
        Slice("origin", f"airport {n}", 500, None if e is None else over(e, error))
        for n, e in enumerate(estimates)
    )


def test_a_harmed_slice_keeps_the_champion_and_is_named():
    answer = compare(gate(), "low", evidence(slices=slices(-0.1, 0.2, None)))
    assert [one.verdict for one in answer.evidence.slices] == ["unharmed", "harmed", "too small"]
    assert verdicts(answer)["slices"] == "failed"
    assert answer.decision == "keep"
    assert "origin = airport 1 (500 rows)" in answer.reasons[2]


def test_slices_that_prove_nothing_are_reported_or_keep_the_champion():
    some = evidence(slices=slices(-0.1, 0.01, None))
    assert verdicts(compare(gate(), "low", some))["slices"] == "passed"
    strict = compare(gate(slice_rule={"unproven": "keep"}), "low", some)
    assert verdicts(strict)["slices"] == "failed"
    small = compare(gate(), "low", evidence(slices=slices(None, None)))
    assert verdicts(small)["slices"] == "reported"
    assert "no slice is large enough" in small.reasons[2]


def test_slices_of_too_few_clusters_are_listed_and_not_passed():
    few = tuple(
        Slice("weekday", day, 900, replace(untold("only 4 days"), problem="only 4 days"))
        for day in ("Monday", "Tuesday")
    )
    answer = compare(gate(), "low", evidence(slices=few))
    assert [one.verdict for one in answer.evidence.slices] == ["too small", "too small"]
    assert verdicts(answer)["slices"] == "reported"


def test_slices_that_cannot_be_judged_at_all_keep_the_champion():
    problem = "column 'tail_number' has 10,000 values"
    answer = compare(gate(), "low", evidence(problems=(("slices", problem),)))
    assert answer.decision == "keep"
    assert problem in answer.reasons[2]


@given(st.lists(st.floats(-0.05, 0.1), min_size=1, max_size=8))
def test_p_values_of_harm_are_holms(estimates: list[float]):
    answer = compare(gate(margin=0.0), "low", evidence(slices=slices(*estimates)))
    raw = [stats.t.sf(estimate / 0.01, DEGREES) for estimate in estimates]
    _, adjusted, *_ = multipletests(raw, alpha=0.05, method="holm")
    found = answer.evidence.slices
    assert [one.p_value for one in found] == pytest.approx(list(adjusted))
    assert [one.verdict == "harmed" for one in found] == [p < 0.05 for p in adjusted]


def test_unharmed_slices_are_called_harmed_no_more_often_than_the_level():
    rng = np.random.default_rng(1)
    called = 0
    for _ in range(1000):
        draws = 0.01 * rng.standard_t(DEGREES, size=10)
        answer = compare(gate(margin=0.0), "low", evidence(slices=slices(*map(float, draws))))
        called += any(one.verdict == "harmed" for one in answer.evidence.slices)
    assert 0.03 < called / 1000 < 0.07


def fairness(low: float, estimate: float, tier: Tier = "high", **changes: object) -> Comparison:
    rule = gate(fairness={"columns": ["sex"], "metric": "equalized_odds", "bound": 0.1} | changes)
    gap = Gap("sex", "equalized_odds", Interval(estimate, low, estimate + 0.1, 0.95))
    return compare(rule, tier, evidence(gaps=(gap,)))


def test_a_breach_of_fairness_blocks_or_is_reported_by_tier():
    assert verdicts(fairness(0.15, 0.2))["fairness"] == "failed"
    assert fairness(0.15, 0.2).decision == "keep"
    assert verdicts(fairness(0.15, 0.2, "low"))["fairness"] == "reported"
    assert fairness(0.15, 0.2, "low").promote
    assert verdicts(fairness(0.15, 0.2, "low", breach="block"))["fairness"] == "failed"
    assert verdicts(fairness(0.15, 0.2, "high", breach="report"))["fairness"] == "reported"


def test_a_gap_that_may_be_within_the_bound_is_inconclusive_and_a_smaller_one_passes():
    assert verdicts(fairness(0.05, 0.12))["fairness"] == "inconclusive"
    assert verdicts(fairness(0.0, 0.08))["fairness"] == "passed"


def test_a_gap_that_cannot_be_measured_is_inconclusive():
    rule = gate(fairness={"columns": ["sex"], "metric": "equalized_odds", "bound": 0.1})
    gap = Gap("sex", "equalized_odds", None, problem="only one group has 100 rows")
    answer = compare(rule, "medium", evidence(gaps=(gap,)))
    assert answer.decision == "inconclusive"
    assert "only one group has 100 rows" in answer.reasons[2]


def calibrated(error: float, slope: float | None) -> Calibration:
    return Calibration(
        Interval(error, error - 0.01, error + 0.01, 0.95),
        None if slope is None else Interval(slope, slope - 0.1, slope + 0.1, 0.95),
        (),
    )


@pytest.mark.parametrize(
    ("bounds", "error", "slope", "verdict"),
    [
        ({"max_error": 0.05}, 0.02, 1.0, "passed"),
        ({"max_error": 0.05}, 0.055, 1.0, "inconclusive"),
        ({"max_error": 0.05}, 0.08, 1.0, "failed"),
        ({"min_slope": 0.8, "max_slope": 1.25}, 0.0, 1.0, "passed"),
        ({"min_slope": 0.8}, 0.0, 0.75, "inconclusive"),
        ({"min_slope": 0.8}, 0.0, 0.5, "failed"),
        ({"max_slope": 1.25}, 0.0, 1.3, "inconclusive"),
        ({"max_slope": 1.25}, 0.0, 1.5, "failed"),
        ({"max_slope": 1.25}, 0.0, None, "inconclusive"),
    ],
)
def test_calibration_is_held_to_its_bounds(
    bounds: dict[str, float], error: float, slope: float | None, verdict: str
):
    answer = compare(gate(calibration=bounds), "high", evidence(calibration=calibrated(error, slope)))
    assert verdicts(answer)["calibration"] == verdict


def test_calibration_without_bounds_is_only_told():
    answer = compare(gate(), "high", evidence(calibration=calibrated(0.9, 0.1)))
    assert "calibration" not in verdicts(answer)
    assert answer.promote


@pytest.mark.parametrize(
    ("budgets", "said"),
    [
        ({"size": "1 kB"}, None),
        ({"size": "0.5 kB"}, "allowed: 0.5 kB"),
        ({"p99_latency_ms": 1.5}, "2.0 ms (p99); allowed: 1.5 ms"),
        ({"rows_per_second": 200_000.0}, "100,000 rows a second; needed: 200,000"),
        ({"memory": "50 MB"}, "100 MB; allowed: 50 MB"),
    ],
)
def test_budgets_of_serving_block_at_every_tier(budgets: dict[str, object], said: str | None):
    check = fit_to_serve(gate(serving=budgets).serving, FIT)
    assert check.verdict == ("passed" if said is None else "failed")
    assert said is None or said in check.words


def test_a_model_that_does_not_repeat_its_predictions_is_not_fit():
    check = fit_to_serve(gate().serving, replace(FIT, largest_deviation=1e-16))
    assert check.verdict == "failed"
    assert "off by up to 1e-16 on 1,000 rows" in check.words


def test_findings_of_the_leak_checks_block_or_are_reported_by_tier():
    found = (Finding("predicts_alone", "answer", "'answer' alone reaches an AUC of 0.999"),)
    assert compare(gate(), "low", evidence(findings=found)).promote
    assert compare(gate(), "medium", evidence(findings=found)).decision == "keep"
    told = compare(gate(leaks={"breach": "report"}), "high", evidence(findings=found))
    assert told.promote
    assert told.reasons[-1].startswith("reported: the data may give the answer away")


@given(st.floats(-0.2, 0.2), st.floats(0.001, 0.1), st.floats(0, 0.1), st.booleans())
def test_superiority_implies_non_inferiority(
    estimate: float, error: float, margin: float, relative: bool
):
    written = f"{margin * 100:.4f}%" if relative else margin
    strict = gate(policy="superiority", margin=written)
    loose = gate(policy="non_inferiority", margin=written)
    found = evidence(over_champion=over(estimate, error))
    if compare(strict, "medium", found).decision == "promote":
        assert compare(loose, "medium", found).decision == "promote"
    if compare(loose, "medium", found).decision == "keep":
        assert compare(strict, "medium", found).decision == "keep"


def test_backfill_never_replaces_a_champion_trained_on_newer_data():
    won = compare(gate(), "medium", evidence())
    march, april = datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC)
    assert never_over_newer(won, april, march).promote
    assert never_over_newer(won, april, april).promote
    refused = never_over_newer(won, march, april)
    assert (refused.decision, refused.promote) == ("keep", False)
    assert "newer data" in refused.reasons[-1]


def test_a_comparison_survives_json():
    full = evidence(
        slices=slices(-0.1, None),
        gaps=(Gap("sex", "group_loss", None, problem="one group"),),
        calibration=calibrated(0.01, None),
        serving=FIT,
        findings=(Finding("shared_keys", "id", "3 keys"),),
        problems=(("slices", "none"),),
    )
    answer = replace(compare(gate(), "low", full), notes=("a note",))
    assert from_json(Comparison, to_json(answer)) == answer
    assert isinstance(answer.checks[0], Check)
