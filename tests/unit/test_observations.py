"""What an expectation found, in one sentence."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.canonical import canonical
from evergreen.observations import (
    LONGEST_SENTENCE,
    LONGEST_VALUE,
    columns_of,
    json_value,
    observed_rows,
    observed_whole,
    shown,
)

BETWEEN = "expect_column_values_to_be_between"


def counted(failing: int, elements: int = 1000, missing: int = 0) -> dict[str, int]:
    return {"element_count": elements, "missing_count": missing, "unexpected_count": failing}


@pytest.mark.parametrize(
    ("failing", "elements", "share"),
    [
        (1, 3, "33.33 %"),
        (1, 2, "50 %"),
        (3, 10_000, "0.03 %"),
        (1, 1_000_000, "<0.01 %"),
        (999_999, 1_000_000, ">99.99 %"),
        (7, 7, "100 %"),
    ],
)
def test_a_share_is_rounded_but_never_to_none_or_all(failing, elements, share):
    said = observed_rows(BETWEEN, {"max_value": 1}, counted(failing, elements), [])
    assert said == f"{failing:,} of {elements:,} values ({share}) outside (-∞, 1]"


@pytest.mark.parametrize(
    ("arguments", "interval"),
    [
        ({"min_value": 0, "max_value": 24}, "[0, 24]"),
        ({"min_value": 0, "max_value": 24, "strict_min": True, "strict_max": True}, "(0, 24)"),
        ({"min_value": 0.5}, "[0.5, ∞)"),
        ({"max_value": "2013-01-01"}, "(-∞, 2013-01-01]"),
    ],
)
def test_a_range_is_written_as_an_interval(arguments, interval):
    assert observed_rows(BETWEEN, arguments, counted(1), [7]).endswith(f"outside {interval}: 7")


@pytest.mark.parametrize(
    ("kind", "arguments", "fault"),
    [
        ("expect_column_values_to_be_in_set", {"value_set": ["a", "b"]}, "not among a, b"),
        ("expect_column_values_to_not_be_in_set", {"value_set": ["a"]}, "among a"),
        ("expect_column_values_to_be_unique", {}, "not unique"),
        ("expect_something_new", {}, "not as expected"),
    ],
)
def test_a_fault_is_said_in_words(kind, arguments, fault):
    assert observed_rows(kind, arguments, counted(1), []) == f"1 of 1,000 values (0.1 %) {fault}"


def test_examples_stand_once_each_and_at_most_five():
    said = observed_rows(BETWEEN, {"max_value": 1}, counted(9), [7, 7, 8, None, 9, 10, 11, 12])
    assert said.endswith(": 7, 8, 9, 10, 11, …")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (counted(0), "all 1,000 values pass"),
        (counted(0, 1000, 10), "all 990 values pass; 10 missing values not judged"),
        (counted(0, 10, 10), "no values to judge: all 10 are missing"),
        (counted(0, 0, 0), "no rows to judge"),
    ],
)
def test_nothing_failed_is_told_from_nothing_judged(found, said):
    assert observed_rows(BETWEEN, {"min_value": 0}, found, []) == said


@pytest.mark.parametrize(
    ("kind", "arguments", "found", "said"),
    [
        (
            "expect_table_row_count_to_be_between",
            {"min_value": 10, "max_value": 20, "strict_min": True, "strict_max": True},
            {"observed_value": 12345},
            "row count is 12,345; expected above 10 and below 20",
        ),
        (
            "expect_column_values_to_be_of_type",
            {"type_": "int64"},
            {"observed_value": "float64"},
            "values are float64; expected int64",
        ),
        (
            "expect_table_columns_to_match_set",
            {"column_set": ["a"]},
            {
                "observed_value": ["b"],
                "details": {"mismatched": {"missing": ["a"], "unexpected": ["b"]}},
            },
            "columns are b; expected a; missing: a; unexpected: b",
        ),
        (
            "expect_table_columns_to_match_ordered_list",
            {"column_list": ["a"]},
            {
                "observed_value": ["b"],
                "details": {
                    "mismatched": [{"Expected Column Position": 0, "Expected": "a", "Found": "b"}]
                },
            },
            "columns are b; expected a; 1 column differs, the first at position 0: expected a, found b",
        ),
        (
            "expect_column_distinct_values_to_contain_set",
            {"value_set": ["a"]},
            {"missing_count": 1, "partial_missing_list": ["a"]},
            "1 distinct values not found: a; expected a",
        ),
        ("expect_column_to_exist", {"column": "a"}, {}, "there is no such column at this place"),
        ("expect_anything", {}, {"observed_value": {"a": 1.5}}, "observed value is a 1.5"),
    ],
)
def test_what_a_whole_came_to_stands_beside_what_was_expected(kind, arguments, found, said):
    assert observed_whole(kind, arguments, found, passed=False) == said


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.binary(), st.datetimes()))
def test_any_value_is_shown_on_one_short_line(value):
    text = shown(value)
    assert text
    assert len(text) <= LONGEST_VALUE
    assert "\n" not in text
    assert "\x1b" not in text


@given(st.lists(st.text(max_size=500), max_size=50))
def test_a_sentence_is_bounded(values):
    said = observed_rows("expect_column_values_to_be_in_set", {"value_set": values}, counted(9), values)
    assert len(said) <= LONGEST_SENTENCE


def test_values_of_numpy_and_times_are_shown_plainly():
    assert shown(np.float64(25.0)) == "25"
    assert shown(np.int64(7)) == "7"
    assert shown(0.1 + 0.2) == "0.3"
    assert shown(datetime(2013, 1, 2, tzinfo=UTC)) == "2013-01-02 00:00:00+00:00"


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner), st.tuples(inner, inner)),
    max_leaves=10,
)


@given(json_like)
def test_whatever_arguments_say_becomes_json_that_has_a_digest(value):
    plain = json_value(value)
    assert json.loads(json.dumps(plain)) == plain
    try:
        text = json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate: no model file can hold one
        return
    assert text
    assert canonical(plain)


def test_what_json_cannot_hold_exactly_becomes_its_text():
    value = {1: {2.5, float("nan")}, "big": 2**53 + 1, "day": date(2013, 1, 1), "n": np.bool_(True)}
    assert json_value(value) == {
        "1": [2.5, "nan"],
        "big": "9007199254740993",
        "day": "2013-01-01",
        "n": True,
    }


def test_columns_are_those_that_arguments_name_once_each():
    arguments = {"column_A": "a", "column_B": "b", "column_list": ["b", "c", 3], "value": "d"}
    assert columns_of(arguments) == ("a", "b", "c")
    assert columns_of({"column": "x", "column_list": "y"}) == ("x",)
