"""Rows that train and test share are found, whatever else is; honest rows raise no suspicion."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from evergreen.column_types import TIME
from evergreen.window import Window, Windows
from tests.unit.leaks_bench import (
    MAY,
    WINDOWS,
    N,
    found,
    honest,
    shifted,
    table,
    windows_of,
    with_column,
)


def test_honest_rows_raise_no_suspicion():
    assert found(*windows_of(honest)) == ()


def test_test_rows_with_the_key_of_a_train_row_are_counted_with_examples():
    train, test = windows_of(honest)
    keys = np.asarray(test["id"]).copy()
    keys[[4, 9, 11, 40]] = [3, 7, 7, 1999]
    (finding,) = found(train, test.set_column(0, "id", pa.array(keys)))
    assert (finding.kind, finding.subject) == ("shared_keys", "id")
    assert f"4 of {N} test rows" in finding.words
    assert "(3, 7, 7)" in finding.words


def test_text_keys_are_compared_as_text():
    train, test = (rows.set_column(0, "id", rows["id"].cast(pa.string())) for rows in windows_of(honest))
    assert found(train, test) == ()
    assert "(0, 1, 2)" in found(train, test.set_column(0, "id", train["id"]))[0].words


def test_windows_that_overlap_are_told_even_where_no_row_does():
    _, test = windows_of(honest)
    begins = WINDOWS.train.end - timedelta(hours=2)
    overlap = Windows(MAY, WINDOWS.train, Window(begins, WINDOWS.test.end))
    early = table(Window(WINDOWS.train.start, begins), 0, honest(np.random.default_rng(1)))
    (finding,) = found(early, test, windows=overlap)
    assert (finding.kind, finding.subject) == ("windows_overlap", "windows")
    assert "2013-03-30T22:00Z" in finding.words
    assert "2013-03-31T00:00Z" in finding.words


def test_train_rows_in_the_test_window_are_counted():
    train, test = windows_of(honest)
    moved = train["time"].to_pylist()
    moved[5], moved[6] = WINDOWS.test.start, WINDOWS.test.start - timedelta(microseconds=1)
    train = train.set_column(1, "time", pa.array(moved, TIME))
    (finding,) = found(train, test)
    assert (finding.kind, finding.subject) == ("windows_overlap", "time")
    assert f"1 of {N} train rows" in finding.words


def test_findings_of_all_kinds_come_together():
    train, test = windows_of(shifted(0.998))
    test = test.set_column(0, "id", train["id"])
    answer = found(
        with_column(train, "day", pa.array([date(2020, 1, 1 + row % 9) for row in range(len(train))])),
        with_column(test, "day", pa.array([date(2020, 1, 1 + row % 9) for row in range(len(test))])),
        windows=Windows(MAY, WINDOWS.test, WINDOWS.test),
    )
    assert [finding.kind for finding in answer] == [
        "windows_overlap",
        "shared_keys",
        "after_label",
        "predicts_alone",
    ]
