"""How often an alarm of chance begins, where windows overlap: an alarm that lasts is one false alarm.

Two consecutive windows that share most of their rows are mostly alike, and so are all windows in that
they are compared with one baseline. Where a window's distance lies above its threshold by chance, the
next one's often does, too. For a distance that is (or whose square is) a chi-square variable of `nu`
degrees of freedom, whose normal variables have correlation c from one check to the next, the next one is
noncentral chi-square given this one (Kibble, Sankhya 5 (1941)):

    P(next <= t | this = x) = F(t / (1 - c^2); nu, c^2 x / (1 - c^2))

so that the share of exceedances that begin or end an alarm, and with it the mean length of an alarm (its
inverse), is one integral.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

from evergreen.drift.chance import TAIL, threshold
from evergreen.drift.distances import DISTANCES
from evergreen.monitor_spec import DistanceName
from evergreen.watch_results import Chance

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_ROUNDS = 6


def correlation(overlap: float, baseline_rows: int, window_rows: int) -> float:
    """Return the correlation of what chance does in two consecutive windows.

    >>> round(correlation(1.0, 9_000, 1_000), 3), round(correlation(7.0, 9_000, 1_000), 3)
    (0.1, 0.871)
    """
    fresh = min(1.0, 1 / max(overlap, 1e-9))
    return 1 - fresh * baseline_rows / (baseline_rows + window_rows)


def chance_per_check(
    chance: Chance, distance: DistanceName, begins_per_check: float, correlation: float
) -> float:
    """Return how likely each check may exceed its threshold, so that alarms begin only so often."""
    p = begins_per_check
    for _ in range(_ROUNDS):
        p = min(0.5, begins_per_check / begins(p, degrees(chance, distance, p), correlation))
    return p


def degrees(chance: Chance, distance: DistanceName, p: float) -> float:
    """Return the degrees of freedom of the chi-square variable that falls off alike at this chance.

    At t, one of scale a and mean m falls off at the rate `s = 1/2a - (m/2a - 1)/t`.
    """
    if chance.sd <= 0 or len(chance.tail) < len(TAIL):
        return 1.0
    at = [threshold(chance, each) for each in (p * 1.5, p / 1.5)]
    mean = chance.mean
    if DISTANCES[distance].degree == 1:
        at, mean = [value**2 for value in at], chance.mean**2 + chance.sd**2
    middle = float(np.mean(at))
    if at[1] <= at[0] or middle <= mean:
        return 1.0
    rate = 2 * np.log(1.5) / (at[1] - at[0])
    return float(np.clip(2 * mean * (rate * middle - 1) / (middle - mean), 1.0, 200.0))


def begins(p: float, nu: float, correlation: float) -> float:
    """Return the share of exceedances of chance `p` that were none at the check before.

    >>> print(round(begins(1e-3, 1.0, 0.0), 3), round(begins(1e-3, 1.0, 6 / 7), 3))
    0.999 0.669
    """
    if correlation <= 0:
        return 1 - p
    grid = np.geomspace(1, 200, 24)
    steps = np.linspace(-7, np.log10(0.5), 28)
    table = _table(1 - float(f"{max(1 - correlation, 1e-4):.1e}"))
    row = np.interp(np.log10(p), steps, np.arange(len(steps)))
    column = np.interp(np.log(nu), np.log(grid), np.arange(len(grid)))
    low, left = min(int(row), len(steps) - 2), min(int(column), len(grid) - 2)
    down, right = row - low, column - left
    square = table[low : low + 2, left : left + 2]
    return float(np.array([1 - down, down]) @ square @ np.array([1 - right, right]))


@lru_cache(maxsize=64)
def _table(correlation: float) -> np.ndarray:
    """Return `begins` for 28 chances by 24 degrees of freedom."""
    chances = 10 ** np.linspace(-7, np.log10(0.5), 28)[:, None, None]
    nu = np.geomspace(1, 200, 24)[None, :, None]
    # The exceedance's own value, at evenly spread chances below p.
    at = stats.chi2.isf(chances * (_NODES + 1) / 2, nu)
    bar = stats.chi2.isf(chances, nu)
    rest = 1 - correlation**2
    ended = stats.ncx2.cdf(bar / rest, nu, correlation**2 * at / rest)
    found: np.ndarray = (ended * _WEIGHTS / 2).sum(axis=-1)
    return found
