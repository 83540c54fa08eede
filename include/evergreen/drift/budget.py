"""How the owner's budget of false alarms is spent: by level, by column and over time.

Health has a small part of its own; the levels that tell of harm share the rest by fixed weights. A level
that has nothing to say in a check leaves its part to the others. Parts add up whatever the columns have
to do with one another, so that the budget holds (Bonferroni); where they have nothing to do with one
another it is also used up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from evergreen.monitor_spec import Level
from evergreen.rates import Rate

HEALTH = 0.02
"""Of the budget, for shares of missing and unseen values; the rest of health is no matter of chance."""
WEIGHTS: Mapping[Level, float] = {
    "loss": 0.45,
    "estimated_loss": 0.15,
    "prediction": 0.15,
    "features": 0.25,
}
"""Of the rest. Loss is harm itself; its estimate, predictions and features only hint at harm."""
EVENLY = 0.5
"""The part of a level that its columns share evenly; the rest goes by their importance."""


def begins_per_check(
    false_alarms: Rate, checks_a_year: float, speaking: Collection[Level]
) -> dict[Level, float]:
    """Return how many false alarms may begin at one check, for health and each level that can speak.

    >>> budget = begins_per_check(Rate(1, "quarter"), 365.25, ["loss", "features"])
    >>> {level: round(each, 5) for level, each in budget.items()}
    {'health': 0.00022, 'loss': 0.0069, 'features': 0.00383}
    """
    each_check = min(false_alarms.per_year / checks_a_year, 0.5)
    weights = {level: weight for level, weight in WEIGHTS.items() if level in speaking}
    whole = sum(weights.values())
    rest = (1 - HEALTH) * each_check
    return {
        "health": HEALTH * each_check,
        **{level: rest * weight / whole for level, weight in weights.items()},
    }


def parts(importance: Sequence[float]) -> list[float]:
    """Return each column's part of its level's budget; they sum to 1.

    Half evenly and half by importance, all evenly where no importance is known.

    >>> parts([0.8, 0.2, 0.0]), parts([0.0, 0.0])
    ([0.5666666666666667, 0.26666666666666666, 0.16666666666666666], [0.5, 0.5])
    """
    whole = sum(importance)
    count = len(importance)
    if whole <= 0:
        return [1 / count] * count
    return [EVENLY / count + (1 - EVENLY) * each / whole for each in importance]
