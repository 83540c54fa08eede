"""The realised and the estimated loss of each day, and where there is none of either."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from evergreen.logged_rows import VALUE
from evergreen.performance.estimate import estimate
from tests.unit.losses_bench import (
    A_DAY,
    PROOF,
    Bed,
    baseline,
    bed,
    champion,
    labels,
    logged,
    model,
    on_day,
    shares_of,
    true_loss,
)

__all__ = ["bed"]


def test_each_day_has_the_gates_metric_of_its_rows(bed: Bed) -> None:
    series = bed.realised()
    assert [day.day.day for day in series.days] == list(range(1, 10))
    for day in series.days:
        assert day.value == pytest.approx(true_loss(day.day.day, bed.log.table, bed.source.table))
        assert day.rows == A_DAY
    assert (series.level, series.level_days) == (0.1, PROOF)
    assert not series.estimate


def test_days_without_labels_are_estimated(bed: Bed) -> None:
    series = bed.estimated()
    calibrator = baseline().calibrator
    assert calibrator is not None
    expected = estimate(model().spec.gate.metric, calibrator, shares_of(on_day(10, bed.log.table)))
    assert series.estimate
    assert [(d.day, d.rows) for d in series.days] == [(date(2013, 3, 10), A_DAY)]
    assert series.days[0].value == pytest.approx(expected)
    assert (series.level, series.rows) == (0.11, A_DAY)


def test_no_label_at_all_gives_an_estimate_of_every_day(bed: Bed) -> None:
    bed.source.table = bed.source.table.slice(0, 0)
    realised, estimated, _ = bed.measure()
    assert realised is not None
    assert estimated is not None
    assert (realised.days, realised.missing) == ((), 7 * A_DAY)
    assert [day.day.day for day in estimated.days] == list(range(1, 11))


def test_the_few_rows_of_a_day_that_never_get_a_label_are_not_estimated(bed: Bed) -> None:
    truth = [None if row % 4 == 0 else row % 2 for row in range(10 * A_DAY)]
    bed.source.table = labels(late=pa.array(truth, pa.int64()))
    assert [day.day.day for day in bed.estimated().days] == [10]
    assert {day.rows for day in bed.realised().days} == {A_DAY * 3 // 4}


def test_a_regression_has_no_estimate_and_says_so(bed: Bed) -> None:
    bed.log.table = logged().append_column(VALUE, pa.array(np.ones(10 * A_DAY)))
    proven = baseline("squared_error", classes=(), calibrator=None, estimated_level=None)
    realised, estimated, problems = bed.measure(
        released=champion(()), proven=proven, gate={"metric": "squared_error", "margin": 0.01}
    )
    assert estimated is None
    assert problems == (("estimated_loss", "there is no estimate of squared_error without labels"),)
    assert realised is not None
    zeros = bed.source.table.column("late").to_numpy()[:A_DAY] == 0
    assert realised.days[0].value == pytest.approx(zeros.mean())


def test_a_metric_other_than_the_champions_is_not_held_against_its_level(bed: Bed) -> None:
    realised, estimated, problems = bed.measure(gate={"metric": "brier", "margin": 0.01})
    assert (realised, estimated) == (None, None)
    assert {level for level, _ in problems} == {"loss", "estimated_loss"}
    assert all("proven by log_loss" in why for _, why in problems)
    assert not bed.log.windows


def test_a_level_that_was_undefined_is_a_problem_of_that_level(bed: Bed) -> None:
    realised, estimated, problems = bed.measure(proven=baseline(level=None))
    assert realised is None
    assert estimated is not None
    assert problems == (("loss", "log_loss was undefined on the test window"),)
