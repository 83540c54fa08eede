"""The real Great Expectations on awkward data: what it judges, what it refuses, what is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evergreen import quarantine
from evergreen.adapters.gx_validator import GxValidator
from evergreen.errors import BadConfiguration, DataUnusable
from evergreen.failpoints import EXIT_CODE
from evergreen.redaction import hide
from tests.contracts.validator import (
    BETWEEN,
    NOT_NULL,
    ROW_COUNT,
    expectation,
    flights,
    snapshot_of,
    suite_of,
)

IN_SET = "expect_column_values_to_be_in_set"
MEAN = "expect_column_mean_to_be_between"
XSS = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def validator(tmp_path):
    return GxValidator(str(tmp_path / "store"), {})


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args):
        raise AssertionError(f"the validator went to the network: {args[1:]}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def judge(validator, rows, *expectations):
    key = rows.column_names[0] if "key" not in rows.column_names else "key"
    return validator.validate("m", snapshot_of(rows), rows, suite_of(*expectations), key)


def only(validator, rows, rule):
    (outcome,) = judge(validator, rows, rule).outcomes
    return outcome


def keyed(**columns):
    length = len(next(iter(columns.values())))
    return pa.table({"key": list(range(length)), **columns})


# What is judged


def test_an_outcome_says_how_many_values_failed_and_which(validator):
    hours = [12] * 10_000
    hours[5], hours[77], hours[4000] = 25, 31, 99
    outcome = only(
        validator, keyed(hour=hours), expectation(BETWEEN, column="hour", min_value=0, max_value=24)
    )
    assert outcome.observed == "3 of 10,000 values (0.03 %) outside [0, 24]: 25, 31, 99"
    assert outcome.failing_keys == ("5", "77", "4000")


def test_an_aggregate_is_judged_as_a_whole(validator):
    low = only(validator, keyed(x=[1.0, 2.0, 6.0]), expectation(MEAN, column="x", min_value=100))
    assert (low.passed, low.failing_rows, low.failing_keys) == (False, None, ())
    assert low.observed == "mean is 3; expected at least 100"
    assert only(
        validator, keyed(x=[1.0, 2.0, 6.0]), expectation(MEAN, column="x", min_value=1, max_value=4)
    ).passed


def test_a_failure_within_mostly_passes_and_is_not_quarantined(validator):
    rows = keyed(x=[1, 2, 3, 4, 5, 6, 7, 8, 9, None])
    report = judge(validator, rows, expectation(NOT_NULL, column="x", mostly=0.9))
    (outcome,) = report.outcomes
    assert report.passed
    assert (outcome.passed, outcome.failing_rows, outcome.failing_keys) == (True, 1, ("9",))
    assert (report.quarantined_rows, report.quarantine_uri) == (0, None)
    assert "(tolerated by <code>mostly</code>)" in Path(report.report_uri).read_text()


def test_quantiles_that_fail_are_a_failure(validator):
    ranges = {"quantiles": [0.5], "value_ranges": [[10, 20]]}
    kind = "expect_column_quantile_values_to_be_between"
    outcome = only(validator, keyed(x=[1, 2, 3]), expectation(kind, column="x", quantile_ranges=ranges))
    assert outcome.passed is False
    assert outcome.observed == "quantile values are 2 at 0.5; expected [10, 20] at 0.5"


def test_distinct_values_beyond_the_set_are_named(validator):
    kind = "expect_column_distinct_values_to_be_in_set"
    outcome = only(validator, keyed(x=["a", "b", "c"]), expectation(kind, column="x", value_set=["a"]))
    assert outcome.passed is False
    assert outcome.observed == "2 distinct values not expected: b, c; expected a"


def test_a_pair_of_columns_is_judged_with_both_values_on_the_page(validator):
    kind = "expect_column_pair_values_a_to_be_greater_than_b"
    rows = keyed(late=[5, 1], early=[2, 3])
    report = judge(validator, rows, expectation(kind, column_A="late", column_B="early"))
    assert report.outcomes[0].failing_keys == ("1",)
    assert report.outcomes[0].observed.endswith(": 1 / 3")


def test_a_column_that_must_exist_and_does_not_is_a_failure_of_the_data(validator):
    report = judge(validator, keyed(x=[1]), expectation("expect_column_to_exist", column="y"))
    assert not report.passed


# Awkward columns


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


def test_fifty_expectations_make_a_page_under_100_kilobytes(validator):
    rows = keyed(**{f"column_{n}": [n, -n, 7] for n in range(1, 51)})
    rules = [expectation(BETWEEN, column=f"column_{n}", min_value=1000) for n in range(1, 51)]
    report = judge(validator, rows, *rules)
    assert len(report.errors) == 50
    assert report.quarantined_rows == 3
    assert Path(report.report_uri).stat().st_size < 100_000


# What is refused


def refused(validator, rows, *rules):
    with pytest.raises(DataUnusable) as caught:
        judge(validator, rows, *rules)
    assert not Path(validator.store_uri).exists()
    assert not caught.value.retryable
    return str(caught.value)


def test_an_unlike_expectation_lists_those_that_exist(validator):
    said = refused(validator, keyed(x=[1]), expectation("expect_zzz", column="x"))
    assert "m: expectation 1 (expect_zzz): there is no such expectation" in said
    assert "allowed: expect_column_" in said


@pytest.mark.parametrize(
    "kind",
    ["expect_query_results_to_match_comparison", "expect_table_row_count_to_equal_other_table"],
)
def test_an_expectation_that_needs_a_database_is_refused(validator, kind):
    assert "no such expectation for rows in memory" in refused(
        validator, keyed(x=[1]), expectation(kind)
    )


def test_a_missing_argument_is_named(validator):
    said = refused(validator, keyed(x=[1]), expectation(IN_SET, column="x"))
    assert "value_set: field required" in said
    assert "allowed: arguments: column, mostly, value_set" in said


def test_arguments_of_the_wrong_kind_are_named(validator):
    said = refused(validator, keyed(x=[1]), expectation(BETWEEN, column="x", min_value="lots"))
    assert "min_value: value is not a valid float" in said


def test_a_range_that_names_no_time_is_refused(validator):
    times = pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    said = refused(validator, keyed(at=times), expectation(BETWEEN, column="at", min_value="yesterday"))
    assert "the argument 'min_value' is not a date: 'yesterday'" in said


@pytest.mark.parametrize(
    "kwargs",
    [
        {"row_condition": "@__import__('os').system('touch owned')", "condition_parser": "pandas"},
        {"row_condition": {"type": "pass_through", "pass_through_filter": "1"}},
        {"result_format": "BASIC"},
        {"catch_exceptions": False},
        {"batch_id": "x"},
        {"meta": {}},
        {"windows": []},
    ],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_arguments_that_steer_the_library_or_run_code_are_refused(validator, kwargs):
    said = refused(validator, keyed(x=[1]), expectation(BETWEEN, column="x", min_value=0, **kwargs))
    assert f"takes no argument {next(iter(kwargs))!r}" in said


def test_a_parameter_is_refused(validator):
    rule = expectation(BETWEEN, column="x", min_value={"$PARAMETER": "low"})
    assert "must be a value" in refused(validator, keyed(x=[1]), rule)


def test_a_json_schema_elsewhere_is_refused_and_not_fetched(validator):
    schema = {"properties": {"a": [{"$ref": "http://127.0.0.1:9/schema.json"}]}}
    rule = expectation("expect_column_values_to_match_json_schema", column="x", json_schema=schema)
    assert "would fetch another document" in refused(validator, keyed(x=["{}"]), rule)


def test_a_number_asked_of_text_is_an_error_and_not_a_failure_of_the_data(validator):
    said = refused(validator, keyed(x=["a", "b"]), expectation(BETWEEN, column="x", min_value=1))
    assert "cannot be computed on these rows" in said
    assert "columns x: string" in said


def test_a_range_asked_of_records_is_an_error(validator):
    rows = keyed(x=[{"a": 1}, {"a": 2}])
    assert "columns x: struct" in refused(validator, rows, expectation(BETWEEN, column="x", min_value=1))


def test_mixed_types_within_a_column_are_an_error(validator):
    either = [pa.array([1], pa.int64()), pa.array(["a"])]
    kinds, places = pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32())
    rows = keyed(x=pa.UnionArray.from_dense(kinds, places, either))
    assert "cannot be judged" in refused(validator, rows, expectation(NOT_NULL, column="key"))


def test_a_broken_pattern_is_an_error(validator):
    rule = expectation("expect_column_values_to_match_regex", column="x", regex="(")
    assert "unterminated" in refused(validator, keyed(x=["a"]), rule)


def test_every_mistake_of_a_suite_is_named_at_once(validator):
    said = refused(
        validator,
        keyed(x=[1]),
        expectation(NOT_NULL, column="y"),
        expectation(NOT_NULL, column="x"),
        expectation(NOT_NULL + "s", column="x"),
        expectation(NOT_NULL, column="x", most=1),
    )
    assert "3 expectations cannot be judged" in said
    assert "expectation 1 (" in said
    assert "expectation 3 (" in said
    assert "expectation 4 (" in said
    assert "did you mean 'mostly'?" in said


def test_many_mistakes_make_a_bounded_message(validator):
    said = refused(validator, keyed(x=[1]), *[expectation(NOT_NULL, column=f"y{n}") for n in range(200)])
    assert "200 expectations" in said
    assert said.count("\n- ") == 11


def test_two_columns_of_one_name_are_an_error(validator):
    rows = pa.table([[1], [2], [3]], names=["key", "x", "x"])
    assert "columns of one name" in refused(validator, rows, expectation(NOT_NULL, column="key"))


def test_a_store_of_an_unknown_kind_is_an_error():
    with pytest.raises(BadConfiguration, match="not a kind of storage"):
        judge(GxValidator("ftp://host/x", {}), keyed(x=[1]), expectation(NOT_NULL, column="x"))


# What is left behind


def test_text_of_the_data_and_of_the_suite_stands_on_the_page_as_text(validator):
    rows = pa.table({"key": [f"{XSS}1"], f"{XSS}2": [f"{XSS}3"]})
    rule = expectation(
        IN_SET, why=f"{XSS}4", column=f"{XSS}2", value_set=[f"{XSS}5", "{{ 7*7 }}", "</title>"]
    )
    report = judge(validator, rows, rule)
    page = Path(report.report_uri).read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "49" not in page.replace("{{ 7*7 }}", "")
    for number in range(1, 6):
        assert f"onerror=alert(2)&gt;{number}" in page


def test_the_page_fetches_nothing_and_says_who_judged_what(validator):
    rows = flights()
    rule = expectation(BETWEEN, column="hour", min_value=0, max_value=24)
    report = validator.validate("delay", snapshot_of(rows), rows, suite_of(rule), "flight")
    page = Path(report.report_uri).read_text()
    for word in ("http:", "https:", "src=", "href=", "@import", "url("):
        assert word not in page
    for word in ("delay", "[2013-03-01T00:00Z, 2013-04-01T00:00Z)", "ab12ab12ab12", "F3", ">99<"):
        assert word in page
    assert "Rejected: 1 of 1 expectations failed as an error." in page
    assert "Judged by Great Expectations 1." in page


def test_secrets_in_the_data_reach_neither_report_nor_page(validator):
    hide("hunter2-secret")
    report = judge(
        validator, keyed(x=["hunter2-secret"]), expectation(IN_SET, column="x", value_set=["a"])
    )
    assert "hunter2" not in repr(report)
    assert "hunter2" not in Path(report.report_uri).read_text()


def test_quarantine_keeps_a_bounded_number_of_rows_and_the_page_says_so(validator, monkeypatch):
    collect = quarantine.collect
    monkeypatch.setattr(
        "evergreen.adapters.gx_validator.collect", lambda rows, faults: collect(rows, faults, most=4)
    )
    rows = keyed(x=[99] * 10)
    report = judge(validator, rows, expectation(BETWEEN, column="x", max_value=5))
    assert report.outcomes[0].failing_rows == 10
    assert report.quarantined_rows == 4
    assert pq.read_table(report.quarantine_uri)["key"].to_pylist() == [0, 1, 2, 3]
    assert "The first 4 of 10 failing rows are" in Path(report.report_uri).read_text()


def test_a_flipped_bit_in_the_quarantine_is_noticed(validator):
    report = judge(validator, keyed(x=[99] * 500), expectation(BETWEEN, column="x", max_value=5))
    path = Path(report.quarantine_uri)
    whole = bytearray(path.read_bytes())
    whole[60] ^= 1
    path.write_bytes(whole)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


def test_judging_logs_one_line_of_its_own_and_nothing_of_the_library(validator, caplog, capfd):
    with caplog.at_level("INFO"):
        judge(validator, keyed(x=[99]), expectation(BETWEEN, column="x", max_value=5))
    (line,) = caplog.messages
    assert line == (
        "m: Rejected: 1 of 1 expectations failed as an error. 1 rows judged, 1 of 1 failing rows kept"
    )
    assert capfd.readouterr() == ("", "")


def test_a_validator_does_not_print_its_credentials():
    assert "hunter2" not in repr(GxValidator("s3://bucket", {"secret": "hunter2"}))


KILLED = """
from tests.contracts.validator import *
from evergreen.adapters.gx_validator import GxValidator
import sys
rows = flights()
rule = expectation(BETWEEN, column="hour", min_value=0, max_value=24)
GxValidator(sys.argv[1], {}).validate("delay", snapshot_of(rows), rows, suite_of(rule), "flight")
"""


def test_a_try_killed_between_its_files_is_finished_by_the_next(tmp_path):
    store = tmp_path / "killed"
    for place, files in (
        ("validate.quarantined", ["rows.parquet"]),
        ("validate.reported", ["report.html", "rows.parquet"]),
    ):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(store)],
            env=os.environ | {"EVERGREEN_FAIL": place},
            check=False,
        )
        assert done.returncode == EXIT_CODE
        assert sorted(path.name for path in store.rglob("*") if path.is_file()) == files
    rows = flights()
    suite = suite_of(expectation(BETWEEN, column="hour", min_value=0, max_value=24))
    undisturbed = tmp_path / "undisturbed"
    for folder in (store, undisturbed):
        GxValidator(str(folder), {}).validate("delay", snapshot_of(rows), rows, suite, "flight")
    assert content(store) == content(undisturbed)


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_adapter_loads_great_expectations_only_when_it_judges():
    loaded = "import sys, evergreen.adapters.gx_validator; print('great_expectations' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
