"""Puts the checks together: promote, keep or inconclusive."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from scipy import stats

from evergreen.comparison import (
    Check,
    CheckName,
    Comparison,
    Decision,
    Difference,
    Evidence,
    Settling,
)
from evergreen.gate.protections import protections
from evergreen.gate.sides import harm, in_words, limit, side
from evergreen.gate.slices import check_slices, judged
from evergreen.gate_spec import Gate, Tier

POWER = 0.8
"""How likely the sample sizes named for an inconclusive comparison are to settle it."""
MOST_GROWTH = 1000
"""A comparison that needs more than so many times its rows is said to be too close to call."""


def compare(rule: Gate, tier: Tier, evidence: Evidence) -> Comparison:
    """Judge the challenger by what was measured of it.

    It is promoted where it beats the trivial predictors with evidence and, where there is a champion,
    the whole interval of the paired difference is better than the limit: the margin for
    `non_inferiority`, minus the margin for `superiority`. Where the interval lies wholly on the other
    side the champion is kept; where it holds the limit the answer is inconclusive, and
    `rule.when_inconclusive` says what is done. No declared check may fail beside.

    Args:
        rule: The model file's gate.
        tier: Decides what a breach does where the rule does not say.
        evidence: What `evidence.gather` measured.
    """
    evidence = replace(evidence, slices=judged(rule, evidence.slices))
    checks = tuple(_checks(rule, tier, evidence))
    decision = _decision(checks)
    unsettled = [check.name for check in checks if check.verdict == "inconclusive"]
    waived = rule.when_inconclusive(tier) == "promote" and unsettled == ["champion"]
    over = evidence.over_champion
    return Comparison(
        decision=decision,
        promote=decision == "promote" or (decision == "inconclusive" and waived),
        checks=checks,
        metric=rule.metric_name,
        higher_is_better=rule.higher_is_better,
        policy=rule.policy,
        margin=str(rule.margin),
        limit=None if over is None else limit(rule.policy, rule.margin, over),
        confidence=rule.confidence,
        evidence=evidence,
        settling=_settling(rule, evidence, unsettled) if decision == "inconclusive" else None,
    )


def never_over_newer(
    comparison: Comparison, as_of: datetime, champion_as_of: datetime | None
) -> Comparison:
    """Refuse a promotion over a champion that was trained on newer data, as a backfill would."""
    if champion_as_of is None or champion_as_of <= as_of:
        return comparison
    return refused(
        comparison,
        f"kept: the champion was trained as of {champion_as_of:%Y-%m-%d %H:%M}, after this run's as-of "
        f"{as_of:%Y-%m-%d %H:%M}; a backfill never replaces newer data",
    )


def refused(comparison: Comparison, words: str, name: CheckName = "newer_champion") -> Comparison:
    """Keep the champion whatever was measured, because it knows these rows or newer ones.

    With the name `by_hand`: because a person decided so.
    """
    check = Check(name, "failed", words)
    return replace(
        comparison, decision="keep", promote=False, settling=None, checks=(*comparison.checks, check)
    )


def _checks(rule: Gate, tier: Tier, evidence: Evidence) -> Iterator[Check]:
    yield _over_trivial("baseline", "the baseline", rule, evidence.over_baseline)
    if evidence.over_last_period is not None:
        yield _over_trivial("last_period", "the last period's answer", rule, evidence.over_last_period)
    if evidence.over_champion is not None:
        yield _over_champion(rule, evidence.over_champion)
    problems = tuple(words for check, words in evidence.problems if check == "slices")
    if evidence.slices or problems:
        yield check_slices(rule, evidence.slices, problems)
    yield from protections(rule, tier, evidence)


def _decision(checks: Sequence[Check]) -> Decision:
    verdicts = {check.verdict for check in checks}
    if "failed" in verdicts:
        return "keep"
    return "inconclusive" if "inconclusive" in verdicts else "promote"


def _over_trivial(name: CheckName, opponent: str, rule: Gate, over: Difference) -> Check:
    """The challenger must be better than a constant answer, and be proven so."""
    words = f"{rule.metric_name} {in_words(over)}"
    where = side(rule, over, 0.0)
    if where == "better":
        return Check(name, "passed", f"beats {opponent}: {words}")
    if where == "worse" or over.identical:
        return Check(name, "failed", f"kept: the challenger does not beat {opponent}: {words}")
    return Check(
        name, "inconclusive", f"inconclusive: no proof that the challenger beats {opponent}: {words}"
    )


def _over_champion(rule: Gate, over: Difference) -> Check:
    if over.identical:
        return Check("champion", "failed", "kept: challenger and champion answer alike on every row")
    words = f"{rule.metric_name} against the champion {in_words(over)}"
    bound = limit(rule.policy, rule.margin, over)
    if bound is None or over.interval is None:
        return Check("champion", "inconclusive", f"inconclusive: {words}")
    beyond, shown = ("above", 0.0 - bound) if rule.higher_is_better else ("below", bound)
    words += f", {rule.policy} needs all of it {beyond} {f'{shown:+.4g}' if shown else '0'}"
    match side(rule, over, bound):
        case "better":
            return Check("champion", "passed", f"proven: {words}")
        case "worse":
            return Check("champion", "failed", f"kept: {words}")
        case "open":
            return Check("champion", "inconclusive", f"inconclusive: {words}")


def _settling(rule: Gate, evidence: Evidence, unsettled: Sequence[CheckName]) -> Settling | None:
    """Return what it would take to settle the foremost open difference; None where it has no interval.

    The detectable difference is (t[1-a/2] + t[power]) times the standard error; the rows needed grow
    with the square of that over the distance seen (Chow, Shao and Wang, Sample Size Calculations in
    Clinical Research, 2008, chapter 3).
    """
    differences = {
        "champion": evidence.over_champion,
        "baseline": evidence.over_baseline,
        "last_period": evidence.over_last_period,
    }
    foremost = next((name for name in differences if name in unsettled), None)
    over = None if foremost is None else differences[foremost]
    if over is None or not over.error:
        return None
    bound = limit(rule.policy, rule.margin, over) if foremost == "champion" else 0.0
    harmed = harm(rule, over)
    if harmed is None or bound is None:
        return None
    tails = stats.t.ppf((1 + rule.confidence) / 2, over.degrees) + stats.t.ppf(POWER, over.degrees)
    detectable = float(tails * over.error)
    distance = abs(harmed[0] - bound)
    if detectable > math.sqrt(MOST_GROWTH) * distance:
        return Settling(detectable, None, None)
    growth = max((detectable / distance) ** 2, 1.0)
    return Settling(detectable, math.ceil(over.rows * growth), math.ceil(over.clusters * growth))
