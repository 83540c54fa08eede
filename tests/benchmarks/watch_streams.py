"""Streams of rows with a drift of known kind, size and onset, and the real model that serves them.

A row has 12 numbers of several shapes, 8 categories and a yes-or-no label. Rows are independent and, but
for the drift, of one law; the reference and each window are drawn from it. A drift changes values that
were drawn already, so that a stream with it and the same one without differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa
from scipy.special import expit

from tests.benchmarks.trials import generator

Change = Literal["location", "scale", "skewed", "category", "relation"]
Pattern = Literal["sudden", "gradual", "recurring"]

CHECKS = 90
EARLIEST, LATEST = 30, 60
RAMP, SPELL = 30, 10
NUMBERS = (
    "normal",
    "normal_2",
    "lognormal",
    "exponential",
    "gamma",
    "uniform",
    "student_t",
    "two_humps",
    "beta",
    "poisson",
    "rounded",
    "mostly_zero",
)
SKEWED_TEN = tuple(np.round(1 / np.arange(1, 11) / np.sum(1 / np.arange(1, 11)), 6))
CATEGORIES: Mapping[str, tuple[float, ...]] = {
    "flag": (0.7, 0.3),
    "three": (0.5, 0.3, 0.2),
    "five": (0.4, 0.25, 0.2, 0.1, 0.05),
    "ten": (0.1,) * 10,
    "ten_skewed": SKEWED_TEN,
    "twenty": (0.05,) * 20,
    "thirty": (1 / 30,) * 30,
    "fifty": (0.02,) * 50,
}
COLUMNS = (*NUMBERS, *CATEGORIES)
CHANGED: Mapping[Change, str] = {
    "location": "normal",
    "scale": "normal_2",
    "skewed": "lognormal",
    "category": "ten",
}
MISSING = {"exponential": 0.05, "five": 0.02}
POSITIVE = "1"


@dataclass(frozen=True, slots=True)
class Drift:
    """What changes from the onset on: by how much, and how it comes.

    location   `normal` moves by `size` of its standard deviations
    scale      `normal_2` spreads `size` times as wide
    skewed     `lognormal` is multiplied by `size`
    category   the share of one of ten equal categories of `ten` becomes `size`; the nine others give
    relation   what the label owes to `normal`, the strongest feature, falls by the share `size`

    A gradual one grows for 30 checks, a recurring one comes and goes for 10 checks each.
    """

    change: Change
    size: float
    pattern: Pattern = "sudden"

    def strength(self, onset: int) -> np.ndarray:
        """Return how much of the drift is there at each check, `(CHECKS,)` from 0 to 1."""
        since = np.arange(CHECKS) - onset
        match self.pattern:
            case "sudden":
                return (since >= 0).astype(float)
            case "gradual":
                return np.clip((since + 1) / RAMP, 0, 1)
            case "recurring":
                return ((since >= 0) & (since // SPELL % 2 == 0)).astype(float)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows: numbers as float64, categories as codes with -1 for missing, each `(n_rows,)`.

    `chance` decides the label: it is yes where `chance` is below its probability.
    """

    columns: Mapping[str, np.ndarray]
    chance: np.ndarray

    def __len__(self) -> int:
        return len(self.chance)

    def only(self, chosen: np.ndarray | slice) -> Rows:
        """Return some of the rows."""
        return Rows({name: each[chosen] for name, each in self.columns.items()}, self.chance[chosen])

    def labels(self, kept: np.ndarray | float = 1.0) -> np.ndarray:
        """Return 0 or 1; `kept` is how much of the strongest feature's pull is left, by row."""
        return (self.chance < expit(_logit(self.columns, kept))).astype(np.int64)

    def matrix(self) -> np.ndarray:
        """Return what the model reads, `(n_rows, 20)` float64."""
        return np.column_stack([self.columns[name].astype(float) for name in COLUMNS])

    def table(self, names: tuple[str, ...] = COLUMNS) -> pa.Table:
        """Return columns as a data source gives them: numbers with nulls, and text."""
        return pa.table({name: _arrow(name, self.columns[name]) for name in names})


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A reference and the rows of 90 checks, without drift, and where a drift would begin."""

    reference: Rows
    rows: Rows
    onset: int
    rows_a_check: int

    def after_onset(self, drift: Drift) -> tuple[Rows, np.ndarray]:
        """Return the rows of the checks from the onset on, with the drift, and their labels."""
        start = self.onset * self.rows_a_check
        rows = self.rows.only(slice(start, None))
        strength = np.repeat(drift.strength(self.onset), self.rows_a_check)[start:]
        if drift.change == "relation":
            return rows, rows.labels(1 - drift.size * strength)
        name = CHANGED[drift.change]
        # The values' labels follow them: the relation is what it was.
        changed = _changed(drift, rows, strength)
        drifted = replace(rows, columns={**rows.columns, name: changed})
        return drifted, drifted.labels()


def stream(number: int, purpose: str, rows_a_check: int, reference: int) -> Stream:
    """Return a stream, always the same for the same words."""
    rng = generator("watch", purpose, number, rows_a_check, reference)
    return Stream(
        draw(rng, reference),
        draw(rng, CHECKS * rows_a_check),
        int(rng.integers(EARLIEST, LATEST)),
        rows_a_check,
    )


def draw(rng: np.random.Generator, n: int) -> Rows:
    """Return rows without drift."""
    humps = np.where(rng.random(n) < 0.6, -1.5, 2.0) + 0.7 * rng.standard_normal(n)
    columns: dict[str, np.ndarray] = {
        "normal": rng.standard_normal(n),
        "normal_2": 50 + 10 * rng.standard_normal(n),
        "lognormal": rng.lognormal(0, 1, n),
        "exponential": rng.exponential(3, n),
        "gamma": rng.gamma(2, 5, n),
        "uniform": rng.random(n),
        "student_t": rng.standard_t(3, n),
        "two_humps": humps,
        "beta": rng.beta(0.5, 2, n),
        "poisson": rng.poisson(4, n).astype(float),
        "rounded": np.round(100 + 15 * rng.standard_normal(n)),
        "mostly_zero": np.where(rng.random(n) < 0.7, 0, rng.exponential(10, n)),
    }
    for name, shares in CATEGORIES.items():
        ends = np.cumsum(shares)
        columns[name] = np.searchsorted(ends / ends[-1], rng.random(n), side="right")
    for name, share in MISSING.items():
        columns[name][rng.random(n) < share] = np.nan if name in NUMBERS else -1
    return Rows(columns, rng.random(n))


@cache
def model() -> object:
    """Return the model that serves: gradient-boosted trees, trained on rows that no stream has."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = draw(generator("watch", "model"), 20_000)
    trees = HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=8, learning_rate=0.3, random_state=0
    )
    return trees.fit(rows.matrix(), rows.labels())


def predicted(rows: Rows) -> np.ndarray:
    """Return the model's probability of a yes, `(n_rows,)`."""
    found: np.ndarray = model().predict_proba(rows.matrix())[:, 1]  # type: ignore[attr-defined]
    return found


@cache
def importance() -> Mapping[str, float]:
    """Return each column's share of the permutation importance on rows that the model never saw."""
    from sklearn.inspection import permutation_importance

    rows = draw(generator("watch", "importance"), 2_000)
    found = permutation_importance(
        model(), rows.matrix(), rows.labels(), scoring="neg_log_loss", n_repeats=1, random_state=0
    )
    weights = np.clip(found.importances_mean, 0, None)
    return dict(zip(COLUMNS, (weights / weights.sum()).tolist(), strict=True))


def _logit(columns: Mapping[str, np.ndarray], kept: np.ndarray | float) -> np.ndarray:
    return np.asarray(
        -0.3
        + 1.3 * kept * columns["normal"]
        + 0.02 * (columns["normal_2"] - 50)
        + 0.5 * np.log(columns["lognormal"])
        + 0.3 * columns["two_humps"]
        + 0.15 * (columns["poisson"] - 4)
        + 0.6 * (columns["flag"] == 1)
        + 0.12 * (columns["ten"] - 4.5)
    )


def _changed(drift: Drift, rows: Rows, strength: np.ndarray) -> np.ndarray:
    values = rows.columns[CHANGED[drift.change]]
    match drift.change:
        case "location":
            return values + drift.size * strength
        case "scale":
            return 50 + (values - 50) * (1 + (drift.size - 1) * strength)
        case "skewed":
            return values * (1 + (drift.size - 1) * strength)
        case _:
            share = CATEGORIES["ten"][-1]
            moved = (drift.size - share) / (1 - share) * strength
            # The fraction of the label's chance beyond its sixth digit is as good as a new draw.
            coin = rows.chance * 1e6 % 1
            return np.where(coin < moved, len(CATEGORIES["ten"]) - 1, values)


def _arrow(name: str, values: np.ndarray) -> pa.Array:
    if name in NUMBERS:
        return pa.array(values, from_pandas=True)
    names = pa.array([f"{name}_{code:02}" for code in range(len(CATEGORIES[name]))])
    codes = pa.array(values, mask=values < 0)
    return names.take(codes)
