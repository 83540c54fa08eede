"""What cannot be judged is an error that names it, never a verdict about the data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from evergreen.adapters.gx_validator import GxValidator
from evergreen.errors import BadConfiguration, DataUnusable
from tests.contracts.validator import BETWEEN, NOT_NULL, expectation
from tests.integration.gx_bench import IN_SET, judge, keyed, no_network, validator

__all__ = ["no_network", "validator"]


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
