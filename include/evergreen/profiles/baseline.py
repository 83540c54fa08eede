"""What a version is watched against: made once at training, kept among the model's own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from evergreen.profiles.layout import Layout
from evergreen.profiles.profile import Profile, merged
from evergreen.results import ColumnType
from evergreen.watch_results import DayLoss

BASELINE_FILE = "baseline.json"


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Turns a class's predicted probability into how often it came true on the test window.

    Isotonic, one rising line per class, its corners at `(scores[i], shares[i])`; between corners it is
    linear, outside it is flat. The classes' shares are then scaled to sum to 1.
    """

    classes: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...]
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class Baseline:
    """The baseline of a version.

    Attributes:
        layout: The cells of the features.
        days: Profiles of the training rows by UTC day.
        columns: The training rows' columns with their types, key, time and label left out.
        prediction_layout: The cells of the columns of `logged_rows.watched_columns`.
        prediction_days: Profiles of predictions for rows out of the model's sight (the test window).
        importance: Each feature's share of the permutation importance; they sum to 1, or none is known.
        metric: `gate.metric` by name; `level` is its value on the test window, None where undefined,
            and `level_days` its value by day.
        higher_is_better: Which way is up.
        calibrator: For classification; `estimated_level` and `estimated_days` are what the estimate of
            the metric gives on the test window. None and empty where there is no such estimate.
        classes: As the model's.
    """

    layout: Layout
    days: Mapping[date, Profile]
    columns: tuple[ColumnType, ...]
    prediction_layout: Layout
    prediction_days: Mapping[date, Profile]
    importance: Mapping[str, float]
    metric: str
    higher_is_better: bool
    level: float | None
    level_days: tuple[DayLoss, ...]
    classes: tuple[str, ...] = ()
    calibrator: Calibrator | None = None
    estimated_level: float | None = None
    estimated_days: tuple[DayLoss, ...] = ()

    def features(self) -> Profile:
        """Return the profile of all training rows."""
        return merged(self.days.values(), self.layout)

    def predictions(self) -> Profile:
        """Return the profile of all predictions on the test window."""
        return merged(self.prediction_days.values(), self.prediction_layout)
