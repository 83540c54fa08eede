"""What a distance is where nothing changed, at the actual number of rows: its null distribution.

A window to which nothing happened differs from the baseline by the sampling of its own rows, by that of
the baseline's, and by what windows of the baseline differ by nature (`natural`). Four ways, the first
that fits: two filled cells are reckoned exactly; a smooth distance by the saddlepoint of its quadratic
form, with rare cells reckoned exactly where they add up; all else from drawn windows.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import gammaln

from evergreen.drift import draws, saddlepoint, two_cells
from evergreen.drift.distances import DISTANCES, Distance, anderson_darling, chi_square
from evergreen.drift.natural import BEFORE, RATIOS, Natural, natural_of
from evergreen.drift.small_cells import SMALL, correction
from evergreen.monitor_spec import DistanceName
from evergreen.watch_results import Chance

TAIL = 10.0 ** -np.arange(1, 6.25, 0.5)
"""The chances that `Chance.tail` names values for."""
_NEGLIGIBLE = 1e-6


def chance_of(
    distance: DistanceName,
    day_counts: np.ndarray,
    window_rows: int,
    window_days: int,
    positions: np.ndarray | None,
    before: np.ndarray = BEFORE,
) -> Chance:
    """Return the null distribution of a distance.

    Args:
        distance: Which.
        day_counts: `(days, k)`, the baseline's rows by day and cell, in the order of days.
        window_rows: The window's rows in these cells, at least 1.
        window_days: How many days the window spans.
        positions: `(k,)`, where cells lie, for distances that ask.
        before: How likely each of `natural.RATIOS` is before this column's days are seen.

    Raises:
        ValueError: the baseline has no row, or the window.
    """
    counts = day_counts.sum(axis=0).astype(float)
    if not counts.any() or window_rows < 1:
        raise ValueError("chance cannot be told without rows")
    known = DISTANCES[distance]
    filled = counts > 0
    natural = nature(distance, day_counts, window_days)
    weights = natural.weights(before)
    kept = weights > _NEGLIGIBLE
    ratios, weights = RATIOS[kept], weights[kept] / weights[kept].sum()
    if filled.sum() <= 2:
        return _exact(known, counts, window_rows, natural.shape, ratios, weights, positions)
    rare = bool((counts[filled] * window_rows / counts.sum() < SMALL).any())
    if known.curvature is None or (rare and known.terms is None and not known.ordered):
        return _drawn(known, counts, window_rows, natural.shape, ratios, weights, positions)
    return _reckoned(known, counts, window_rows, natural.shape, ratios, weights)


def nature(distance: DistanceName, day_counts: np.ndarray, window_days: int) -> Natural:
    """Return how much windows of the baseline vary by nature, as this distance sees it."""
    counts = day_counts.sum(axis=0)
    return natural_of(
        day_counts[:, counts > 0], _root(DISTANCES[distance], counts[counts > 0]), window_days
    )


def p_value(chance: Chance, value: float) -> float:
    """Return how likely chance alone gives more than the value."""
    if not chance.tail:
        return _of_moments(chance, value)
    logs = np.log(TAIL)
    tail = np.asarray(chance.tail)
    if value < tail[0]:
        return float(max(_of_moments(chance, value), TAIL[0]))
    if value > tail[-1]:
        slope = (logs[-1] - logs[-3]) / max(tail[-1] - tail[-3], 1e-300)
        return float(np.exp(max(logs[-1] + slope * (value - tail[-1]), -700)))
    return float(np.exp(np.interp(value, tail, logs)))


def threshold(chance: Chance, p: float) -> float:
    """Return the value that chance alone exceeds with probability `p`."""
    if not chance.tail or p > TAIL[0]:
        return _value_of_moments(chance, p)
    logs = np.log(TAIL)
    tail = np.asarray(chance.tail)
    if p < TAIL[-1]:
        slope = (tail[-1] - tail[-3]) / (logs[-1] - logs[-3])
        return float(tail[-1] + slope * (np.log(p) - logs[-1]))
    return float(np.interp(-np.log(p), -logs, tail))


def _of_moments(chance: Chance, value: float) -> float:
    if chance.sd <= 0:
        return float(value <= chance.mean)
    return float(stats.pearson3.sf((value - chance.mean) / chance.sd, chance.skew))


def _value_of_moments(chance: Chance, p: float) -> float:
    if chance.sd <= 0:
        return chance.mean
    value = chance.mean + chance.sd * float(stats.pearson3.isf(p, chance.skew))
    return min(value, chance.tail[0]) if chance.tail else value


def _root(known: Distance, counts: np.ndarray) -> np.ndarray:
    """Return the matrix R by which the distance's quadratic form is `|R (q - p)|^2`."""
    curvature = known.curvature or (
        anderson_darling.curvature if known.ordered else chi_square.curvature
    )
    if len(counts) < 2:
        return np.ones((len(counts), len(counts)))
    return np.linalg.cholesky(curvature(counts / counts.sum())).T


def _reckoned(
    known: Distance,
    counts: np.ndarray,
    rows: int,
    shape: np.ndarray,
    ratios: np.ndarray,
    weights: np.ndarray,
) -> Chance:
    """Return the chance of a smooth distance from its quadratic form."""
    filled = counts[counts > 0]
    shares = filled / filled.sum()
    root = _root(known, filled)
    sampling = 1 / rows + 1 / filled.sum()
    noise = root @ (np.diag(shares) - np.outer(shares, shares)) @ root.T * sampling
    directions = root @ shape
    eigenvalues = _eigenvalues(noise, directions, ratios)
    s = saddlepoint.points(eigenvalues)
    generating = saddlepoint.quadratic(eigenvalues, s)
    mean, variance, third = _moments(eigenvalues, weights)
    if known.terms is not None:
        grid = np.concatenate([[0.0], s[0]])
        flat = float(noise.trace()) / (len(filled) - 1)
        added = correction(counts, rows, known.terms, flat, grid)
        if added is not None:
            mean, variance = mean + added.first[0], variance + added.second[0]
            generating = generating.plus(added.at(s))
    tail = _mixed(*generating.tail(), weights)
    natural = 1 - float(noise.trace() / (weights @ eigenvalues.sum(axis=1)))
    if known.degree == 1:
        tail = np.sqrt(np.maximum(tail, 0))
        return _of_root(mean, variance, natural, tail)
    return _chance(mean, variance, third, natural, tail)


def _eigenvalues(noise: np.ndarray, directions: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Return those of `noise + ratio * directions @ directions.T`, `(n_ratios, k)`."""
    cells = len(noise)
    flat = noise.trace() / (cells - 1)
    if np.allclose(noise @ noise, flat * noise, rtol=1e-6, atol=1e-9 * flat**2):
        along = np.linalg.eigvalsh(directions.T @ directions)
        values = np.full((len(ratios), cells - 1), flat)
        values[:, : len(along)] += ratios[:, None] * along[: cells - 1]
        return values
    whole = noise + ratios[:, None, None] * (directions @ directions.T)
    return np.maximum(np.linalg.eigvalsh(whole), 0)


def _moments(eigenvalues: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """Return mean, variance and third central moment of the mixture of forms."""
    first = eigenvalues.sum(axis=1)
    second, third = 2 * (eigenvalues**2).sum(axis=1), 8 * (eigenvalues**3).sum(axis=1)
    mean = float(weights @ first)
    off = first - mean
    return (
        mean,
        float(weights @ (second + off**2)),
        float(weights @ (third + 3 * off * second + off**3)),
    )


def _mixed(values: np.ndarray, log_chances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the values that the mixture exceeds with the chances `TAIL`.

    Args:
        values: `(n_ratios, n_points)`, rising.
        log_chances: Of more than these, the same shape.
        weights: `(n_ratios,)`.
    """
    at = np.geomspace(max(values[:, 0].min(), values.max() * 1e-9), values.max(), 400)
    chance = np.zeros(len(at))
    for value, log_chance, weight in zip(values, log_chances, weights, strict=True):
        chance += weight * np.exp(np.interp(at, value, log_chance))
    return _quantiles(at, chance)


def _quantiles(values: np.ndarray, chance_of_more: np.ndarray) -> np.ndarray:
    logs = -np.log(np.maximum(np.minimum.accumulate(chance_of_more), 1e-300))
    found: np.ndarray = np.interp(-np.log(TAIL), logs, values)
    return found


def _exact(
    known: Distance,
    counts: np.ndarray,
    rows: int,
    shape: np.ndarray,
    ratios: np.ndarray,
    weights: np.ndarray,
    positions: np.ndarray | None,
) -> Chance:
    """Return the chance of a column with at most two filled cells; a lone one gets a neighbour."""
    if len(counts) < 2:
        return Chance(0.0, 0.0, 0.0)
    cells = np.flatnonzero(counts)
    lone = len(cells) < 2
    if lone:
        cells = np.array([cells[0], cells[0] + 1 if cells[0] + 1 < len(counts) else cells[0] - 1])
    cells = cells[np.argsort(-counts[cells])]
    shares = counts / counts.sum()

    def measure(windows: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(windows), len(counts)))
        whole[:, cells] = windows
        return known.measure(shares, whole, positions)

    own = np.zeros(1) if lone else (shape**2).sum(axis=1)[:1]
    values, chance = two_cells.spread(counts[cells], rows, measure, ratios * own, weights)
    more = np.cumsum(chance[::-1])[::-1] - chance / 2
    mean = float(chance @ values)
    variance = float(chance @ (values - mean) ** 2)
    third = float(chance @ (values - mean) ** 3)
    sampling = float(shares.min() * (1 - shares.min()) * (1 / rows + 1 / counts.sum()))
    varying = float(weights @ ratios * own[0])
    natural = varying / (sampling + varying) if sampling else 0.0
    return _chance(mean, variance, third, natural, _quantiles(values, more))


def _drawn(
    known: Distance,
    counts: np.ndarray,
    rows: int,
    shape: np.ndarray,
    ratios: np.ndarray,
    weights: np.ndarray,
    positions: np.ndarray | None,
) -> Chance:
    """Return the chance of any distance from drawn windows, its tail by a Pearson III distribution."""
    whole = np.zeros((len(counts), shape.shape[1]))
    whole[counts > 0] = shape
    windows = draws.windows(counts, rows, whole, ratios, weights)
    values = known.measure(counts / counts.sum(), windows, positions)
    mean, sd = float(values.mean()), float(values.std())
    if sd <= _NEGLIGIBLE * mean:
        return Chance(mean, 0.0, 0.0)
    skew = float(np.mean(((values - mean) / sd) ** 3))
    tail = mean + sd * stats.pearson3.isf(TAIL, skew)
    shares = counts / counts.sum()
    sampling = (1 - shares @ shares) * (1 / rows + 1 / counts.sum())
    varying = float(weights @ ratios * (shape**2).sum())
    return _chance(mean, sd**2, skew * sd**3, varying / (sampling + varying), tail)


def _of_root(mean: float, variance: float, natural: float, tail: np.ndarray) -> Chance:
    """Return the chance of the root of a gamma variable of this mean and variance, with its own tail."""
    form, scale = mean**2 / variance, variance / mean
    raw = [np.exp(gammaln(form + n / 2) - gammaln(form)) * scale ** (n / 2) for n in (1, 2, 3)]
    spread = raw[1] - raw[0] ** 2
    third = raw[2] - 3 * raw[0] * raw[1] + 2 * raw[0] ** 3
    return _chance(raw[0], spread, third, natural, tail)


def _chance(mean: float, variance: float, third: float, natural: float, tail: np.ndarray) -> Chance:
    skew = third / variance**1.5 if variance > 0 else 0.0
    return Chance(
        float(mean),
        float(np.sqrt(variance)),
        float(skew),
        float(min(max(natural, 0.0), 1.0)),
        tuple(float(value) for value in np.maximum.accumulate(tail)),
    )
