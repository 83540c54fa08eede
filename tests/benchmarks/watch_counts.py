"""Counts of streams in which nothing happens: columns of many shapes, with or without rhythm.

Rows are never made: a column's counts by day are drawn as the multinomial variables that they are. With
rhythm, each column has a weekday effect and a daily one that carries over (AR(1)), both normal, which
move its law: numbers in units of their standard deviation, categories in their log-odds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evergreen.profiles.layout import Cells

BINS = 20
Law = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How far a column's law moves by day: amplitudes are even between 0 and `most`."""

    most: float = 0.0
    carried: float = 0.6

    def shifts(self, rng: np.random.Generator, days: int) -> np.ndarray:
        """Return a column's shift on each day, `(days,)`."""
        amplitude = rng.uniform(0, self.most)
        weekdays = rng.standard_normal(7)
        noise = rng.standard_normal(days)
        level = np.empty(days)
        level[0] = noise[0]
        for day in range(1, days):
            level[day] = self.carried * level[day - 1] + np.sqrt(1 - self.carried**2) * noise[day]
        return amplitude * (weekdays[np.arange(days) % 7] - weekdays.mean() + level)


@dataclass(frozen=True, slots=True)
class Column:
    """A column's cells, and its shares of them on days with these shifts: `(days,)` to `(days, k)`.

    `discrete`: values are the middles of the bins.
    """

    cells: Cells
    law: Law
    discrete: bool = False


def columns(count: int, rng: np.random.Generator) -> list[Column]:
    """Return so many columns, three numbers for every two categories, of all shapes in turn."""
    makers = [
        *(_NUMBERS[name] for name in ("normal", "lognormal", "uniform")),
        *(_CATEGORIES[name] for name in ("four", "twelve skewed")),
        *(_NUMBERS[name] for name in ("poisson", "student_t", "mostly zero")),
        *(_CATEGORIES[name] for name in ("fifty", "rare")),
        *(_NUMBERS[name] for name in ("normal", "exponential", "poisson")),
        *(_CATEGORIES[name] for name in ("flag", "rare flag")),
        *(_NUMBERS[name] for name in ("student_t", "uniform", "lognormal")),
        *(_CATEGORIES[name] for name in ("ten", "fifty skewed")),
    ]
    return [makers[place % len(makers)](f"c{place}", rng) for place in range(count)]


def _continuous(cdf: Callable[[np.ndarray], np.ndarray], edges: np.ndarray, spread: float) -> Law:
    def law(shifts: np.ndarray) -> np.ndarray:
        at = cdf(edges[None, :] - spread * shifts[:, None])
        return np.diff(np.column_stack([np.zeros(len(shifts)), at, np.ones(len(shifts))]), axis=1)

    return law


def _number(distribution: object, *, log: bool = False) -> Callable[[str, np.random.Generator], Column]:
    """Return a maker of a column of a continuous law; the outer cells hold what training never saw."""

    def make(name: str, rng: np.random.Generator) -> Column:
        quantiles = np.concatenate([[1e-6], np.arange(1, BINS) / BINS, [1 - 1e-6]])
        edges = distribution.ppf(quantiles)  # type: ignore[attr-defined]
        inner = _continuous(distribution.cdf, edges, float(distribution.std()))  # type: ignore[attr-defined]
        shown = np.exp(edges) if log else edges
        return Column(_line(name, tuple(shown)), lambda shifts: _with_infinite(inner(shifts)))

    return make


def _with_infinite(shares: np.ndarray) -> np.ndarray:
    none = np.zeros((len(shares), 1))
    return np.hstack([none, shares, none])


def _line(name: str, edges: tuple[float, ...]) -> Cells:
    middles = tuple((low + high) / 2 for low, high in itertools.pairwise(edges))
    return Cells(
        name,
        "number",
        "double",
        edges=edges,
        centres=(edges[0], *middles, edges[-1]),
        scale=float(np.std(middles)),
    )


def _poisson(name: str, rng: np.random.Generator) -> Column:
    values = np.arange(12)

    def law(shifts: np.ndarray) -> np.ndarray:
        at = stats.poisson.cdf(values[None, :], 3 * np.exp(shifts[:, None] / np.sqrt(3)))
        inner = np.diff(np.column_stack([np.zeros(len(shifts)), at, np.ones(len(shifts))]), axis=1)
        none = np.zeros((len(shifts), 1))
        return np.hstack([none, none, inner, none])

    return Column(_line(name, tuple(np.arange(-0.5, 12.0))), law, discrete=True)


def _mostly_zero(name: str, rng: np.random.Generator) -> Column:
    def law(shifts: np.ndarray) -> np.ndarray:
        zero = 1 / (1 + np.exp(-(np.log(0.7 / 0.3) + shifts)))
        rest = np.repeat((1 - zero)[:, None] / 6, 6, axis=1)
        none = np.zeros((len(shifts), 2))
        return np.hstack([none, zero[:, None], rest, none])

    return Column(_line(name, tuple(np.arange(8.0))), law)


def _category(shares: np.ndarray) -> Callable[[str, np.random.Generator], Column]:
    def make(name: str, rng: np.random.Generator) -> Column:
        direction = rng.standard_normal(len(shares))
        direction -= shares @ direction
        direction /= np.sqrt(shares @ direction**2)

        def law(shifts: np.ndarray) -> np.ndarray:
            tilted = shares * np.exp(shifts[:, None] * direction)
            tilted /= tilted.sum(axis=1, keepdims=True)
            return np.hstack([tilted, np.zeros((len(shifts), 1))])

        names = tuple(f"v{place}" for place in range(len(shares)))
        return Column(Cells(name, "category", "string", categories=names), law)

    return make


def _falling(count: int, power: float) -> np.ndarray:
    weights = 1 / np.arange(1, count + 1) ** power
    return weights / weights.sum()


_NUMBERS = {
    "normal": _number(stats.norm()),
    "lognormal": _number(stats.norm(), log=True),
    "uniform": _number(stats.uniform()),
    "student_t": _number(stats.t(3)),
    "exponential": _number(stats.expon()),
    "poisson": _poisson,
    "mostly zero": _mostly_zero,
}
_CATEGORIES = {
    "four": _category(np.full(4, 0.25)),
    "ten": _category(np.full(10, 0.1)),
    "twelve skewed": _category(_falling(12, 2.0)),
    "fifty": _category(np.full(50, 0.02)),
    "fifty skewed": _category(_falling(50, 1.2)),
    "rare": _category(np.array([0.5, 0.3, 0.19, 0.008, 0.0015, 0.0005])),
    "flag": _category(np.array([0.7, 0.3])),
    "rare flag": _category(np.array([0.97, 0.03])),
}
