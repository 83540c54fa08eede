"""The real Great Expectations on awkward rows: missing, infinite, zoned, nested, many or none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.contracts.validator import (
    BETWEEN,
    NOT_NULL,
    ROW_COUNT,
    expectation,
    flights,
    snapshot_of,
    suite_of,
)
from tests.integration.gx_bench import IN_SET, MEAN, judge, keyed, no_network, only, validator

__all__ = ["no_network", "validator"]


def test_whole_numbers_with_nulls_are_judged_by_value_and_by_pair(validator):
    rows = keyed(x=[1, None, 3, 9], y=[0, 0, 0, 10])
    report = judge(
        validator,
        rows,
        expectation(IN_SET, column="x", value_set=[1, 3]),
        expectation("expect_column_median_to_be_between", column="x", min_value=3, max_value=3),
        expectation("expect_column_stdev_to_be_between", column="x", min_value=4, max_value=5),
        expectation(
            "expect_column_pair_values_a_to_be_greater_than_b",
            column_A="x",
            column_B="y",
            ignore_row_if="either_value_is_missing",
        ),
    )
    by_value, median, deviation, pair = report.outcomes
    assert by_value.observed.startswith("1 of 3 values (33.33 %) not among 1, 3: 9; 1 missing")
    assert (median.passed, deviation.passed) == (True, True)
    assert pair.failing_keys == ("3",)


def test_whole_numbers_that_a_float_would_round_stay_exact_beside_nulls(validator):
    huge = 2**60 + 1
    rows = keyed(x=pa.array([huge, huge - 1, None], pa.int64()))
    outcome = only(validator, rows, expectation(IN_SET, column="x", value_set=[huge]))
    assert outcome.failing_keys == ("1",)
    assert outcome.arguments == {"column": "x", "value_set": [str(huge)]}


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.float64(), pa.int64()], ids=str)
def test_an_all_null_column_fails_not_null_and_has_no_mean(validator, kind):
    rows = keyed(x=pa.nulls(4, kind))
    report = judge(
        validator,
        rows,
        expectation(NOT_NULL, column="x"),
        expectation(MEAN, column="x", min_value=0),
        expectation(BETWEEN, column="x", min_value=0),
    )
    null, mean, between = report.outcomes
    assert (null.passed, null.failing_rows) == (False, 4)
    assert (mean.passed, mean.observed) == (
        False,
        "mean cannot be computed: no values; expected at least 0",
    )
    assert (between.passed, between.observed) == (True, "no values to judge: all 4 are missing")


def test_infinities_fail_a_range_and_nan_and_null_count_as_missing(validator):
    rows = keyed(x=[1.0, float("nan"), float("inf"), float("-inf"), None])
    report = judge(
        validator,
        rows,
        expectation(BETWEEN, column="x", min_value=0, max_value=5),
        expectation(NOT_NULL, column="x"),
        expectation(MEAN, column="x", max_value=5),
    )
    between, null, mean = report.outcomes
    assert between.failing_keys == ("2", "3")
    assert (
        between.observed
        == "2 of 3 values (66.67 %) outside [0, 5]: inf, -inf; 2 missing values not judged"
    )
    assert null.failing_keys == ("1", "4")
    assert mean.passed is False
    kept = pq.read_table(report.quarantine_uri)
    assert kept["key"].to_pylist() == [1, 2, 3, 4]
    assert kept["x"].null_count == 1


def test_missing_strings_of_pandas_are_missing(validator):
    frame = pd.DataFrame({"key": [1, 2, 3], "x": pd.array(["a", pd.NA, "b"], dtype="string")})
    rows = pa.Table.from_pandas(frame.set_index("key")).select(["key", "x"])
    report = judge(
        validator,
        rows,
        expectation(NOT_NULL, column="x"),
        expectation("expect_column_values_to_match_regex", column="x", regex="^a"),
    )
    assert [outcome.failing_keys for outcome in report.outcomes] == [("2",), ("3",)]


def test_times_with_a_zone_are_compared_with_dates_and_times_of_any_zone(validator):
    start = datetime(2013, 1, 1, tzinfo=UTC)
    times = pa.array([start + timedelta(days=n) for n in range(4)], pa.timestamp("us", "UTC"))
    report = judge(
        validator,
        keyed(at=times),
        expectation(BETWEEN, column="at", min_value="2013-01-02"),
        expectation(BETWEEN, column="at", min_value="2013-01-01T19:00:00-05:00"),
        expectation("expect_column_max_to_be_between", column="at", max_value="2013-01-03T00:00"),
    )
    assert [outcome.failing_keys for outcome in report.outcomes] == [("0",), ("0",), ()]
    assert report.outcomes[2].observed == (
        "max is 2013-01-04 00:00:00+00:00; expected at most 2013-01-03T00:00"
    )


def test_times_without_a_zone_and_dates_are_compared_too(validator):
    naive = pa.array([datetime(2013, 1, 1), datetime(2013, 1, 9)], pa.timestamp("ms"))  # noqa: DTZ001
    days = pa.array([date(2013, 1, 1), date(2013, 1, 9)])
    report = judge(
        validator,
        keyed(at=naive, day=days),
        expectation(BETWEEN, column="at", min_value="2013-01-02"),
        expectation(BETWEEN, column="day", min_value="2013-01-02"),
    )
    assert [outcome.failing_keys for outcome in report.outcomes] == [("0",), ("0",)]


def test_dictionaries_decimals_and_booleans_are_judged_by_their_values(validator):
    rows = keyed(
        word=pa.array(["a", "b", "a"]).dictionary_encode(),
        price=[Decimal("1.5"), Decimal("2.5"), None],
        flag=[True, None, False],
    )
    report = judge(
        validator,
        rows,
        expectation(IN_SET, column="word", value_set=["a"]),
        expectation(BETWEEN, column="price", min_value=2),
        expectation(IN_SET, column="flag", value_set=[True]),
    )
    assert [outcome.failing_keys for outcome in report.outcomes] == [("1",), ("0",), ("2",)]


def test_ten_thousand_categories_give_a_bounded_answer(validator):
    rows = keyed(word=[f"category-{n}" for n in range(10_000)])
    report = judge(
        validator,
        rows,
        expectation(IN_SET, column="word", value_set=[f"other-{n}" for n in range(10_000)]),
        expectation("expect_column_values_to_be_unique", column="word"),
    )
    words, unique = report.outcomes
    assert (words.failing_rows, len(words.failing_keys)) == (10_000, 10)
    assert len(words.observed) <= 400
    assert unique.passed
    assert Path(report.report_uri).stat().st_size < 20_000
    reasons = pq.read_table(report.quarantine_uri).column("evergreen_reasons").to_pylist()
    assert max(len(reason) for row in reasons for reason in row) < 400


def test_no_rows_at_all_fail_only_what_is_about_their_number(validator):
    rows = pa.table({"key": pa.array([], pa.int64()), "x": pa.array([], pa.float64())})
    report = judge(
        validator,
        rows,
        expectation(NOT_NULL, column="x"),
        expectation(ROW_COUNT, min_value=1),
    )
    null, count = report.outcomes
    assert (null.passed, null.observed) == (True, "no rows to judge")
    assert (count.passed, count.observed) == (False, "row count is 0; expected at least 1")
    assert report.quarantine_uri is None


def test_rows_with_one_key_or_none_are_told_apart(validator):
    rows = pa.table({"key": ["a", "a", None], "x": [1, 99, 99]})
    report = judge(validator, rows, expectation(BETWEEN, column="x", max_value=5))
    assert report.outcomes[0].failing_keys == ("a", "null")
    assert pq.read_table(report.quarantine_uri).to_pydict()["key"] == ["a", None]


def test_judged_rows_may_come_in_chunks(validator):
    rows = pa.concat_tables([flights(6), flights(6)])
    rule = expectation(BETWEEN, column="hour", max_value=24)
    report = validator.validate("m", snapshot_of(rows), rows, suite_of(rule), "flight")
    assert report.outcomes[0].failing_keys == ("F3", "F5", "F3", "F5")
