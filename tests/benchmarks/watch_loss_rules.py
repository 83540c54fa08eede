"""Streams of a model's daily loss, and two rules that watch them: Evergreen's and a classical CUSUM.

Evergreen's is `judge_series`, asked of all checks of a stream at once: what it learns of the proof,
which windows it looks at, what these should be and how often an alarm begins come from its own
functions. What a window should be is linear in the days of the proof, and its error is a multiple of
their spread, so both are asked for once; days have equal rows. A unit test holds the answers to those
of `judge_series`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np
from scipy import signal, stats

from evergreen.performance.natural_days import Days, degrees_of, ways_of
from evergreen.performance.scan import Look, factor_of, looks_of, scale_of
from evergreen.watch_results import DayLoss, LossSeries

PROOF, GAP = 30, 3
"""Days that the level was proven on, and days from the last of them to the release."""
ROWS = 500
LEVEL, SPREAD = 10.0, 0.25
CARRIED = 0.5
WEEK = np.array([1.0, 1.0, 0.0, 0.0, -0.5, -0.5, -1.0])
REFERENCE = 0.5
"""What a CUSUM takes off each day's score: half of the harm that it is best for (Page, 1954)."""
_BEGIN = date(2013, 1, 1)

Shape = tuple[int, int]


def _normal(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return LEVEL + SPREAD * rng.standard_normal(shape)


def _carried(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    left = np.sqrt(1 - CARRIED**2)
    noise = rng.standard_normal(shape)
    noise[:, 0] /= left
    return LEVEL + SPREAD * np.asarray(signal.lfilter([left], [1, -CARRIED], noise, axis=1))


def _rhythm(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    begins = rng.integers(7, size=(shape[0], 1))
    return np.asarray(SPREAD * WEEK[(begins + np.arange(shape[1])) % 7])


INDEPENDENT = "independent"
HALF_CARRIED = "half carried over to the next day (AR(1), 0.5)"
RHYTHM = "with a weekday rhythm as large as their noise"
BOTH = "half carried over, with a weekday rhythm"
SKEWED = "skewed (means of 20 exponential losses)"
HEAVY = "of heavy tails (Student's t with 4 degrees)"
KINDS: dict[str, Callable[[np.random.Generator, Shape], np.ndarray]] = {
    INDEPENDENT: _normal,
    RHYTHM: lambda rng, shape: _normal(rng, shape) + _rhythm(rng, shape),
    HALF_CARRIED: _carried,
    BOTH: lambda rng, shape: _carried(rng, shape) + _rhythm(rng, shape),
    SKEWED: lambda rng, shape: rng.gamma(20, LEVEL / 20, size=shape),
    HEAVY: lambda rng, shape: LEVEL + SPREAD * rng.standard_t(4, size=shape) / np.sqrt(2),
}


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """The checks of a stream and all that they look at which no stream changes.

    Attributes:
        checks: Days since the release at each check, rising.
        windows: The windows of each check.
        mixing: `(n_windows, n_days)`: weights of the windows' means.
        slopes: `(n_ways, n_windows, PROOF)`: what a mean should be, by day of the proof.
        errors: `(n_ways, n_windows)`: its standard error, in units of the proof's spread.
    """

    checks: tuple[int, ...]
    windows: tuple[tuple[Look, ...], ...]
    mixing: np.ndarray
    slopes: np.ndarray
    errors: np.ndarray

    def p_values(self, losses: np.ndarray) -> np.ndarray:
        """Return the smallest p-value of the windows at each check.

        Args:
            losses: `(PROOF + GAP + n_days,)`.
        """
        scale = scale_of(series(losses, self.checks[-1]))
        proof = scale.even(losses[:PROOF])
        since = scale.even(losses[PROOF + GAP :][: self.checks[-1]])
        ways = ways_of(_days(0, proof))
        errors = np.sqrt(ways.spreads)[:, None] * self.errors
        scores = (self.mixing @ since - self.slopes @ proof) / errors
        sizes = np.array([look.days for seen in self.windows for look in seen])
        tails = ways.likely @ stats.t.sf(scores, degrees_of(PROOF, sizes))
        starts = np.cumsum([0, *(len(seen) for seen in self.windows[:-1])])
        return np.asarray(np.minimum.reduceat(tails, starts))

    def bars(self, allowed: float, days_between: float) -> np.ndarray:
        """Return the p-value at which each check alarms."""
        return np.array(
            [allowed / factor_of(seen, PROOF, allowed, days_between) for seen in self.windows]
        )


@cache
def walk(checks: tuple[int, ...]) -> Walk:
    """Ask Evergreen's own functions what checks so many days after the release look at."""
    some = _normal(np.random.default_rng(0), (1, PROOF + GAP + checks[-1]))[0]
    scale = scale_of(series(some, checks[-1]))
    windows = tuple(looks_of(series(some, check), scale, 0.0) for check in checks)
    days = np.arange(checks[-1])
    mixing = np.array(
        [
            ((days >= check - look.days) & (days < check)) / look.days
            for check, seen in zip(checks, windows, strict=True)
            for look in seen
        ]
    )
    later = _days(PROOF + GAP, days)
    ways = [ways_of(_days(0, unit)) for unit in np.eye(PROOF)]
    ahead = [one.ahead(later, mixing) for one in ways]
    errors = ahead[0][1] / np.sqrt(ways[0].spreads)[:, None]
    return Walk(checks, windows, mixing, np.stack([expected for expected, _ in ahead], axis=2), errors)


def series(losses: np.ndarray, since: int) -> LossSeries:
    """Return a stream as the watch has it so many days after the release."""
    days = tuple(
        DayLoss(_BEGIN + timedelta(days=place), float(loss), ROWS)
        for place, loss in enumerate(losses[: PROOF + GAP + since])
    )
    proof = days[:PROOF]
    level = float(np.mean(losses[:PROOF]))
    return LossSeries("squared_error", False, level, proof, days[PROOF + GAP :], False, since * ROWS)


def _days(start: int, values: np.ndarray) -> Days:
    dates = tuple(_BEGIN + timedelta(days=start + place) for place in range(len(values)))
    return Days(dates, tuple(map(float, values)), (1.0,) * len(values))


def cusum(losses: np.ndarray) -> np.ndarray:
    """Return S_t = max(0, S_(t-1) + (loss - mean) / deviation - 1/2) of each day since the release.

    Mean and deviation are those of the proof (Page, Biometrika 41, 1954).

    Args:
        losses: `(n_streams, PROOF + GAP + n_days)`.
    """
    proof, since = losses[:, :PROOF], losses[:, PROOF + GAP :]
    deviations = proof.std(axis=1, ddof=1, keepdims=True)
    steps = (since - proof.mean(axis=1, keepdims=True)) / deviations - REFERENCE
    # What is added up, less the least that it ever was, is the same sum held at 0 or above.
    added = np.cumsum(steps, axis=1)
    return np.asarray(added - np.minimum(np.minimum.accumulate(added, axis=1), 0.0))


def bar_for(sums: np.ndarray, rate: float) -> float:
    """Return the lowest bar from which on no more alarms begin a check than `rate`.

    Args:
        sums: `(n_streams, n_checks)`, of `cusum`.
        rate: Alarms begun per check.
    """
    before = np.hstack([np.zeros((len(sums), 1)), sums[:, :-1]])
    rises = sums > before
    lows, highs = np.sort(before[rises]), np.sort(sums[rises])
    # At the bar h an alarm begins with each rise from h or below to above h.
    begun = np.searchsorted(lows, highs, "right") - np.arange(1, len(highs) + 1)
    too_many = np.flatnonzero(begun > rate * sums.size)
    return float(highs[too_many[-1] + 1]) if len(too_many) else float(highs[0])


def begun(alarms: np.ndarray) -> np.ndarray:
    """Return at which checks (last axis) an alarm begins that was not there at the check before."""
    before = np.zeros_like(alarms)
    before[..., 1:] = alarms[..., :-1]
    return np.asarray(alarms & ~before)


def delays(alarms: np.ndarray) -> np.ndarray:
    """Return the checks until the first alarm, infinite where none comes; 1 is at once.

    Args:
        alarms: `(n_streams, 1 + n_checks)`: whether each check alarms, the first before harm begins; a
            stream in alarm there is left out.
    """
    since = alarms[~alarms[:, 0], 1:]
    return np.where(since.any(axis=1), 1.0 + since.argmax(axis=1), np.inf)
