"""What the champion lost on the rows whose label is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from evergreen.errors import DataUnusable
from evergreen.metric_spec import OwnMetric
from evergreen.results import Release
from evergreen.watch_results import Check, DayLoss, LossSeries

if TYPE_CHECKING:
    from evergreen.profiles.baseline import Baseline
    from evergreen.steps.watch.labels import AnsweredDay


class Realised:
    """The realised loss by day, gathered one day at a time."""

    def __init__(self, check: Check, champion: Release, baseline: Baseline, level: float) -> None:
        self._check = check
        self._champion = champion
        self._baseline = baseline
        self._level = level
        self._days: list[DayLoss] = []
        self._rows = self._missing = 0
        self._unknown = self._twice = self._unanswered = self._strange = self._weightless = 0
        self._failures: list[DataUnusable] = []

    def add(self, day: AnsweredDay) -> None:
        """Count a day's rows.

        Raises:
            DataUnusable: labels or predictions that the metric cannot read.
        """
        import numpy as np

        from evergreen.evidence.judged_rows import JudgedRows
        from evergreen.performance.daily import metric_by_day

        counted = day.labelled if day.weights is None else day.labelled & ~np.isnan(day.weights)
        inside = day.times >= np.datetime64(self._check.window.start.replace(tzinfo=None), "us")
        self._rows += int((inside & counted).sum())
        self._missing += int((inside & ~counted).sum())
        self._unknown += day.unknown_keys
        self._twice += day.twice
        self._unanswered += day.unanswered
        self._weightless += int((day.labelled & ~counted).sum())
        rows = JudgedRows(
            labels=day.labels[counted[day.labelled]],
            classes=self._champion.candidate.classes,
            clusters=np.zeros(int(counted.sum()), dtype=np.int64),
            clustered_by="day",
            weights=None if day.weights is None else day.weights[counted],
        )
        self._strange += int((rows.codes < 0).sum())
        metric = self._check.model.spec.gate.metric
        dates = np.full(len(rows), np.datetime64(day.day, "D"))
        try:
            self._days += metric_by_day(metric, rows, day.predictions[counted], dates)
        except DataUnusable as exc:
            if not isinstance(metric, OwnMetric):
                raise
            self._failures.append(exc)

    def series(self) -> LossSeries:
        """Return the loss by day beside its level.

        Raises:
            DataUnusable: the owner's own metric failed on every day.
        """
        if self._failures and not self._days:
            raise self._failures[0]
        return LossSeries(
            metric=self._baseline.metric,
            higher_is_better=self._baseline.higher_is_better,
            level=self._level,
            level_days=self._baseline.level_days,
            days=tuple(self._days),
            estimate=False,
            rows=self._rows,
            missing=self._missing,
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterable[str]:
        from evergreen.evidence.numbers import counted

        newest = max((each.day for each in self._days), default=None)
        if newest is not None and newest < self._check.window.start.date():
            yield f"no row of the check's window has a label yet: the newest is of {newest}"
        if self._unknown:
            yield f"{counted(self._unknown, 'label')} of rows that were never answered: left out"
        if self._twice:
            yield f"{counted(self._twice, 'row')} with several labels for one key: left out"
        if self._unanswered:
            yield f"{counted(self._unanswered, 'logged row')} without a finite prediction: left out"
        if self._weightless:
            yield f"{counted(self._weightless, 'labelled row')} without a usable weight: left out"
        if self._strange:
            yield (
                f"the champion does not know the class of {counted(self._strange, 'row')}: its "
                "probability counts as 0 there"
            )
        if self._failures:
            yield f"the metric failed on {counted(len(self._failures), 'day')}: {self._failures[0].what}"
