"""Holds the last days of a loss against the days it was proven on, over several windows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import optimize

from evergreen.performance.looks import looks
from evergreen.performance.natural_days import Days, Ways, ways_of
from evergreen.watch_results import DayLoss, LossSeries

FEWEST_ROWS = 30
"""Fewest rows of a window: the mean of fewer is far from normal."""
SIZES = (1, 2, 4, 7, 14, 28, 56, 84)
"""Days of the windows; whole weeks do not feel a weekday's rhythm."""
MOST_ALLOWED = 0.25
ROUNDS = 3
_SHARES_OF_ONE = frozenset({"accuracy", "average_precision", "roc_auc"})


@dataclass(frozen=True, slots=True)
class Scale:
    """How a metric's daily values are turned into numbers that are about normal, lower being better.

    A loss that cannot be negative is skewed, the more so the fewer rows a day has; its cube root is not
    (Wilson and Hilferty, PNAS 17, 1931). What is `turned` counts from `top` downwards.
    """

    turned: bool
    top: float
    root: bool

    def losses(self, days: Sequence[DayLoss]) -> np.ndarray:
        """Return the days' losses."""
        return np.array([self.value(day.value) for day in days])

    def value(self, loss: float) -> float:
        """Return a loss as the metric has it; and the metric's value as a loss, which is the same."""
        return self.top - loss if self.turned else loss

    def even(self, losses: np.ndarray) -> np.ndarray:
        """Return losses on the scale on which days are compared."""
        return np.cbrt(np.maximum(losses, 0.0)) if self.root else losses


@dataclass(frozen=True, slots=True)
class Look:
    """One window of last days: its loss, and how rarely chance alone gives as much.

    `shifted` gives that chance were each of its days worse by so much.
    """

    days: int
    rows: int
    loss: float
    shifted: Callable[[float], float]

    @property
    def p_value(self) -> float:
        """How often chance alone gives this loss or more, in this one window."""
        return self.shifted(0.0)


def scale_of(series: LossSeries) -> Scale:
    """Return the scale of the series' metric."""
    turned = series.higher_is_better
    top = 1.0 if turned and series.metric in _SHARES_OF_ONE else 0.0
    values = np.array([day.value for day in (*series.level_days, *series.days)])
    losses = top - values if turned else values
    return Scale(turned, top, root=bool((losses >= 0).all()))


def weights_of(proof: Sequence[DayLoss], days: Sequence[DayLoss]) -> np.ndarray:
    """Return how much each day tells beside a usual day of the proof, at most 1.

    A day of fewer rows is the less certain by as much; one of more may still be an odd day, and counts
    like any.
    """
    usual = len(proof) / sum(1 / max(day.rows, 1) for day in proof)
    return np.minimum(1.0, np.array([max(day.rows, 1) for day in days]) / usual)


def looks_of(series: LossSeries, scale: Scale, slack: float) -> tuple[Look, ...]:
    """Return the windows of the last days that have enough rows, shortest first.

    None is longer than the proof: beyond that, the level's own uncertainty decides.

    Args:
        series: With at least 3 days of proof, which are not all the same.
        scale: Of its metric.
        slack: How much worse is no harm, in the metric's unit.

    Raises:
        ValueError: days of proof that say nothing of chance.
    """
    proof, days = series.level_days, series.days
    ways = ways_of(_as_days(proof, proof, scale.even(scale.losses(proof))))
    sizes = [
        size
        for size in SIZES
        if size <= min(len(days), len(proof)) and sum(day.rows for day in days[-size:]) >= FEWEST_ROWS
    ]
    if not sizes:
        return ()
    last = days[-sizes[-1] :]
    losses, weights = scale.losses(last), weights_of(proof, last)
    mixing = np.array([np.where(np.arange(len(last)) >= len(last) - size, weights, 0) for size in sizes])
    mixing /= mixing.sum(axis=1, keepdims=True)
    expected, errors = ways.ahead(_as_days(proof, last, losses), mixing)
    return tuple(
        Look(
            size,
            sum(day.rows for day in last[-size:]),
            float(mixing[place] @ losses),
            partial(
                _tail,
                ways,
                scale,
                size,
                losses - slack,
                mixing[place],
                expected[:, place],
                errors[:, place],
            ),
        )
        for place, size in enumerate(sizes)
    )


def factor_of(seen: Sequence[Look], proof: int, allowed: float, days_between: float) -> float:
    """Return how many alarms begin a check, in units of the p-value at which one window alarms.

    Args:
        seen: The windows.
        proof: Days that the level comes from.
        allowed: How many may begin.
        days_between: From one check to the next.
    """
    sizes = tuple(look.days for look in seen)
    factor = 1.0
    for _ in range(ROUNDS):
        probability = float(f"{min(allowed / factor, MOST_ALLOWED):.2g}")
        factor = looks(sizes, proof, probability, days_between)
    return factor


def bar_of(look: Look, chance: float) -> float:
    """Return the window's loss that chance alone exceeds with this probability, at most 0.25."""

    def over(shift: float) -> float:
        return look.shifted(shift) - chance

    step = max(abs(look.loss), 1e-6)
    low = high = 0.0
    while over(high) > 0:
        high, step = high + step, 2 * step
    step = max(abs(look.loss), 1e-6)
    while over(low) <= 0:
        low, step = low - step, 2 * step
    return look.loss + float(optimize.brentq(over, low, high, xtol=1e-9 * max(1.0, abs(look.loss))))


def _tail(
    ways: Ways,
    scale: Scale,
    size: int,
    losses: np.ndarray,
    mix: np.ndarray,
    expected: np.ndarray,
    errors: np.ndarray,
    shift: float,
) -> float:
    mean = mix @ scale.even(losses + shift)
    return ways.tail((mean - expected) / errors, size)


def _as_days(proof: Sequence[DayLoss], days: Sequence[DayLoss], values: np.ndarray) -> Days:
    weights = weights_of(proof, days)
    return Days(tuple(day.day for day in days), tuple(map(float, values)), tuple(map(float, weights)))
