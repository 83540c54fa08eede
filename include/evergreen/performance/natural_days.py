"""How much the days of a model's loss differ by themselves: learnt from the days it was proven on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from scipy import stats

CARRY = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
RHYTHM = (0.0, 0.5, 2.0, 8.0)
ODDITY = 8


@dataclass(frozen=True, slots=True)
class Days:
    """Some days' values. `weights`: how much each tells beside a usual day of the proof, at most 1."""

    days: tuple[date, ...]
    values: tuple[float, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """What the proof's days may have come from: a Gaussian process for each pair of `CARRY`, `RHYTHM`.

    A day's value is a common mean, plus an effect of its weekday (of variance r·s²), plus noise of
    variance s²/weight, that of neighbouring days correlated by c (AR(1)). `likely` is how likely each
    pair of c and r is after the days were seen, by their restricted likelihood (Harville, Biometrika 61,
    1974): of so few days no single best pair can be told, and the wrong one cries wolf.

    Attributes:
        days: The proof's.
        likely: `(n_ways,)`, sums to 1.
        solved: `(n_ways, n)`: inverse covariance times residuals.
        inverses: `(n_ways, n, n)`: inverse covariances (in units of s²).
        totals: `(n_ways, n)`: inverse covariance times a column of ones.
        means: `(n_ways,)`.
        precisions: `(n_ways,)`: of the means, in units of 1/s².
        spreads: `(n_ways,)`: estimates of s².
    """

    days: Days
    likely: np.ndarray
    solved: np.ndarray
    inverses: np.ndarray
    totals: np.ndarray
    means: np.ndarray
    precisions: np.ndarray
    spreads: np.ndarray

    def ahead(self, days: Days, mixing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what weighted means of later days should be, and their standard errors.

        Args:
            days: The later days.
            mixing: `(n_means, n_days)`, the weights of each mean, adding to 1.

        Returns:
            Both `(n_ways, n_means)`.
        """
        across = _covariances(days, self.days)
        within = _covariances(days, days)
        mixed = mixing @ across
        expected = self.means[:, None] + np.einsum("wmn,wn->wm", mixed, self.solved)
        own = np.einsum("mi,wij,mj->wm", mixing, within, mixing)
        learnt = np.einsum("wmn,wnk,wmk->wm", mixed, self.inverses, mixed)
        open_ = 1 - np.einsum("wmn,wn->wm", mixed, self.totals)
        variances = self.spreads[:, None] * (own - learnt + open_**2 / self.precisions[:, None])
        return expected, np.sqrt(np.maximum(variances, 0.0))

    def tail(self, score: np.ndarray, size: int) -> float:
        """Return how often chance alone puts a mean of so many days so far above what was expected.

        Args:
            score: `(n_ways,)`: how far the mean lies above what was expected, in errors.
            size: Days in the mean.
        """
        degrees = degrees_of(len(self.days.days), size)
        return float(self.likely @ stats.t.sf(score, degrees))


def degrees_of(proof: int, size: int | np.ndarray) -> np.ndarray:
    """Return the degrees of freedom by which a mean of so many days is judged.

    Of the spread there are one fewer than days of the proof. Single days are odd more often than normal
    ones would be (a storm, a holiday), which so few days of proof cannot show: a short mean gets
    `ODDITY` for each of its days at most.
    """
    return np.asarray(np.minimum(proof - 1, ODDITY * np.asarray(size)))


@lru_cache(maxsize=64)
def ways_of(days: Days) -> Ways:
    """Learn from the proof's days.

    Raises:
        ValueError: fewer than 3 days, or days of one value.
    """
    count = len(days.days)
    values = np.array(days.values)
    if count < 3 or np.ptp(values) <= 1e-12 * np.abs(values).max():
        raise ValueError("days that do not differ say nothing of chance")
    covariances = _covariances(days, days)
    inverses = np.linalg.inv(covariances)
    totals = inverses.sum(axis=2)
    precisions = totals.sum(axis=1)
    means = totals @ values / precisions
    residuals = values - means[:, None]
    solved = np.einsum("wij,wj->wi", inverses, residuals)
    squares = np.einsum("wi,wi->w", solved, residuals)
    evidence = -0.5 * (
        np.linalg.slogdet(covariances)[1] + np.log(precisions) + (count - 1) * np.log(squares)
    )
    likely = np.exp(evidence - evidence.max()) * _prior()
    return Ways(
        days,
        likely / likely.sum(),
        solved,
        inverses,
        totals,
        means,
        precisions,
        squares / (count - 1),
    )


def _prior() -> np.ndarray:
    """Return how likely each way is before the days are seen: less so the more is carried over."""
    return np.repeat(np.exp(-4 * np.array(CARRY)), len(RHYTHM))


def _covariances(first: Days, second: Days) -> np.ndarray:
    """Return the covariances between days in units of s², `(n_ways, n_first, n_second)`."""
    one, other = _numbers(first.days), _numbers(second.days)
    apart = np.abs(one[:, None] - other[None, :])
    noise = 1 / np.sqrt(np.outer(first.weights, second.weights))
    same = (apart % 7 == 0).astype(float)
    carried = np.stack([noise * (apart == 0 if c == 0 else c**apart) for c in CARRY])
    rhythms = np.stack([same * r for r in RHYTHM])
    together = carried[:, None] + rhythms[None, :]
    return np.asarray(together.reshape(-1, *apart.shape))


def _numbers(days: Sequence[date]) -> np.ndarray:
    return np.array([day.toordinal() for day in days])
