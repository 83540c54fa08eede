"""Labels joined to logged answers: late, corrected, doubled, of unknown keys or classes, weighted."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evergreen.errors import DataUnusable
from evergreen.evidence.judged_rows import JudgedRows
from evergreen.evidence.metrics import value
from tests.unit.losses_bench import (
    A_DAY,
    AS_OF,
    CLASSES,
    Bed,
    bed,
    labels,
    logged,
    model,
    shares_of,
    true_loss,
)

__all__ = ["bed"]


def test_labels_count_up_to_the_as_of_less_their_delay(bed: Bed) -> None:
    series = bed.realised()
    assert max(window.end for window in bed.source.windows) == AS_OF - timedelta(days=1)
    assert (series.rows, series.missing) == (6 * A_DAY, A_DAY)


def test_a_late_label_is_found_by_a_later_check(bed: Bed) -> None:
    whole = bed.source.table
    late = pc.equal(whole.column("id"), 5)
    bed.source.table = whole.set_column(
        whole.column_names.index("late"), "late", pc.if_else(late, None, whole.column("late"))
    )
    assert bed.realised().days[0].rows == A_DAY - 1
    bed.source.table = whole
    assert bed.realised().days[0].rows == A_DAY


def test_a_corrected_label_takes_the_place_of_the_first(bed: Bed) -> None:
    before = bed.realised().days[0].value
    flipped = pc.subtract(1, bed.source.table.column("late"))
    bed.source.table = bed.source.table.set_column(3, "late", flipped)
    after = bed.realised().days[0].value
    assert after == pytest.approx(true_loss(1, bed.log.table, bed.source.table))
    assert after != pytest.approx(before)


def test_labels_of_keys_nobody_answered_are_counted_and_left_alone(bed: Bed) -> None:
    expected = bed.realised().days
    strangers = labels(3, id=pa.array([9001, 9002, 9003], pa.int64()))
    bed.source.table = pa.concat_tables([bed.source.table, strangers])
    series = bed.realised()
    assert series.days == expected
    assert series.notes == ("3 labels of rows that were never answered: left out",)


def test_a_key_with_two_different_labels_does_not_count_and_is_named(bed: Bed) -> None:
    other = bed.source.table.slice(4, 1)
    other = other.set_column(3, "late", pc.subtract(1, other.column("late")))
    bed.source.table = pa.concat_tables([bed.source.table, other])
    series = bed.realised()
    assert series.days[0].rows == A_DAY - 1
    assert series.notes == ("1 row with several labels for one key: left out",)


def test_a_key_that_stands_twice_with_the_same_label_has_that_label(bed: Bed) -> None:
    expected = bed.realised()
    bed.source.table = pa.concat_tables([bed.source.table, bed.source.table.slice(4, 1)])
    assert bed.realised() == expected


def test_a_row_without_a_label_beside_one_with_it_takes_nothing_away(bed: Bed) -> None:
    expected = bed.realised()
    unlabelled = labels(3, late=pa.nulls(3, pa.int64()))
    bed.source.table = pa.concat_tables([bed.source.table, unlabelled])
    assert bed.realised() == expected


def test_labels_that_stopped_coming_are_named(bed: Bed) -> None:
    bed.source.table = bed.source.table.slice(0, 2 * A_DAY)
    series = bed.realised()
    assert len(series.days) == 2
    assert series.notes == ("no row of the check's window has a label yet: the newest is of 2013-03-02",)


def test_a_class_the_champion_does_not_know_costs_it_dearly_and_is_named(bed: Bed) -> None:
    truth = [2 if row == 0 else 1 for row in range(10 * A_DAY)]
    bed.source.table = labels(late=pa.array(truth, pa.int64()))
    series = bed.realised()
    assert series.days[0].value > 1.5
    assert any("does not know the class of 1 row" in note for note in series.notes)


def test_keys_logged_as_text_are_joined_to_numbers(bed: Bed) -> None:
    expected = bed.realised()
    text = pa.array([str(row) for row in range(10 * A_DAY)]).dictionary_encode()
    bed.log.table = logged(id=text)
    assert bed.realised() == expected


def test_keys_that_cannot_be_joined_are_named(bed: Bed) -> None:
    bed.source.table = labels(id=pa.array([f"row {row}" for row in range(10 * A_DAY)]))
    with pytest.raises(DataUnusable, match="the key is of another type than in the log"):
        bed.measure()


def test_weights_come_with_the_label(bed: Bed) -> None:
    weights = [0.0 if row % 2 else 2.0 for row in range(10 * A_DAY)]
    weights[0] = float("nan")
    bed.source.table = labels(w=pa.array(weights))
    data = model().spec.data.model_dump(mode="json") | {"weight": "w"}
    series = bed.realised(data=data)
    assert series.days[0].rows == A_DAY // 2 - 1
    assert "1 labelled row without a usable weight: left out" in series.notes
    kept = [row for row in range(A_DAY) if row % 2 == 0 and row]
    truth = np.array([str(v) for v in bed.source.table.column("late").to_pylist()])[kept]
    rows = JudgedRows(truth, CLASSES, np.zeros(len(kept), dtype=int), "row")
    expected = value(model().spec.gate.metric, rows, shares_of(bed.log.table)[kept])
    assert series.days[0].value == pytest.approx(expected)
