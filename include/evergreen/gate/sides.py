"""On which side of a limit a difference lies.

Differences are turned so that more is worse ("harm"), whichever way the metric's own scale goes.
"""

from __future__ import annotations

from typing import Literal

from evergreen.amounts import Margin
from evergreen.comparison import Difference, Verdict
from evergreen.gate_spec import Gate, Policy

Side = Literal["better", "worse", "open"]

SEVERITY: tuple[Verdict, ...] = ("passed", "inconclusive", "failed")
HEADS = {"passed": "", "inconclusive": "inconclusive: ", "failed": "kept: "}
MOST_NAMED = 5


def limit(policy: Policy, margin: Margin, over: Difference) -> float | None:
    """Return the harm that all of the interval must lie below; None where it is undefined."""
    amount = margin.amount
    if margin.relative:
        if over.other is None:
            return None
        amount *= abs(over.other)
    return 0.0 - amount if policy == "superiority" else amount


def harm(rule: Gate, over: Difference) -> tuple[float, float, float] | None:
    """Return estimate, low and high of how much worse the first model is."""
    if over.interval is None:
        return None
    estimate, low, high = over.interval.estimate, over.interval.low, over.interval.high
    return (-estimate, -high, -low) if rule.higher_is_better else (estimate, low, high)


def side(rule: Gate, over: Difference, bound: float) -> Side:
    """Return on which side of the bound the whole interval of harm lies."""
    harmed = harm(rule, over)
    if harmed is None or over.identical:
        return "open"
    _, low, high = harmed
    return "better" if high < bound else "worse" if low > bound else "open"


def in_words(over: Difference) -> str:
    """Return the difference with its interval, or why there is none."""
    return f"cannot be judged: {over.problem}" if over.interval is None else str(over.interval)


def more(count: int) -> str:
    """Return what to say of what is not named."""
    return f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""


def within(low: float, estimate: float, bound: float) -> Verdict:
    """Beyond the bound with evidence fails, beyond it without evidence is inconclusive."""
    return "failed" if low > bound else "inconclusive" if estimate > bound else "passed"
