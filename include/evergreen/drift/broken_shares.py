"""Shares of a column's values that broke: more are missing, or of categories never seen in training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date

import numpy as np

from evergreen.drift.chance import chance_of
from evergreen.profiles.layout import Cells
from evergreen.profiles.profile import Profile
from evergreen.text import plain
from evergreen.watch_results import Chance, HealthFinding

MOST_SHOWN = 3
LONGEST_EXAMPLE = 60


def nulls(
    cells: Cells, baseline: Mapping[date, Profile], window: Mapping[date, Profile], limit: float
) -> Iterable[HealthFinding]:
    """Yield a finding where the column's share of missing values rose by more than `limit`."""
    counts = [_pairs(cells, days, _missing) for days in (baseline, window)]
    before, now = (_share(each) for each in counts)
    if before is None or now is None or now - before <= limit:
        return
    words = (
        f"{now:.1%} of the values of {cells.column!r} are missing, where {before:.1%} were in training"
    )
    yield HealthFinding("nulls", cells.column, now - before, limit, words, _chance(*counts))


def unseen(
    cells: Cells, baseline: Mapping[date, Profile], window: Mapping[date, Profile], limit: float
) -> Iterable[HealthFinding]:
    """Yield a finding where more than `limit` of a category's values were never seen in training.

    Where training had too many categories to count each, it is how much the share of the rest rose.
    """
    if cells.kind != "category":
        return
    counts = [_pairs(cells, days, _other) for days in (baseline, window)]
    before, now = (_share(each) for each in counts)
    if before is None or now is None or now - before <= limit:
        return
    known = (
        "were never seen in training" if cells.whole else f"are rare or new, {before:.1%} in training"
    )
    words = f"{now:.1%} of the values of {cells.column!r} {known}{_examples(cells, window)}"
    yield HealthFinding("unseen", cells.column, now - before, limit, words, _chance(*counts))


def _pairs(
    cells: Cells,
    days: Mapping[date, Profile],
    split: Callable[[np.ndarray], tuple[int, int]],
) -> np.ndarray:
    """Return the rows of each day in the share and beside it, `(n_days, 2)`, in the order of days."""
    known = [one for _, one in sorted(days.items()) if cells.column not in one.problems]
    return np.array([split(one.of(cells.column)) for one in known], dtype=np.int64).reshape(-1, 2)


def _missing(counts: np.ndarray) -> tuple[int, int]:
    return int(counts[0]), int(counts[1:].sum())


def _other(counts: np.ndarray) -> tuple[int, int]:
    return int(counts[-1]), int(counts[1:-1].sum())


def _share(pairs: np.ndarray) -> float | None:
    """Return the share, None where there is no value."""
    inside, beside = pairs.sum(axis=0)
    return float(inside / (inside + beside)) if inside + beside else None


def _chance(baseline: np.ndarray, window: np.ndarray) -> Chance:
    return chance_of("l_infinity", baseline, int(window.sum()), len(window), None)


def _examples(cells: Cells, window: Mapping[date, Profile]) -> str:
    values = sorted({value for one in window.values() for value in one.unseen.get(cells.column, ())})
    if not values:
        return ""
    shown = ", ".join(repr(plain(value, LONGEST_EXAMPLE)) for value in values[:MOST_SHOWN])
    return f", such as {shown}"
