"""Evergreen's watch on a stream: the real counting, measuring and judging, without store and ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from evergreen.amounts import Margin
from evergreen.drift import judge as judging
from evergreen.drift import measure as drift
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.logged_rows import watched_columns
from evergreen.metric_spec import PlainMetric
from evergreen.monitor_spec import Monitor
from evergreen.performance.daily import metric_by_day
from evergreen.performance.estimate import estimate_by_day, fit_calibrator
from evergreen.profiles.count import count, count_by_day
from evergreen.profiles.lay_out import lay_out
from evergreen.profiles.layout import Layout
from evergreen.profiles.profile import Profile
from evergreen.rates import DAYS_A_YEAR
from evergreen.results import ColumnType
from evergreen.watch_results import DayLoss, Drifted, LossSeries, Observation, Verdict
from evergreen.window import Window
from tests.benchmarks.trials import two_columns
from tests.benchmarks.watch_streams import Rows, importance

METRIC = PlainMetric(type="log_loss")
CLASSES = ("no", "yes")
MARGIN = Margin(0.0)
FIRST = date(2013, 2, 1)
TIME = "time"
BUDGET = 1
"""False alarms per quarter that the watch is told to keep to."""


def monitor(min_effect: float | None = None) -> Monitor:
    """Return the section of a model file: each day a check of its rows, else as by default."""
    said: dict[str, object] = {
        "schedule": "@daily",
        "window": "1 day",
        "false_alarms": f"{BUDGET} per quarter",
    }
    return Monitor.model_validate(said if min_effect is None else {**said, "min_effect": min_effect})


@dataclass(frozen=True, slots=True)
class Days:
    """Rows of some days, the model's answers and the labels."""

    rows: Rows
    answers: np.ndarray
    labels: np.ndarray


class Watch:
    """The watch over a model whose reference is `rows_a_day` rows of each day before the first check."""

    def __init__(self, reference: Days, rows_a_day: int, rule: Monitor) -> None:
        self._start = -(len(reference.rows) // rows_a_day)
        self._rows_a_day = rows_a_day
        self._rule = rule
        table, answers = reference.rows.table(), _answers(reference.answers)
        self._layout = lay_out(table, _types(table))
        self._answer_layout = lay_out(answers, _types(answers))
        self._days = self._by_day(table, self._layout)
        self._answer_days = self._by_day(answers, self._answer_layout)
        probabilities = two_columns(reference.answers)
        self._calibrator = fit_calibrator(_text(reference.labels), probabilities, CLASSES)
        self._proof = self.losses(reference.answers, reference.labels, self._start)
        self._estimated_proof = self.estimates(reference.answers, self._start)

    def verdict(
        self,
        check: int,
        rows: Rows,
        answers: np.ndarray,
        losses: tuple[DayLoss, ...] = (),
        estimates: tuple[DayLoss, ...] = (),
    ) -> Verdict:
        """Return what is said at a check.

        Args:
            check: Its number, from 0.
            rows: Those of its day.
            answers: The model's.
            losses: By day up to then, where labels are known.
            estimates: By day up to then, where they are not.
        """
        end = datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(days=check + 1)
        return judging.judge(
            Observation(
                run_key="stream/check",
                as_of=end,
                window=Window(end - timedelta(days=1), end),
                version=1,
                rows=len(rows),
                rows_a_day=float(len(rows)),
                checks_a_year=DAYS_A_YEAR,
                overlap=1.0,
                features=self._drifted(rows.table(), self._layout, self._days, importance()),
                predictions=self._drifted(_answers(answers), self._answer_layout, self._answer_days, {}),
                loss=_series(self._proof, losses, estimate=False),
                estimated=_series(self._estimated_proof, estimates, estimate=True),
            ),
            self._rule,
            MARGIN,
        )

    def losses(self, answers: np.ndarray, labels: np.ndarray, start: int) -> tuple[DayLoss, ...]:
        """Return the loss of each day from the check number `start` on."""
        rows = JudgedRows(_text(labels), CLASSES, np.arange(len(labels)), "row", codes=labels)
        return metric_by_day(METRIC, rows, two_columns(answers), self._dates(len(labels), start))

    def estimates(self, answers: np.ndarray, start: int) -> tuple[DayLoss, ...]:
        """Return what the loss of each day is estimated at, from the check number `start` on."""
        dates = self._dates(len(answers), start)
        return estimate_by_day(METRIC, self._calibrator, two_columns(answers), dates)

    def _drifted(
        self,
        table: pa.Table,
        layout: Layout,
        past: Mapping[date, Profile],
        weights: Mapping[str, float],
    ) -> tuple[Drifted, ...]:
        window = {FIRST: count(table.to_batches(), layout)}
        return drift.measure_columns(layout, past, window, self._rule, weights)

    def _by_day(self, table: pa.Table, layout: Layout) -> dict[date, Profile]:
        times = pa.array(self._dates(table.num_rows, self._start).astype("datetime64[us]"))
        timed = table.append_column(TIME, times.cast(pa.timestamp("us", "UTC")))
        return count_by_day(timed.to_batches(), layout, TIME)

    def _dates(self, rows: int, start: int) -> np.ndarray:
        first = np.datetime64(FIRST + timedelta(days=start), "D")
        return np.asarray(first + np.arange(rows) // self._rows_a_day)


def _series(
    proof: tuple[DayLoss, ...], days: tuple[DayLoss, ...], *, estimate: bool
) -> LossSeries | None:
    if not days:
        return None
    return LossSeries(
        metric=METRIC.type,
        higher_is_better=False,
        level=float(np.mean([day.value for day in proof])),
        level_days=proof,
        days=days,
        estimate=estimate,
        rows=days[-1].rows,
    )


@contextmanager
def remembering() -> Iterator[None]:
    """Reckon what chance does to a column once a stream and number of rows, not at every check."""
    places = ((drift, "chance_of"), (drift, "nature"), (judging, "chance_per_check"))
    plain = [getattr(module, name) for module, name in places]
    for (module, name), function in zip(places, plain, strict=True):
        setattr(module, name, _remembered(function))
    try:
        yield
    finally:
        for (module, name), function in zip(places, plain, strict=True):
            setattr(module, name, function)


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    kept: dict[tuple[object, ...], Any] = {}

    def answered(*asked: object) -> Any:
        key = tuple((a.shape, a.tobytes()) if isinstance(a, np.ndarray) else a for a in asked)
        if key not in kept:
            kept[key] = function(*asked)
        return kept[key]

    return answered


def _answers(probabilities: np.ndarray) -> pa.Table:
    return pa.table(dict.fromkeys(watched_columns(CLASSES), probabilities))


def _types(table: pa.Table) -> Sequence[ColumnType]:
    return [ColumnType(field.name, str(field.type)) for field in table.schema]


def _text(labels: np.ndarray) -> np.ndarray:
    return np.asarray(CLASSES)[labels]
