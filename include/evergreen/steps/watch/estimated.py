"""What the champion probably lost on the rows whose label is not known yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evergreen.watch_results import Check, DayLoss, LossSeries

if TYPE_CHECKING:
    from evergreen.profiles.baseline import Baseline, Calibrator
    from evergreen.steps.watch.labels import AnsweredDay

LEAST_SHARE = 0.5
"""The part of a day's rows that must be without a label for the day to be estimated.

The few that never get one are not like the others.
"""


class Estimated:
    """The estimated loss by day, gathered one day at a time."""

    def __init__(self, check: Check, baseline: Baseline, level: float, calibrator: Calibrator) -> None:
        self._check = check
        self._baseline = baseline
        self._level = level
        self._calibrator = calibrator
        self._days: list[DayLoss] = []
        self._rows = self._weightless = 0

    def add(self, day: AnsweredDay) -> None:
        """Count a day's rows.

        Raises:
            DataUnusable: predictions that are no probabilities.
        """
        import numpy as np

        from evergreen.performance.estimate import estimate_by_day

        waiting = ~day.labelled
        if waiting.mean() < LEAST_SHARE:
            return
        weights = None
        if day.weights is not None:
            known = ~np.isnan(day.weights)
            self._weightless += int((waiting & ~known).sum())
            waiting &= known
            weights = day.weights[waiting]
        inside = day.times >= np.datetime64(self._check.window.start.replace(tzinfo=None), "us")
        self._rows += int((inside & waiting).sum())
        dates = np.full(int(waiting.sum()), np.datetime64(day.day, "D"))
        metric = self._check.model.spec.gate.metric
        self._days += estimate_by_day(metric, self._calibrator, day.predictions[waiting], dates, weights)

    def series(self) -> LossSeries:
        """Return the estimate by day beside what it was on the days of the proof."""
        from evergreen.evidence.numbers import counted

        rows = counted(self._weightless, "row")
        return LossSeries(
            metric=self._baseline.metric,
            higher_is_better=self._baseline.higher_is_better,
            level=self._level,
            level_days=self._baseline.estimated_days,
            days=tuple(self._days),
            estimate=True,
            rows=self._rows,
            missing=self._rows,
            notes=(f"{rows} whose weight is not known yet: left out",) if self._weightless else (),
        )
