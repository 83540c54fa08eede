"""Baselines and profiles by day as bytes: canonical JSON, so that equal ones are equal bytes.

What cannot be read back in full is damaged: nothing of it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import numpy as np

from evergreen.canonical import canonical
from evergreen.errors import ArtefactDamaged, bounded
from evergreen.profiles.baseline import BASELINE_FILE, Baseline, Calibrator
from evergreen.profiles.layout import Cells, Layout
from evergreen.profiles.profile import Profile
from evergreen.results import ColumnType, from_json, to_json
from evergreen.watch_results import DayLoss

FORMAT = 1


@dataclass(frozen=True, slots=True)
class _StoredDay:
    """`counts` are numbers with a space between, `columns` the place of the day's in `_StoredDays`."""

    day: date
    rows: int
    counts: str
    columns: int
    problems: dict[str, str]
    unseen: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _StoredDays:
    layout: str
    columns: tuple[tuple[ColumnType, ...], ...]
    days: tuple[_StoredDay, ...]
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class _StoredBaseline:
    layout: tuple[Cells, ...]
    days: _StoredDays
    columns: tuple[ColumnType, ...]
    prediction_layout: tuple[Cells, ...]
    prediction_days: _StoredDays
    importance: dict[str, float]
    metric: str
    higher_is_better: bool
    level: float | None
    level_days: tuple[DayLoss, ...]
    classes: tuple[str, ...]
    calibrator: Calibrator | None
    estimated_level: float | None
    estimated_days: tuple[DayLoss, ...]
    format: int = FORMAT


def baseline_to_bytes(baseline: Baseline) -> bytes:
    """Return a baseline as bytes.

    Raises:
        ValueError: a number in it is not finite.
    """
    stored = _StoredBaseline(
        layout=baseline.layout.cells,
        days=_stored(baseline.days, baseline.layout),
        columns=baseline.columns,
        prediction_layout=baseline.prediction_layout.cells,
        prediction_days=_stored(baseline.prediction_days, baseline.prediction_layout),
        importance=dict(baseline.importance),
        metric=baseline.metric,
        higher_is_better=baseline.higher_is_better,
        level=baseline.level,
        level_days=baseline.level_days,
        classes=baseline.classes,
        calibrator=baseline.calibrator,
        estimated_level=baseline.estimated_level,
        estimated_days=baseline.estimated_days,
    )
    return canonical(to_json(stored))


def baseline_from_bytes(content: bytes) -> Baseline:
    """Return the baseline that `baseline_to_bytes` made these bytes of.

    Raises:
        ArtefactDamaged: they are no such bytes.
    """
    with _damaged(BASELINE_FILE):
        stored = from_json(_StoredBaseline, json.loads(content))
        _check_format(stored.format)
        layout, prediction_layout = Layout(stored.layout), Layout(stored.prediction_layout)
        return Baseline(
            layout=layout,
            days=_restored(stored.days, layout),
            columns=stored.columns,
            prediction_layout=prediction_layout,
            prediction_days=_restored(stored.prediction_days, prediction_layout),
            importance=stored.importance,
            metric=stored.metric,
            higher_is_better=stored.higher_is_better,
            level=stored.level,
            level_days=stored.level_days,
            classes=stored.classes,
            calibrator=stored.calibrator,
            estimated_level=stored.estimated_level,
            estimated_days=stored.estimated_days,
        )


def days_to_bytes(days: Mapping[date, Profile]) -> bytes:
    """Return profiles by day as bytes; all must be of one layout.

    Raises:
        ValueError: profiles of different layouts.
    """
    layout = next((profile.layout for profile in days.values()), Layout(()))
    return canonical(to_json(_stored(days, layout)))


def days_from_bytes(content: bytes, layout: Layout) -> dict[date, Profile]:
    """Return the profiles that `days_to_bytes` made these bytes of, in the order of their days.

    Raises:
        ArtefactDamaged: they are no such bytes, or of profiles of another layout.
    """
    with _damaged("profiles by day"):
        stored = from_json(_StoredDays, json.loads(content))
        return _restored(stored, layout)


def _stored(days: Mapping[date, Profile], layout: Layout) -> _StoredDays:
    if any(each.layout.digest != layout.digest for each in days.values()):
        raise ValueError("profiles of different layouts cannot be stored together")
    columns = {profile.columns: None for profile in days.values()}
    places = {each: place for place, each in enumerate(columns)}
    return _StoredDays(
        layout.digest,
        tuple(columns),
        tuple(
            _StoredDay(
                day,
                profile.rows,
                " ".join(map(str, profile.counts.tolist())),
                places[profile.columns],
                dict(profile.problems),
                dict(profile.unseen),
            )
            for day, profile in sorted(days.items())
        ),
    )


def _restored(stored: _StoredDays, layout: Layout) -> dict[date, Profile]:
    _check_format(stored.format)
    if stored.days and stored.layout != layout.digest:
        raise ValueError("the profiles are of another layout")
    return {each.day: _profile(each, stored, layout) for each in stored.days}


def _profile(stored: _StoredDay, all_days: _StoredDays, layout: Layout) -> Profile:
    counts = np.array(stored.counts.split(), dtype=np.int64)
    if counts.shape != (layout.size,) or min(counts.min(initial=0), stored.rows, stored.columns) < 0:
        raise ValueError(f"the counts of {stored.day} do not fit the layout")
    return Profile(
        layout,
        stored.rows,
        counts,
        stored.problems,
        stored.unseen,
        all_days.columns[stored.columns],
    )


def _check_format(found: int) -> None:
    if found != FORMAT:
        raise ValueError(f"format {found} is not known, only {FORMAT}")


@contextmanager
def _damaged(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, IndexError, OverflowError, RecursionError) as exc:
        raise ArtefactDamaged(
            f"the {what} cannot be read",
            got=bounded(str(exc)),
            fix="restore the file from a backup, or retrain",
        ) from exc
