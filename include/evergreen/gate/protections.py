"""What the challenger must keep to besides its metric.

Bounds of fairness and calibration, budgets of serving, and data that gives nothing away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from evergreen.comparison import Calibration, Check, Evidence, Finding, Gap, Serving, Verdict
from evergreen.gate.sides import HEADS, MOST_NAMED, SEVERITY, more, within
from evergreen.gate_spec import (
    BREACH_BY_TIER,
    Breach,
    CalibrationBounds,
    Fairness,
    Gate,
    ServingBudgets,
    Tier,
)


def protections(rule: Gate, tier: Tier, evidence: Evidence) -> Iterator[Check]:
    """Yield a check for each protection that is declared or was measured."""
    if rule.fairness is not None:
        check = _fairness(rule.fairness, evidence.gaps)
        yield _owners_choice(rule.fairness.breach, tier, check)
    if _bounded(rule.calibration):
        problem = next((words for name, words in evidence.problems if name == "calibration"), None)
        check = _calibration(rule.calibration, evidence.calibration, problem)
        yield _owners_choice(rule.calibration.breach, tier, check)
    if evidence.serving is not None:
        yield fit_to_serve(rule.serving, evidence.serving)
    if evidence.findings:
        yield _owners_choice(rule.leaks.breach, tier, _leaks(evidence.findings))


def fit_to_serve(budgets: ServingBudgets, serving: Serving) -> Check:
    """Judge what a model needed in a clean process; no tier waives a fault."""
    faults = list(serving.faults)
    if serving.largest_deviation != 0:
        faults.append(
            f"it does not repeat the training process's predictions: off by up to "
            f"{serving.largest_deviation:.3g} on {serving.reproduced_rows:,} rows"
        )
    latency, speed = budgets.p99_latency_ms, budgets.rows_per_second
    if budgets.size is not None and serving.size_bytes > budgets.size.bytes:
        faults.append(f"it is {serving.size_bytes / 1e6:,.1f} MB large; allowed: {budgets.size}")
    if latency is not None and serving.p99_ms > latency:
        faults.append(f"a row takes {serving.p99_ms:.1f} ms (p99); allowed: {latency:g} ms")
    if speed is not None and serving.rows_per_second < speed:
        faults.append(f"it answers {serving.rows_per_second:,.0f} rows a second; needed: {speed:,.0f}")
    if budgets.memory is not None and serving.memory_bytes > budgets.memory.bytes:
        faults.append(f"it needs {serving.memory_bytes / 1e6:,.0f} MB; allowed: {budgets.memory}")
    if faults:
        return Check("serving", "failed", f"kept: not fit to serve: {'; '.join(faults)}")
    repeated = f"repeats {serving.reproduced_rows:,} predictions exactly"
    return Check(
        "serving",
        "passed",
        f"fit to serve: {repeated}, {serving.size_bytes / 1e6:,.1f} MB, {serving.p99_ms:.1f} ms a row "
        f"(p99), {serving.rows_per_second:,.0f} rows a second, {serving.memory_bytes / 1e6:,.0f} MB of "
        "memory",
    )


def _fairness(rule: Fairness, gaps: Sequence[Gap]) -> Check:
    """A gap beyond the bound is a breach where the interval proves it, else inconclusive."""
    worst: Verdict = "passed"
    lines = []
    for gap in gaps:
        if gap.gap is None:
            verdict: Verdict = "inconclusive"
            lines.append(f"{gap.column}: {gap.problem}")
        else:
            verdict = within(gap.gap.low, gap.gap.estimate, rule.bound)
            interval = f"{gap.gap.confidence:.0%} interval {gap.gap.low:.3g} to {gap.gap.high:.3g}"
            lines.append(f"{gap.column} {gap.gap.estimate:.3g} ({interval})")
        worst = max(worst, verdict, key=SEVERITY.index)
    words = f"{rule.metric} between groups, at most {rule.bound:g}: {'; '.join(lines)}"
    return Check("fairness", worst, f"{HEADS[worst]}{words}")


def _calibration(bounds: CalibrationBounds, found: Calibration | None, problem: str | None) -> Check:
    if found is None:
        why = problem or "there are no probabilities to judge"
        return Check("calibration", "inconclusive", f"inconclusive: {why}")
    worst: Verdict = "passed"
    lines = []
    if bounds.max_error is not None:
        worst = within(found.error.low, found.error.estimate, bounds.max_error)
        lines.append(f"expected error {found.error.estimate:.3g}, at most {bounds.max_error:g}")
    for bound, sign, word in ((bounds.min_slope, -1, "at least"), (bounds.max_slope, 1, "at most")):
        if bound is None:
            continue
        if found.slope is None:
            verdict: Verdict = "inconclusive"
            lines.append("the slope is undefined")
        else:
            inner = found.slope.low if sign > 0 else found.slope.high
            verdict = within(sign * inner, sign * found.slope.estimate, sign * bound)
            lines.append(f"slope {found.slope.estimate:.3g}, {word} {bound:g}")
        worst = max(worst, verdict, key=SEVERITY.index)
    return Check("calibration", worst, f"{HEADS[worst]}calibration: {'; '.join(lines)}")


def _bounded(bounds: CalibrationBounds) -> bool:
    return any(b is not None for b in (bounds.max_error, bounds.min_slope, bounds.max_slope))


def _leaks(findings: Sequence[Finding]) -> Check:
    words = "; ".join(finding.words for finding in findings[:MOST_NAMED]) + more(len(findings))
    return Check("leaks", "failed", f"kept: the data may give the answer away: {words}")


def _owners_choice(setting: Breach | None, tier: Tier, check: Check) -> Check:
    """Only report what the owner (or, where the owner is silent, the tier) does not let block."""
    if (setting or BREACH_BY_TIER[tier]) == "block" or check.verdict == "passed":
        return check
    words = check.words.removeprefix(HEADS[check.verdict])
    return replace(check, verdict="reported", words=f"reported: {words}")
