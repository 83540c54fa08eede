"""What would change the gate's answer: for each check in the way, what it would take."""

from __future__ import annotations

from collections.abc import Iterator

from evergreen.comparison import Check, Comparison, Difference
from evergreen.evidence.headline import sentence
from evergreen.evidence.numbers import improvement, spread, trimmed

_CHANGES = {
    "slices": "No slice harmed: better data or features for those, or a larger gate.slice_rule.margin "
    "where so much harm is accepted",
    "fairness": "A smaller gap between groups; or a larger gate.fairness.bound, where that is decided",
    "calibration": "Better calibrated probabilities, as by sklearn.calibration.CalibratedClassifierCV; "
    "or wider bounds under gate.calibration",
    "serving": "A model without these faults, smaller or quicker; or larger budgets under gate.serving",
    "leaks": "Leave the column out (data.exclude); or, once a person has looked at it, name it under "
    "gate.leaks.allow",
    "newer_champion": "A run with a later as-of than the champion's",
    "by_hand": "A run with a later as-of, for rows that nobody had seen then; or the word of a person: "
    "evergreen rollback NAME --to VERSION --why TEXT",
}


def remedies(comparison: Comparison) -> tuple[str, ...]:
    """Return what would have changed the answer, a sentence for each check in the way."""
    return tuple(sentence(text) for text in _remedies(comparison))


def _remedies(comparison: Comparison) -> Iterator[str]:
    unsettled = [check.name for check in comparison.checks if check.verdict == "inconclusive"]
    if comparison.promote:
        yield from _had_it_been_kept(comparison)
        return
    for check in comparison.checks:
        if check.verdict in {"failed", "inconclusive"}:
            yield _remedy(check, comparison)
    if comparison.decision == "inconclusive":
        if unsettled != ["fairness"] or not any(gap.problem for gap in comparison.evidence.gaps):
            yield "More rows: a longer data.test_window, or the runs to come, which judge on fresh rows"
        if unsettled == ["champion"]:
            yield "With gate.inconclusive: promote, the new model would have been promoted"


def _remedy(check: Check, comparison: Comparison) -> str:
    evidence = comparison.evidence
    unjudged = [words for name, words in evidence.problems if name == check.name]
    if unjudged:
        return f"What keeps {check.name} from being judged: {unjudged[0]}"
    match check.name:
        case "fairness" if any(gap.problem for gap in evidence.gaps):
            untold = next(gap for gap in evidence.gaps if gap.problem)
            return f"What keeps groups of {untold.column} from being compared: {untold.problem}"
        case "champion" if evidence.over_champion is not None:
            if evidence.over_champion.identical:
                return "A model that answers differently: fresh rows, other features or parameters"
            return _interval(evidence.over_champion, "the champion", _needed(comparison), comparison)
        case "baseline":
            return _interval(evidence.over_baseline, "a constant answer", 0.0, comparison)
        case "last_period" if evidence.over_last_period is not None:
            return _interval(
                evidence.over_last_period, "the last period's constant answer", 0.0, comparison
            )
    return _CHANGES.get(check.name, check.words)


def _needed(comparison: Comparison) -> float:
    """Return the improvement that all of the interval must lie above."""
    return 0.0 - (comparison.limit or 0.0)


def _interval(over: Difference, opponent: str, needed: float, comparison: Comparison) -> str:
    if over.interval is None:
        return f"What is missing for an interval against {opponent}: {over.problem or 'more rows'}"
    gain = improvement(over.interval, higher_is_better=comparison.higher_is_better)
    shown = spread(over.interval)
    return (
        f"All of the interval against {opponent} must be better than {_signed(needed, shown + 1)}; it "
        f"begins at {_signed(gain.low, shown)} (positive is better)"
    )


def _had_it_been_kept(comparison: Comparison) -> Iterator[str]:
    over = comparison.evidence.over_champion
    needed = _needed(comparison) if over else 0.0
    over = over or comparison.evidence.over_baseline
    if over.interval is None:
        return
    gain = improvement(over.interval, higher_is_better=comparison.higher_is_better)
    if gain.low > needed:
        room = trimmed(gain.low - needed, spread(over.interval) + 1)
        yield (
            f"It would not have been promoted had the interval reached {room} further to the worse, or "
            "had one other check failed"
        )


def _signed(value: float, decimals: int) -> str:
    text = trimmed(value, decimals)
    return text if text.startswith("-") or text == "0" else f"+{text}"
