"""The gate's metric by UTC day: what a loss over time is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np

from evergreen.errors import DataUnusable
from evergreen.evidence.intervals import mean_of
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import MetricUndefined, row_values, rows_that_count, value
from evergreen.metric_spec import Metric
from evergreen.watch_results import DayLoss


def metric_by_day(
    metric: Metric, rows: JudgedRows, predictions: np.ndarray, days: np.ndarray
) -> tuple[DayLoss, ...]:
    """Return the metric of each day's rows, by rising day.

    A mean metric is the weighted mean of the day's rows; a ranking metric is that day's own value. A day
    on which it is undefined is left out: no row counts, or a class is missing from a ranking. So is a
    day on which a metric of the owner's own fails, as long as it does not fail on all of them.

    Args:
        metric: In its own unit and direction.
        rows: What is true, and how much each row counts.
        predictions: `(n_rows, n_classes)` in the order of `rows.classes`, or `(n_rows,)`.
        days: `(n_rows,)` datetime64[D], each row's day in UTC.

    Raises:
        DataUnusable: labels or predictions that the metric cannot read.
        BadConfiguration: a metric of the owner's own that is not registered.

    >>> from evergreen.metric_spec import PlainMetric
    >>> rows = JudgedRows(np.array([1.0, 2.0, 3.0]), (), np.arange(3), "row")
    >>> days = np.array(["2013-01-01", "2013-01-01", "2013-01-02"], dtype="datetime64[D]")
    >>> for day in metric_by_day(PlainMetric(type="absolute_error"), rows, np.zeros(3), days):
    ...     print(day.day, day.value, day.rows)
    2013-01-01 1.5 2
    2013-01-02 3.0 1
    """
    if not len(rows):
        return ()
    losses = row_values(metric, rows, predictions)

    def of_day(places: np.ndarray, judged: JudgedRows) -> float:
        if losses is None:
            return value(metric, judged, predictions[places])
        return mean_of(losses[places], judged.weights)

    return tuple(_defined(rows, days, of_day))


def by_day(days: np.ndarray) -> Iterator[tuple[date, np.ndarray]]:
    """Yield each day that is there, rising, with the places of its rows.

    >>> days = np.array(["2013-01-02", "2013-01-01", "2013-01-02"], dtype="datetime64[D]")
    >>> [(str(day), places.tolist()) for day, places in by_day(days)]
    [('2013-01-01', [1]), ('2013-01-02', [0, 2])]
    """
    order = np.argsort(days, kind="stable")
    found, starts = np.unique(days[order], return_index=True)
    for day, start, end in zip(found, starts, [*starts[1:], len(days)], strict=False):
        yield day.astype("datetime64[D]").item(), order[start:end]


def _defined(
    rows: JudgedRows, days: np.ndarray, of_day: Callable[[np.ndarray, JudgedRows], float]
) -> Iterator[DayLoss]:
    failure: DataUnusable | None = None
    succeeded = False
    for day, places in by_day(days):
        judged = rows.only(places)
        count = rows_that_count(judged)
        if not count:
            continue
        try:
            found = of_day(places, judged)
        except MetricUndefined:
            continue
        except DataUnusable as exc:
            failure = failure or exc
            continue
        succeeded = True
        yield DayLoss(day, found, count)
    if failure is not None and not succeeded:
        raise failure
